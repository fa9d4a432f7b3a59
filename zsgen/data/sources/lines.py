"""JSON lines: a row a line; one that is broken does not spoil the next."""

from collections.abc import Iterator
import itertools
import pathlib
from typing import Any, BinaryIO

from zsgen.core import errors, strict_json
from zsgen.data.sources import records

_BOM = b"\xef\xbb\xbf"
# Bytes of a too long line that are passed over in one go.
_CHUNK = 1 << 20


def scan(stream: BinaryIO, path: pathlib.Path) -> Iterator[records.Row]:
  """Every line that is not blank, with its bytes' place.

  Args:
    stream: the file's bytes, UTF-8.
    path: its name, for messages.
  """
  begin, decoder = 0, strict_json.Decoder()
  for number in itertools.count(1):
    line = stream.readline(records.LONGEST + 1)
    if not line:
      return
    place = f"{path}, line {number}"
    bom = len(_BOM) * (number == 1 and line.startswith(_BOM))
    if len(line) > records.LONGEST:
      passed = skip(stream, line)
      old = number == 1 and b"\r" in line
      wrong = records.old_lines if old else records.too_long
      yield records.Row(place, wrong(place))
      begin += passed
    elif line[bom:].strip():
      value = _parse(line[bom:], place, decoder)
      yield records.Row(place, value, begin + bom, len(line) - bom)
    begin += len(line)


def skip(stream: BinaryIO, line: bytes) -> int:
  """Goes on to the end of a line.

  Args:
    stream: stands behind the line's beginning.
    line: that beginning.

  Returns:
    The bytes passed over.
  """
  passed = 0
  while line and not line.endswith(b"\n"):
    line = stream.readline(_CHUNK)
    passed += len(line)
  return passed


def _parse(line: bytes, place: str, decoder: strict_json.Decoder) -> Any:
  """The line's value, or what is wrong with it."""
  try:
    # With its end, a column could be one of the line after it.
    return decoder.decode(line.rstrip(b"\r\n").decode())
  except UnicodeDecodeError as error:
    return errors.InputError(f"{place}: is not UTF-8 ({error}).")
  except (ValueError, RecursionError) as error:
    if b"\r" in line.rstrip(b"\r\n"):
      return records.old_lines(place)
    said = strict_json.describe(error)
    return errors.InputError(f"{place}: broken JSON ({said}).")
