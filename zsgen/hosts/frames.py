"""Messages over a socket: JSON objects with their length before them.

Whatever else comes, from a port scanner or a web browser, is a `FrameError`.
"""

import json
import socket
import struct
import time
from typing import Any

# Ends in the version of what the processes say to each other.
MAGIC = b"zsgen/hosts/1\n"
_LENGTH = struct.Struct(">I")
_HEAD = len(MAGIC) + _LENGTH.size
# Bytes of a message, at most.
MOST_BYTES = 1 << 22
_READ = 1 << 16


class FrameError(Exception):
  """What came is no message of this protocol, or ended in the middle."""


def pack(message: dict[str, Any]) -> bytes:
  """The bytes of a message; ValueError if there are too many."""
  data = json.dumps(message).encode()
  if len(data) > MOST_BYTES:
    raise ValueError(f"a message of {len(data)} bytes")
  return MAGIC + _LENGTH.pack(len(data)) + data


class Reader:
  """Puts a message together from the pieces in which it comes."""

  def __init__(self) -> None:
    self._data = bytearray()

  @property
  def wanted(self) -> int:
    """Bytes to read next: none of them is beyond this message."""
    if len(self._data) < _HEAD:
      return _HEAD - len(self._data)
    return min(_READ, self._end - len(self._data)) or 1

  @property
  def _end(self) -> int:
    """Bytes of the whole message; its head is there."""
    return _HEAD + _LENGTH.unpack_from(self._data, len(MAGIC))[0]

  def add(self, data: bytes) -> dict[str, Any] | None:
    """Takes a piece; returns the message when it is whole, otherwise None.

    Raises:
      FrameError: this will never be a message.
    """
    self._data += data
    magic = bytes(self._data[: len(MAGIC)])
    if not MAGIC.startswith(magic):
      raise FrameError("other bytes")
    if len(self._data) < _HEAD:
      return None
    if self._end > _HEAD + MOST_BYTES or len(self._data) > self._end:
      raise FrameError("too long")
    if len(self._data) < self._end:
      return None
    try:
      message = json.loads(self._data[_HEAD:])
    except (ValueError, RecursionError) as error:
      raise FrameError("no JSON") from error
    if not isinstance(message, dict):
      raise FrameError("no JSON object")
    return message


def receive(connection: socket.socket, seconds: float) -> dict[str, Any]:
  """Waits for one message.

  Raises:
    FrameError: something else came, or the connection was closed.
    TimeoutError: it is not whole within these seconds.
    OSError: the connection broke.
  """
  reader, end = Reader(), time.monotonic() + seconds
  while True:
    left = end - time.monotonic()
    if left <= 0:
      raise TimeoutError
    connection.settimeout(left)
    # Never beyond the message: another one may follow it.
    data = connection.recv(reader.wanted)
    if not data:
      raise FrameError("closed")
    if (message := reader.add(data)) is not None:
      return message
