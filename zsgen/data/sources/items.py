"""Work items: parts of a source that are scanned on their own.

They depend on the source alone, never on how many workers share them.
"""

import pathlib
import re
from typing import BinaryIO, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from zsgen.data.sources import files, json_rows, records, streams

# The end of an item that is a whole file, and its number of rows, which only a
# scan tells.
WHOLE = -1
# Bytes of a file that are an item: large enough for tables of a few thousand
# rows, small enough for a thousand workers.
SIZE = 1 << 24
# A line that is blank, between the ends of two lines.
_BLANK = re.compile(rb"\n[ \t\r\x0b\x0c]*(?=\n)")
_BOM = b"\xef\xbb\xbf"


class Item(NamedTuple):
  """A part of a source.

  Attributes:
    file: the number of its file among `parts.Reader.files`.
    begin: its first byte, or its first row group.
    end: where the next item begins; WHOLE for all of the file.
    row: the number of its first row in the file.
    line: the number of its first line in the file, from 0.
    rows: its number of rows; WHOLE if it is not known before the scan.
  """

  file: int
  begin: int = 0
  end: int = WHOLE
  row: int = 0
  line: int = 0
  rows: int = WHOLE


def split(file: files.File, number: int) -> list[Item]:
  """Splits a file into items of about SIZE bytes, in its order.

  JSON lines are split between lines, Parquet files between row groups. Other
  files are an item each, and so is a file that cannot be read: its scan says
  why.

  Args:
    file: the file.
    number: its number in the source.
  """
  parts = []
  try:
    if file.format == "parquet":
      parts = _row_groups(file.path, number)
    elif file.format == "json" and not file.packed and _has_lines(file):
      parts = _lines(file.path, number)
  except (*streams.BROKEN, pa.ArrowException, ValueError):
    pass
  return parts if len(parts) > 1 else [Item(number)]


def _has_lines(file: files.File) -> bool:
  with streams.open_stream(file) as stream:
    return streams.kind(stream, file) == "lines"


def _row_groups(path: pathlib.Path, number: int) -> list[Item]:
  """Returns runs of row groups."""
  parts, begin, row, rows, size = [], 0, 0, 0, 0
  with pq.ParquetFile(path) as file:
    metadata = file.metadata
  for group in range(metadata.num_row_groups):
    described = metadata.row_group(group)
    rows += described.num_rows
    size += described.total_byte_size
    if size >= SIZE or group + 1 == metadata.num_row_groups:
      parts.append(Item(number, begin, group + 1, row, 0, rows))
      begin, row, rows, size = group + 1, row + rows, 0, 0
  return parts


def _lines(path: pathlib.Path, number: int) -> list[Item]:
  """Returns runs of lines."""
  parts, begin, row, line = [], 0, 0, 0
  with open(path, "rb") as file:
    while text := file.read(SIZE):
      text += _rest_of_line(file, text)
      end = file.tell()
      lines, rows = _count(text.removeprefix(b"" if begin else _BOM))
      parts.append(Item(number, begin, end, row, line, rows))
      begin, row, line = end, row + rows, line + lines
  return parts


def _rest_of_line(file: BinaryIO, text: bytes) -> bytes:
  """Reads up to the end of a line, and returns what it read.

  Of a line that is too long, the beginning is returned: it is a row.
  """
  if text.endswith(b"\n"):
    return b""
  rest = file.readline(records.LONGEST + 1)
  if len(rest) > records.LONGEST:
    json_rows.skip_line(file, rest)
    return b"(long)"
  return rest


def _count(text: bytes) -> tuple[int, int]:
  """Returns the number of lines, and of those that are rows."""
  text = b"\n" + text + (b"" if text.endswith(b"\n") else b"\n")
  lines = text.count(b"\n") - 1
  return lines, lines - len(_BLANK.findall(text))
