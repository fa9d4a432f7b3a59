"""The processes of a run meet before jax starts.

Where one process does not come, or its address is wrong, jax ends the others
with an abort that nothing can catch. So they first meet on a plain TCP socket
at the coordinator's address: process 0 listens there (`reception`), all of
them, process 0 too, connect and say what they are, and all get one verdict.
Then the port is jax's.
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

from zsgen import errors, terminal
from zsgen.hosts import addresses, agreement, frames, reception

_CONNECT = 5.0  # Seconds for one attempt to connect.
_WELCOME = 10.0  # Seconds that process 0 takes to answer, at most.
# Seconds that a port may answer as no process 0 does, or be in use: what an
# earlier run has left ends in this time.
_FOREIGN = 30.0
# Seconds until jax listens, after all have agreed.
_JAX = 60.0
_PAUSES = (0.02, 0.2)  # Seconds between attempts, first and later.
_QUIET = 15.0  # Seconds after which people are told what it waits for.
_OPTION = "config.machine.hosts.coordinator (JAX_COORDINATOR_ADDRESS)"


class _Foreign(Exception):
  """What answers is no process 0 that waits for this run."""


def meet(
    address: addresses.Address,
    count: int,
    index: int,
    facts: agreement.Facts,
    wait: float,
) -> None:
  """Waits until all processes are here, and have the same facts.

  Args:
    address: of process 0.
    count: processes of the run.
    index: the number of this one.
    facts: what all must have in common; the count is added.
    wait: seconds to wait for the others.

  Raises:
    InputError: process 0 is not reached in time, its port is another
      program's, a process does not come, or they differ. If process 0 is
      reached, all processes raise the same message.
  """
  hello = reception.Hello(
      index=index,
      where=f"process id {os.getpid()} on {platform.node()}",
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
  """Process 0: listens, and calls its own address as the others do."""
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
    # Another process 0 of this run may be there: it says so.
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
  """The port on which jax will listen here; another where one is forwarded."""
  name = "JAX_COORDINATOR_BIND_ADDRESS"
  bound = os.environ.get(name, "")
  return addresses.parse(bound, name).port if bound else address.port


def _not_listening(
    address: addresses.Address, port: int, error: OSError
) -> errors.InputError:
  """What process 0 raises where it cannot have the port."""
  why = os.strerror(error.errno or 0)
  if error.errno == errno.EADDRINUSE:
    why += ": another program has it, or an earlier run that has not ended"
  return errors.InputError(
      f"process 0 cannot listen on port {port} of this host ({why})."
      f" Choose another port for all processes: {_OPTION} is {address}."
  )


class _Caller:
  """Connects to process 0, again and again, until there is a verdict."""

  def __init__(
      self, address: addresses.Address, hello: reception.Hello, wait: float
  ):
    self._address, self._hello, self._wait = address, hello, wait

  def call(self) -> None:
    """Returns when all agree; see `meet` for the errors."""
    begin = time.monotonic()
    foreign_since: float | None = None
    pause, quiet = _PAUSES[0], True
    while True:
      try:
        return self.attempt()
      except _Foreign as error:
        reason, foreign = str(error), True
      except OSError as error:
        reason, foreign = _reason(error), False
      now = time.monotonic()
      if not foreign:
        foreign_since = None
      elif foreign_since is None:
        foreign_since = now
      long = foreign_since is not None and now > foreign_since + _FOREIGN
      if long or now > begin + self._wait:
        self._give_up(now - begin, reason, foreign)
      if quiet and now > begin + _QUIET:
        quiet = False
        self._say(f"{reason}; {self._wait - (now - begin):.0f} seconds more")
      time.sleep(pause)
      pause = min(1.5 * pause, _PAUSES[-1])

  def attempt(self) -> None:
    """Connects once, and waits for the verdict.

    Raises:
      OSError: process 0 is not reached.
      _Foreign: what is reached is not process 0, or it has gone.
      InputError: the verdict is against this run.
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
            "what listens there does not answer as process 0 of a run that"
            " starts does: it is another program, or a run that has begun"
        ) from error
    if not isinstance(verdict, str):
      raise _Foreign("what listens there is another program")
    if verdict:
      raise agreement.Disagreement(verdict)

  def _give_up(self, seconds: float, reason: str, foreign: bool) -> NoReturn:
    index, there = self._hello.index, f"process 0 at {self._address}"
    advice = "Start process 0 within the same time as the others, and check"
    if index == 0:
      there = f"itself at {self._address}"
      advice = "It must be an address of the host of process 0: check"
    elif foreign:
      advice = "Choose a port that is free on the host of process 0, or check"
    raise errors.InputError(
        f"process {index} does not reach {there}, tried for"
        f" {seconds:.0f} of {self._wait:g} seconds"
        f" (config.machine.hosts.wait): {reason}. {advice} {_OPTION}, the same"
        " for all processes."
    )

  def _say(self, what: str) -> None:
    terminal.tell(
        f"process {self._hello.index} waits for process 0 at"
        f" {self._address}: {what}."
    )


def _connect(address: addresses.Address) -> socket.socket:
  """A connection to the address; OSError if there is none.

  A port of the range that the system gives to clients may be given to this
  very connection, which is then one to itself.
  """
  connection = socket.create_connection(address, timeout=_CONNECT)
  if connection.getsockname() != connection.getpeername():
    return connection
  # Closed at once: no trace of it keeps process 0 from the port.
  linger = struct.pack("ii", 1, 0)
  connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
  connection.close()
  raise ConnectionRefusedError("Connection refused")


def _await_port(address: addresses.Address) -> None:
  """Waits until jax listens, in process 0; its own attempts are seconds apart.

  Raises:
    InputError: it does not.
  """
  end = time.monotonic() + _JAX
  while True:
    try:
      return _connect(address).close()
    except OSError as error:
      if time.monotonic() > end:
        raise errors.InputError(
            f"process 0 does not listen at {address} any more"
            f" ({_reason(error)}). See what it says; then start all processes"
            " again."
        ) from error
    time.sleep(_PAUSES[0])


def _reason(error: OSError) -> str:
  """Why there is no connection."""
  if isinstance(error, socket.gaierror):
    return f"the host is not known ({error.strerror})"
  if isinstance(error, TimeoutError):
    return "there is no answer"
  return str(error.strerror or error)
