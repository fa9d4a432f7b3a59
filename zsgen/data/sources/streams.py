"""Opens text files, decompressed, and recognizes their kind."""

import bz2
from collections.abc import Mapping
import io
import json
import lzma
import pathlib
from typing import Any

import pyarrow as pa

from zsgen.core import errors, strict_json
from zsgen.data.sources import files

# Errors of reading a damaged file.
BROKEN = (OSError, EOFError, lzma.LZMAError)
_BUFFER = 1 << 16
_BOM = b"\xef\xbb\xbf"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
# The most bytes of a file that are parsed for a message.
_MAX_PARSED = 1 << 26


def open_stream(file: files.File) -> io.BufferedReader:
  """Opens a file as decompressed bytes."""
  if file.packed == "bz2":
    return io.BufferedReader(bz2.open(file.path), _BUFFER)
  if file.packed == "xz":
    return io.BufferedReader(lzma.open(file.path), _BUFFER)
  if file.packed:
    packed = pa.input_stream(str(file.path), compression=file.packed)
    return io.BufferedReader(packed, _BUFFER)
  return io.BufferedReader(io.FileIO(file.path), _BUFFER)


class _Range(io.FileIO):
  """Bytes of a file, from one position to another."""

  def __init__(self, path: pathlib.Path, begin: int, end: int):
    super().__init__(path)
    self.seek(begin)
    self._end = end

  def readinto(self, buffer: Any) -> int:
    """Fills a buffer; returns the number of bytes, 0 at the end."""
    size = max(0, min(len(buffer), self._end - self.tell()))
    return super().readinto(memoryview(buffer)[:size]) if size else 0


def open_range(file: files.File, begin: int, end: int) -> io.BufferedReader:
  """Opens bytes of a file that is not compressed."""
  return io.BufferedReader(_Range(file.path, begin, end), _BUFFER)


def kind(stream: io.BufferedReader, file: files.File) -> str:
  """Returns the layout of a text file: "array", "lines", or its format.

  Args:
    stream: a stream at the beginning of the file; it is not moved.
    file: a file of a text format.

  Raises:
    InputError: the text is UTF-16, or one JSON object over several lines.
  """
  begin = stream.peek(_BUFFER)
  if begin.startswith(_UTF16):
    raise errors.InputError(
        f"{file.path}: is UTF-16, not UTF-8. Convert it:"
        " iconv -f UTF-16 -t UTF-8 FILE > ANOTHER."
    )
  if file.format != "json":
    return file.format
  text = begin.removeprefix(_BOM).lstrip()
  if text.startswith(b"["):
    return "array"
  _check_lines(text, file)
  return "lines"


def _check_lines(begin: bytes, file: files.File) -> None:
  """Raises InputError if the text is one object over several lines."""
  line, has_more, _ = begin.partition(b"\n")
  if not has_more or not line.startswith(b"{") or not _is_open(line):
    return
  with open_stream(file) as stream:
    text = stream.read(_MAX_PARSED).removeprefix(_BOM)
  try:
    value = json.loads(text)
  except (ValueError, RecursionError):
    return
  raise errors.InputError(f"{file.path}: {describe_object(value)}")


def describe_object(value: Mapping[str, Any]) -> str:
  """Returns a message on a file that is one object, and what to do."""
  lists = [name for name, inner in value.items() if isinstance(inner, list)]
  names = ", ".join(map(repr, lists[:3])) + ", …" * (len(lists) > 3)
  hint = f" Its rows may be in {names}: save only that list." if lists else ""
  return (
      "is one JSON object; rows must be an array ([…]) of objects, or lines"
      f" with one object each.{hint}"
  )


def _is_open(line: bytes) -> bool:
  """Returns whether a line is an incomplete but valid JSON value."""
  text = line.decode("utf-8", "replace").rstrip()
  try:
    strict_json.Decoder().decode(text)
  except json.JSONDecodeError as error:
    return error.pos >= len(text)
  except (ValueError, RecursionError):
    pass
  return False
