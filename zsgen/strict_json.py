"""JSON that users, publishers and other programs wrote, checked.

Python's parser takes the last of two equal keys, and ends in errors of its own
where values are nested too deeply or numbers have thousands of digits. Here
these are bad input, as broken JSON is.
"""

from collections.abc import Sequence
import json
import pathlib
import re
from typing import Any

from zsgen import errors

# Strings, so that brackets in them do not count, and brackets.
_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)
_DEEP = 500
_LONG_NUMBER = re.compile(r"\d{4301,}")


class Decoder:
  """Parses JSON values; keys that an object has twice are errors.

  Attributes:
    repeated: the keys that came twice in the last value.
  """

  def __init__(self):
    self.repeated: list[str] = []
    self._decoder = json.JSONDecoder(object_pairs_hook=self._object)

  def decode_at(self, text: str, begin: int) -> tuple[Any, int]:
    """Parses the value at a position; returns it and its end.

    `repeated` has to be looked at: it does not raise, since the end of a value
    says where the next one is.

    Raises:
      ValueError: broken JSON, or a number with too many digits.
      RecursionError: nested too deeply.
    """
    self.repeated.clear()
    return self._decoder.raw_decode(text, begin)

  def decode(self, text: str) -> Any:
    """Parses a text that is one value; raises as `decode_at`, and for keys."""
    self.repeated.clear()
    value = self._decoder.decode(text)
    if self.repeated:
      raise ValueError(describe_repeated(self.repeated))
    return value

  def _object(self, pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) < len(pairs):
      names = [name for name, _ in pairs]
      self.repeated += sorted({n for n in names if names.count(n) > 1})
    return record


def describe_repeated(names: Sequence[str]) -> str:
  """Says which key came twice."""
  return f"the key {names[0]!r} is there twice"


def describe(error: ValueError | RecursionError) -> str:
  """Says what is wrong with JSON, in a few words that fit into brackets."""
  if isinstance(error, json.JSONDecodeError):
    return f"{error.msg}, column {error.colno}"
  if isinstance(error, RecursionError):
    return "nested too deeply"
  if "set_int_max_str_digits" in str(error):
    return "a number with more than 4,300 digits"
  return str(error)


def read(path: pathlib.Path, hint: str = "", unique: bool = True) -> Any:
  """Parses a file that is one value; a byte order mark is passed over.

  Args:
    path: the file, UTF-8.
    hint: a sentence on what to do, for messages.
    unique: a key that an object has twice is an error, too; if not, the last
      one counts, as for most other programs.

  Raises:
    InputError: it cannot be read, is not UTF-8, or not JSON; names the line.
  """
  after = f" {hint}" if hint else ""
  try:
    text = path.read_bytes().removeprefix(b"\xef\xbb\xbf").decode()
  except OSError as error:
    reason = error.strerror or str(error)
    raise errors.InputError(
        f"{path}: cannot be read ({reason}).{after}"
    ) from error
  except UnicodeDecodeError as error:
    raise errors.InputError(
        f"{path}: is not JSON: it is not UTF-8 ({error}).{after}"
    ) from error
  try:
    return Decoder().decode(text) if unique else json.loads(text)
  except (ValueError, RecursionError) as error:
    line = _line(text, error)
    place = f"{path}, line {line}" if line else str(path)
    raise errors.InputError(
        f"{place}: is not JSON ({describe(error)}).{after}"
    ) from error


def _line(text: str, error: ValueError | RecursionError) -> int:
  """The line that an error is in, from 1; 0 if that is not known."""
  if isinstance(error, json.JSONDecodeError):
    return error.lineno
  place = None
  if isinstance(error, RecursionError):
    place = _deepest(text)
  elif "set_int_max_str_digits" in str(error):
    place = _LONG_NUMBER.search(text)
  return text.count("\n", 0, place.start()) + 1 if place else 0


def _deepest(text: str) -> re.Match[str] | None:
  """The first bracket that is deeper than any data has."""
  depth = 0
  for token in _BRACKETS.finditer(text):
    if token[0] in "[{":
      depth += 1
    elif token[0] in "]}":
      depth -= 1
    if depth > _DEEP:
      return token
  return None
