"""Quotes of separated values that are left open, and what they swallow.

A quoted cell may hold line breaks, so that a quote without its end takes later
rows into one cell, up to the next quote or to the end of the file.
"""

from collections.abc import Sequence
import csv
from typing import NamedTuple

# Lines of a record that are looked at one by one: no common text has more.
_MANY = 100


class Record(NamedTuple):
  """A record of several lines, as a csv reader found it."""

  # The number of its first line, from 1.
  first: int
  # Its lines, but for one that is too long.
  lines: Sequence[str]
  # Its cells; none if the reader could not tell them.
  cells: Sequence[str]
  # Whether the file, or what can be read of it in one go, ends inside it.
  ended: bool


def opened(record: Record) -> int:
  """The line of the quote that spans most lines, or that is still open."""
  breaks = [cell.count("\n") for cell in record.cells]
  if not breaks:
    return record.first
  cell = len(breaks) - 1 if record.ended else breaks.index(max(breaks))
  return record.first + sum(breaks[:cell])


def wrong(record: Record, delimiter: str, width: int) -> str:
  """What is wrong with the quotes of a record; "" if they are right.

  Args:
    record: of more than one line.
    delimiter: what stands between cells.
    width: cells of a row. Many lines, most of which would be rows of so many
      cells, are rows: the quotes around them are those of two rows.
  """
  if record.ended or not record.cells:
    return "is not closed"
  try:
    list(csv.reader(record.lines, delimiter=delimiter, strict=True))
  except csv.Error:
    return f"does not end before a {delimiter!r} or a line's end"
  rows = sum(line.count(delimiter) == width - 1 for line in record.lines)
  if width > 1 and _MANY < len(record.lines) < 2 * rows:
    return "goes on over lines that are rows by themselves"
  return ""
