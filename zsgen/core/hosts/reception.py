"""Receives the other processes in process 0, at the coordinator's address.

A thread listens until all processes have connected, compares their facts, and
sends the same verdict to all. Connections of other programs are closed: at once
if they send other bytes, and after a while if they send nothing.
"""

from collections.abc import Mapping
import dataclasses
import errno
import math
import selectors
import socket
import threading
import time
from typing import Any

from zsgen.core import terminal
from zsgen.core.hosts import addresses, agreement, frames

# Seconds for a connection to identify itself.
_GREETING = 10.0
# Seconds for late processes to connect and receive a negative verdict.
_GRACE = 10.0
# Simultaneous connections beyond those of the processes.
_STRANGERS = 64
# Seconds after which it prints which processes are missing.
_QUIET = 15.0
# Seconds to send a verdict to one process.
_SENDING = 5.0
_POLL = 0.1


@dataclasses.dataclass(frozen=True)
class Hello:
  """The greeting of a process.

  Attributes:
    index: its number.
    origin: its host and process id, for messages.
    token: a random token that no other process has.
    facts: what all processes must have in common.
  """

  index: int
  origin: str
  token: str
  facts: agreement.Facts

  def to_message(self) -> dict[str, Any]:
    """Returns the greeting as JSON values."""
    return dataclasses.asdict(self)

  @classmethod
  def from_message(cls, message: Mapping[str, Any]) -> "Hello":
    """Parses a message; raises FrameError if it is not a greeting."""
    kinds = {"index": int, "origin": str, "token": str, "facts": dict}
    if {name: type(value) for name, value in message.items()} != kinds:
      raise frames.FrameError("no greeting")
    facts = message["facts"]
    texts = (*facts, *facts.values(), message["origin"], message["token"])
    if message["index"] < 0 or not all(map(_is_plain, texts)):
      raise frames.FrameError("no greeting")
    return cls(**message)


def _is_plain(text: Any) -> bool:
  """Returns whether a value is a text that can be printed unchanged."""
  return isinstance(text, str) and len(text) < 1000 and text.isprintable()


def _open_port(port: int) -> socket.socket:
  """Listens on all interfaces, with IPv6 if the host has it."""
  if socket.has_dualstack_ipv6():
    try:
      return socket.create_server(
          ("", port), backlog=512, family=socket.AF_INET6, dualstack_ipv6=True
      )
    except OSError as error:
      if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
        raise
  return socket.create_server(("", port), backlog=512)


class _Guest:
  """A connection, and its greeting once it has arrived."""

  def __init__(self, connection: socket.socket):
    self.connection = connection
    self.opened_at = time.monotonic()
    self.hello: Hello | None = None
    self._reader = frames.Reader()

  def read(self) -> dict[str, Any] | None:
    """Reads available bytes; returns the message once it is complete.

    Raises:
      FrameError: the connection is closed, or another program's.
    """
    try:
      data = self.connection.recv(self._reader.bytes_to_read)
    except BlockingIOError:
      return None
    except OSError as error:
      raise frames.FrameError("broken") from error
    if not data or self.hello:
      raise frames.FrameError("closed, or more than a greeting")
    return self._reader.add(data)


class Reception:
  """Receives processes in a thread, from `open` to `close`.

  Args:
    address: the address to which the others connect.
    port: the port of this host behind it, on all interfaces as for jax.
    count: the number of processes, including process 0.
    own_hello: the greeting of process 0.
    wait: seconds to wait for the others.
  """

  def __init__(
      self,
      address: addresses.Address,
      port: int,
      count: int,
      own_hello: Hello,
      wait: float,
  ):
    self._address, self._port = address, port
    self._count, self._own_hello = count, own_hello
    self._deadline = time.monotonic() + wait
    self._wait = wait
    self._guests: list[_Guest] = []
    self._comparison = agreement.Comparison(own_hello.facts)
    self._fault_since: float | None = None
    self._strangers = 0
    self._end_reason = ""
    self._stop = threading.Event()
    self._thread = threading.Thread(target=self._receive, daemon=True)

  def open(self) -> None:
    """Starts to listen; raises OSError if the port is not available."""
    self._listener = _open_port(self._port)
    self._listener.setblocking(False)
    self._thread.start()

  def close(self, reason: str = "") -> None:
    """Stops listening, and waits until the port is free.

    Args:
      reason: the verdict for all processes if there is none yet.
    """
    self._end_reason = reason
    self._stop.set()
    self._thread.join()

  def _receive(self) -> None:
    """Listens until there is a verdict, and sends it."""
    try:
      with selectors.DefaultSelector() as self._selector:
        verdict = self._listen()
      # Before the verdict is sent, because jax needs the port then.
      self._listener.close()
      for guest in self._guests:
        if guest.hello:
          self._send(guest, {"verdict": verdict})
    finally:
      self._listener.close()
      for guest in self._guests:
        guest.connection.close()

  def _listen(self) -> str:
    """Accepts connections until there is a verdict; returns it."""
    self._selector.register(self._listener, selectors.EVENT_READ, None)
    quiet_until = time.monotonic() + _QUIET
    while (verdict := self._verdict()) is None:
      for key, _ in self._selector.select(_POLL):
        if key.data is None:
          self._accept()
        elif key.data in self._guests:  # It may be dropped in this round.
          self._read(key.data)
      self._drop_silent()
      if time.monotonic() > quiet_until:
        quiet_until = math.inf
        self._print_missing()
    return verdict

  def _verdict(self) -> str | None:
    """Returns the message for all; "" if they agree; None to keep waiting."""
    now = time.monotonic()
    fault = self._doubled() or self._comparison.message()
    if fault and self._fault_since is None:
      self._fault_since = now
    if self._stop.is_set():
      return self._end_reason or "process 0 has ended."
    missing = self._missing()
    if not missing:
      return fault
    noticed = self._fault_since
    if (
        fault
        and noticed is not None
        and now > min(noticed + _GRACE, self._deadline)
    ):
      return fault
    # If process 0 cannot reach itself, its own message has the reason.
    if now > self._deadline + (_GREETING if 0 in missing else 0):
      return self._absent(missing)
    return None

  def _missing(self) -> list[int]:
    """Returns the numbers of the processes that have not connected."""
    present = {guest.hello.index for guest in self._guests if guest.hello}
    return [index for index in range(self._count) if index not in present]

  def _doubled(self) -> str:
    """Returns a message if two processes have the same number; or ""."""
    greetings: dict[int, Hello] = {}
    for guest in self._guests:
      if hello := guest.hello:
        earlier = greetings.setdefault(hello.index, hello)
        if earlier.token != hello.token:
          return (
              f"two processes have the number {hello.index} (config.machine"
              f".hosts.index or JAX_PROCESS_ID): {earlier.origin}, and"
              f" {hello.origin}. Give each process a different number, from 0"
              f" to {self._count - 1}."
          )
    return ""

  def _absent(self, missing: list[int]) -> str:
    """Returns the message about processes that did not connect."""
    strangers = (
        f" {self._strangers} connections of other programs were closed."
        if self._strangers
        else ""
    )
    return (
        f"{agreement.processes(missing)} of {self._count} did not connect to"
        f" {self._address} within {self._wait:g} seconds"
        f" (config.machine.hosts.wait).{strangers} Start all"
        f" {self._count} processes, each with its own number, or set"
        " config.machine.hosts.count (JAX_NUM_PROCESSES) to the number that"
        " you start. All of them must reach this address."
    )

  def _print_missing(self) -> None:
    """Prints which processes are awaited, and for how long."""
    remaining = max(0, self._deadline - time.monotonic())
    terminal.print_message(
        f"waiting for {agreement.processes(self._missing())} of"
        f" {self._count} at {self._address}, {remaining:.0f} seconds more."
    )

  def _accept(self) -> None:
    """Accepts a connection; drops the oldest silent one of too many."""
    try:
      connection, _ = self._listener.accept()
    except OSError:  # It is closed already, or there are no file descriptors.
      return
    connection.setblocking(False)
    guest = _Guest(connection)
    self._guests.append(guest)
    self._selector.register(connection, selectors.EVENT_READ, guest)
    silent = [stranger for stranger in self._guests if not stranger.hello]
    if len(silent) > self._count + _STRANGERS:
      self._drop(silent[0])

  def _read(self, guest: _Guest) -> None:
    """Reads what a process tells about itself, and answers it."""
    try:
      message = guest.read()
      if message is None:
        return
      guest.hello = Hello.from_message(message)
    except frames.FrameError:
      self._drop(guest)
      return
    remaining = max(0.0, self._deadline - time.monotonic())
    self._send(guest, {"seconds": remaining + _GRACE})
    if guest.hello.token != self._own_hello.token:
      self._comparison.add(guest.hello.index, guest.hello.facts)

  def _send(self, guest: _Guest, message: dict[str, Any]) -> None:
    """Sends a message, unless the process is gone."""
    try:
      guest.connection.settimeout(_SENDING)
      guest.connection.sendall(frames.pack(message))
      guest.connection.setblocking(False)
    except OSError:  # The process is gone.
      pass

  def _drop_silent(self) -> None:
    """Closes connections that have not identified themselves in time."""
    begin = time.monotonic() - _GREETING
    for guest in [*self._guests]:
      if not guest.hello and guest.opened_at < begin:
        self._drop(guest)

  def _drop(self, guest: _Guest) -> None:
    """Closes a connection; a process that is gone may connect again."""
    self._strangers += not guest.hello
    self._guests.remove(guest)
    self._selector.unregister(guest.connection)
    guest.connection.close()
