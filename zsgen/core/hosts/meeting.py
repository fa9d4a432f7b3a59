"""Connects the processes of a run before jax starts.

If a process is missing or has a wrong address, jax aborts the others in a way
that nothing can catch. So the processes first connect through a plain TCP
socket at the coordinator's address. Process 0 listens there (`reception`). All
of them, including process 0, connect, describe themselves, and receive the same
verdict. Afterwards jax takes over the port.
"""

import contextlib
import errno
import os
import platform
import socket
import struct
import time
from typing import NoReturn
import uuid

from zsgen.core import errors, terminal
from zsgen.core.hosts import addresses, agreement, frames, reception

_CONNECT = 5.0  # Seconds for one attempt to connect.
_WELCOME = 10.0  # Seconds that process 0 takes to answer, at most.
# Seconds that a port may be in use or answer like another program: what remains
# of an earlier run ends in this time.
_FOREIGN = 30.0
# Seconds until jax listens, after all have agreed.
_JAX = 60.0
_PAUSES = (0.02, 0.2)  # Seconds between attempts, first and later.
_QUIET = 15.0  # Seconds after which it prints what it waits for.
_OPTION = "config.machine.hosts.coordinator (JAX_COORDINATOR_ADDRESS)"


class _Foreign(Exception):
  """The program that answers is not process 0 of this run."""


def meet(
    address: addresses.Address,
    count: int,
    index: int,
    facts: agreement.Facts,
    wait: float,
) -> None:
  """Waits until all processes have connected, and compares their facts.

  Args:
    address: the address of process 0.
    count: the number of processes.
    index: the number of this process.
    facts: what all processes must have in common; the count is added.
    wait: seconds to wait for the others.

  Raises:
    InputError: process 0 is not reached in time, another program uses its
      port, a process does not connect, or the facts differ. If process 0 is
      reached, all processes raise the same message.
  """
  hello = reception.Hello(
      index=index,
      origin=f"process id {os.getpid()} on {platform.node()}",
      token=uuid.uuid4().hex,
      facts={"config.machine.hosts.count": str(count), **facts},
  )
  if index:
    _Caller(address, hello, wait).call()
    _await_port(address)
  else:
    _receive(address, count, hello, wait)


def _receive(
    address: addresses.Address,
    count: int,
    hello: reception.Hello,
    wait: float,
) -> None:
  """Runs process 0: listens, and connects to itself as the others do."""
  port = _own_port(address)
  room = reception.Reception(address, port, count, hello, wait)
  caller = _Caller(address, hello, wait)
  end = time.monotonic() + min(_FOREIGN, wait)
  while True:
    try:
      room.open()
      break
    except OSError as error:
      if error.errno != errno.EADDRINUSE or time.monotonic() > end:
        raise _not_listening(address, port, error) from error
    # If that is another process 0 of this run, the attempt reports it.
    with contextlib.suppress(OSError, _Foreign):
      caller.attempt()
    time.sleep(_PAUSES[-1])
  try:
    caller.call()
  except BaseException as error:
    stopped = "process 0 was stopped while the processes met."
    room.close(str(error) if isinstance(error, errors.InputError) else stopped)
    raise
  room.close()


def _own_port(address: addresses.Address) -> int:
  """Returns the port on which jax will listen on this host."""
  name = "JAX_COORDINATOR_BIND_ADDRESS"
  bound = os.environ.get(name, "")
  return addresses.parse(bound, name).port if bound else address.port


def _not_listening(
    address: addresses.Address, port: int, error: OSError
) -> errors.InputError:
  """Returns the error of process 0 if it cannot listen on the port."""
  reason = os.strerror(error.errno or 0)
  if error.errno == errno.EADDRINUSE:
    reason += ": another program or an unfinished run uses it"
  return errors.InputError(
      f"process 0 cannot listen on port {port} of this host ({reason})."
      f" Choose another port for all processes: {_OPTION} is {address}."
  )


class _Caller:
  """Tries to connect to process 0 until there is a verdict."""

  def __init__(
      self, address: addresses.Address, hello: reception.Hello, wait: float
  ):
    self._address, self._hello, self._wait = address, hello, wait

  def call(self) -> None:
    """Returns once all processes agree; see `meet` for the errors."""
    begin = time.monotonic()
    foreign_since: float | None = None
    pause, quiet = _PAUSES[0], True
    while True:
      try:
        return self.attempt()
      except _Foreign as error:
        reason, is_foreign = str(error), True
      except OSError as error:
        reason, is_foreign = _reason(error), False
      now = time.monotonic()
      if not is_foreign:
        foreign_since = None
      elif foreign_since is None:
        foreign_since = now
      is_too_long = foreign_since is not None and now > foreign_since + _FOREIGN
      if is_too_long or now > begin + self._wait:
        self._give_up(now - begin, reason, is_foreign)
      if quiet and now > begin + _QUIET:
        quiet = False
        self._print_reason(
            f"{reason}; {self._wait - (now - begin):.0f} seconds more"
        )
      time.sleep(pause)
      pause = min(1.5 * pause, _PAUSES[-1])

  def attempt(self) -> None:
    """Connects once, and waits for the verdict.

    Raises:
      OSError: process 0 is not reached.
      _Foreign: another program answers, or process 0 is gone.
      InputError: the processes differ.
    """
    with _connect(self._address) as connection:
      try:
        connection.sendall(frames.pack(self._hello.to_message()))
        welcome = frames.receive(connection, _WELCOME)
        seconds = welcome.get("seconds")
        if seconds is None:  # The verdict, at once.
          verdict = welcome.get("verdict")
        else:
          seconds = min(max(0.0, float(seconds)), 1e6)
          verdict = frames.receive(connection, seconds).get("verdict")
      except (frames.FrameError, OSError, TypeError, ValueError) as error:
        raise _Foreign(
            "the program that listens there is not process 0 of a run that is"
            " starting: it is another program, or a run that has begun"
        ) from error
    if not isinstance(verdict, str):
      raise _Foreign("another program listens there")
    if verdict:
      raise agreement.Disagreement(verdict)

  def _give_up(self, seconds: float, reason: str, foreign: bool) -> NoReturn:
    """Raises InputError: process 0 was not reached in time."""
    index, destination = self._hello.index, f"process 0 at {self._address}"
    advice = "Start process 0 within the same time as the others, and check"
    if index == 0:
      destination = f"itself at {self._address}"
      advice = "The address must be one of the host of process 0. Check"
    elif foreign:
      advice = "Choose a port that is free on the host of process 0, or check"
    raise errors.InputError(
        f"process {index} cannot reach {destination} after"
        f" {seconds:.0f} of {self._wait:g} seconds"
        f" (config.machine.hosts.wait): {reason}. {advice} {_OPTION}, which"
        " must be the same for all processes."
    )

  def _print_reason(self, reason: str) -> None:
    """Prints why this process still waits."""
    terminal.print_message(
        f"process {self._hello.index} waits for process 0 at"
        f" {self._address}: {reason}."
    )


def _connect(address: addresses.Address) -> socket.socket:
  """Returns a connection to the address; raises OSError if it fails.

  If the port is in the range of client ports, the system may give it to this
  very connection, which then connects to itself.
  """
  connection = socket.create_connection(address, timeout=_CONNECT)
  if connection.getsockname() != connection.getpeername():
    return connection
  # Closed without a trace, so that process 0 can use the port.
  linger = struct.pack("ii", 1, 0)
  connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
  connection.close()
  raise ConnectionRefusedError("Connection refused")


def _await_port(address: addresses.Address) -> None:
  """Waits until jax listens in process 0; jax itself retries less often.

  Raises:
    InputError: it does not listen in time.
  """
  end = time.monotonic() + _JAX
  while True:
    try:
      return _connect(address).close()
    except OSError as error:
      if time.monotonic() > end:
        raise errors.InputError(
            f"process 0 no longer listens at {address} ({_reason(error)})."
            " Look at its output, then start all processes again."
        ) from error
    time.sleep(_PAUSES[0])


def _reason(error: OSError) -> str:
  """Returns why there is no connection."""
  if isinstance(error, socket.gaierror):
    return f"the host is not known ({error.strerror})"
  if isinstance(error, TimeoutError):
    return "there is no answer"
  return str(error.strerror or error)
