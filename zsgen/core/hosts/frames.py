"""Messages over a socket: JSON objects, each preceded by its length.

Anything else, such as the bytes of a port scanner or a web browser, is a
`FrameError`.
"""

import json
import socket
import struct
import time
from typing import Any

# Ends with the version of the protocol.
MAGIC = b"zsgen/core/hosts/1\n"
_LENGTH = struct.Struct(">I")
_HEAD = len(MAGIC) + _LENGTH.size
# The largest message, in bytes.
MOST_BYTES = 1 << 22
_READ = 1 << 16


class FrameError(Exception):
  """The bytes are not a message of this protocol, or end too early."""


def pack(message: dict[str, Any]) -> bytes:
  """Returns the bytes of a message; raises ValueError if too many."""
  data = json.dumps(message).encode()
  if len(data) > MOST_BYTES:
    raise ValueError(f"a message of {len(data)} bytes")
  return MAGIC + _LENGTH.pack(len(data)) + data


class Reader:
  """Assembles a message from the pieces in which it arrives."""

  def __init__(self) -> None:
    self._data = bytearray()

  @property
  def bytes_to_read(self) -> int:
    """The number of bytes to read next, none of them beyond this message."""
    if len(self._data) < _HEAD:
      return _HEAD - len(self._data)
    return min(_READ, self._end - len(self._data)) or 1

  @property
  def _end(self) -> int:
    """The size of the whole message, whose head has arrived."""
    return _HEAD + _LENGTH.unpack_from(self._data, len(MAGIC))[0]

  def add(self, data: bytes) -> dict[str, Any] | None:
    """Adds a piece; returns the message if it is complete, otherwise None.

    Raises:
      FrameError: this cannot become a message.
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
    FrameError: other bytes arrived, or the connection was closed.
    TimeoutError: the message is not complete in time.
    OSError: the connection broke.
  """
  reader, end = Reader(), time.monotonic() + seconds
  while True:
    remaining = end - time.monotonic()
    if remaining <= 0:
      raise TimeoutError
    connection.settimeout(remaining)
    # Never beyond the message: another one may follow it.
    data = connection.recv(reader.bytes_to_read)
    if not data:
      raise FrameError("closed")
    if (message := reader.add(data)) is not None:
      return message
