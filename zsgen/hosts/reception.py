"""Process 0 receives the others, at the address of jax's coordinator.

A thread listens until all processes have come, compares what they say of
themselves, and sends one verdict to all. Connections of other programs are
closed: those that send other bytes at once, those that send nothing after a
while.
"""

from collections.abc import Mapping
import dataclasses
import errno
import selectors
import socket
import threading
import time
from typing import Any

from zsgen import terminal
from zsgen.hosts import addresses, agreement, frames

# Seconds that a connection has to say who it is.
_GREETING = 10.0
# Seconds that processes which are late have to hear a verdict against them.
_GRACE = 10.0
# Connections at once beyond those of the processes.
_STRANGERS = 64
# Seconds after which people are told who is missing.
_QUIET = 15.0
# Seconds to send a verdict to one process.
_SENDING = 5.0
_POLL = 0.1


@dataclasses.dataclass(frozen=True)
class Hello:
  """What a process says of itself.

  Attributes:
    index: its number.
    where: its host and process id, for people.
    token: no other process has it.
    facts: what all must have in common.
  """

  index: int
  where: str
  token: str
  facts: agreement.Facts

  def to_message(self) -> dict[str, Any]:
    """Plain, as JSON has it."""
    return dataclasses.asdict(self)

  @classmethod
  def from_message(cls, message: Mapping[str, Any]) -> "Hello":
    """Checks a message; FrameError if it is not one of these."""
    kinds = {"index": int, "where": str, "token": str, "facts": dict}
    if {name: type(value) for name, value in message.items()} != kinds:
      raise frames.FrameError("no greeting")
    facts = message["facts"]
    texts = (*facts, *facts.values(), message["where"], message["token"])
    if message["index"] < 0 or not all(map(_is_plain, texts)):
      raise frames.FrameError("no greeting")
    return cls(**message)


def _is_plain(text: Any) -> bool:
  """Whether it is a text that can be shown to people as it is."""
  return isinstance(text, str) and len(text) < 1000 and text.isprintable()


def _open_port(port: int) -> socket.socket:
  """Listens on all interfaces, of IPv4 alone where there is no IPv6."""
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
  """A connection, and who it is when it has said so."""

  def __init__(self, connection: socket.socket):
    self.connection = connection
    self.since = time.monotonic()
    self.hello: Hello | None = None
    self._reader = frames.Reader()

  def read(self) -> dict[str, Any] | None:
    """Reads what has come: a message, or None if it is not whole yet.

    Raises:
      FrameError: it is closed, or another program's.
    """
    try:
      data = self.connection.recv(self._reader.wanted)
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
    address: where the others come to.
    port: of this host that leads there; on all interfaces, as jax's will be.
    count: processes that must come, process 0 among them.
    mine: what process 0 says of itself.
    wait: seconds to wait for them.
  """

  def __init__(
      self,
      address: addresses.Address,
      port: int,
      count: int,
      mine: Hello,
      wait: float,
  ):
    self._address, self._port = address, port
    self._count, self._mine = count, mine
    self._deadline = time.monotonic() + wait
    self._wait = wait
    self._guests: list[_Guest] = []
    self._comparison = agreement.Comparison(mine.facts)
    self._fault_since: float | None = None
    self._strangers = 0
    self._ended_by = ""
    self._stop = threading.Event()
    self._thread = threading.Thread(target=self._receive, daemon=True)

  def open(self) -> None:
    """Starts to listen; OSError if the port cannot be had."""
    self._listener = _open_port(self._port)
    self._listener.setblocking(False)
    self._thread.start()

  def close(self, why: str = "") -> None:
    """Ends it, and waits for the port to be free.

    Args:
      why: what all processes get to hear if there is no verdict yet.
    """
    self._ended_by = why
    self._stop.set()
    self._thread.join()

  def _receive(self) -> None:
    """Listens until there is a verdict, and sends it."""
    try:
      with selectors.DefaultSelector() as self._selector:
        verdict = self._listen()
      # Before anybody hears of it: jax is to have the port.
      self._listener.close()
      for guest in self._guests:
        if guest.hello:
          self._send(guest, {"verdict": verdict})
    finally:
      for each in (self._listener, *(it.connection for it in self._guests)):
        each.close()

  def _listen(self) -> str:
    """Takes connections until there is a verdict; returns it."""
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
        quiet_until = self._deadline
        self._say_who_is_missing()
    return verdict

  def _verdict(self) -> str | None:
    """The message for all, "" if they agree; None while some are missing."""
    now = time.monotonic()
    fault = self._doubled() or self._comparison.message()
    if fault and self._fault_since is None:
      self._fault_since = now
    if self._stop.is_set():
      return self._ended_by or "process 0 has ended."
    missing = self._missing()
    if not missing:
      return fault
    if fault and now > min(self._fault_since + _GRACE, self._deadline):
      return fault
    # Where process 0 does not reach itself, it knows why and says so.
    if now > self._deadline + (_GREETING if 0 in missing else 0):
      return self._absent(missing)
    return None

  def _missing(self) -> list[int]:
    """Numbers of the processes that are not here."""
    present = {guest.hello.index for guest in self._guests if guest.hello}
    return [index for index in range(self._count) if index not in present]

  def _doubled(self) -> str:
    """What to say if one number is that of two processes; otherwise ""."""
    known: dict[int, Hello] = {}
    for guest in self._guests:
      if hello := guest.hello:
        other = known.setdefault(hello.index, hello)
        if other.token != hello.token:
          return (
              f"two processes have the number {hello.index} (config.machine"
              f".hosts.index or JAX_PROCESS_ID): {other.where}, and"
              f" {hello.where}. Give each process a number of its own, from 0"
              f" to {self._count - 1}."
          )
    return ""

  def _absent(self, missing: list[int]) -> str:
    strangers = (
        f" {self._strangers} connections of other programs were closed."
        if self._strangers
        else ""
    )
    return (
        f"{agreement.processes(missing)} of {self._count} did not come to"
        f" {self._address} within {self._wait:g} seconds"
        f" (config.machine.hosts.wait).{strangers} Start all"
        f" {self._count} processes, each with its own number, or set"
        " config.machine.hosts.count (JAX_NUM_PROCESSES) to the number that"
        " you start; all must reach this address."
    )

  def _say_who_is_missing(self) -> None:
    left = max(0, self._deadline - time.monotonic())
    terminal.tell(
        f"waiting for {agreement.processes(self._missing())} of"
        f" {self._count} at {self._address}, {left:.0f} seconds more."
    )

  def _accept(self) -> None:
    try:
      connection, _ = self._listener.accept()
    except OSError:  # It is gone already, or there are no file descriptors.
      return
    connection.setblocking(False)
    guest = _Guest(connection)
    self._guests.append(guest)
    self._selector.register(connection, selectors.EVENT_READ, guest)
    silent = [each for each in self._guests if not each.hello]
    if len(silent) > self._count + _STRANGERS:
      self._drop(silent[0])

  def _read(self, guest: _Guest) -> None:
    try:
      message = guest.read()
      if message is None:
        return
      guest.hello = Hello.from_message(message)
    except frames.FrameError:
      self._drop(guest)
      return
    left = max(0.0, self._deadline - time.monotonic())
    self._send(guest, {"seconds": left + _GRACE})
    if guest.hello.token != self._mine.token:
      self._comparison.add(guest.hello.index, guest.hello.facts)

  def _send(self, guest: _Guest, message: dict[str, Any]) -> None:
    try:
      guest.connection.settimeout(_SENDING)
      guest.connection.sendall(frames.pack(message))
      guest.connection.setblocking(False)
    except OSError:  # Gone; nobody is left to hear it.
      pass

  def _drop_silent(self) -> None:
    """Closes connections that have not said in time who they are."""
    begin = time.monotonic() - _GREETING
    for guest in [*self._guests]:
      if not guest.hello and guest.since < begin:
        self._drop(guest)

  def _drop(self, guest: _Guest) -> None:
    """Closes a connection; a process that is gone may come again."""
    self._strangers += not guest.hello
    self._guests.remove(guest)
    self._selector.unregister(guest.connection)
    guest.connection.close()
