"""Parses JSON that users, publishers and other programs wrote.

Of two equal keys, Python's parser keeps the last one, and for deeply nested
values and numbers with thousands of digits it raises other errors than for
broken JSON. Here all of these are bad input.
"""

from collections.abc import Sequence
import json
import pathlib
import re
from typing import Any

from zsgen.core import errors

# Strings, so that brackets in them do not count, and brackets.
_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)
_DEEP = 500
_LONG_NUMBER = re.compile(r"\d{4301,}")


class Decoder:
  """Parses JSON values, and finds keys that an object has twice.

  Attributes:
    repeated: the repeated keys of the value that was parsed last.
  """

  def __init__(self):
    self.repeated: list[str] = []
    self._decoder = json.JSONDecoder(object_pairs_hook=self._object)

  def decode_at(self, text: str, begin: int) -> tuple[Any, int]:
    """Parses the value at a position; returns it and its end.

    Callers must check `repeated`. Repeated keys do not raise an error, because
    the end of a value is needed to find the next one.

    Raises:
      ValueError: broken JSON, or a number with too many digits.
      RecursionError: the value is nested too deeply.
    """
    self.repeated.clear()
    return self._decoder.raw_decode(text, begin)

  def decode(self, text: str) -> Any:
    """Parses a text that is one value.

    Raises:
      ValueError: as for `decode_at`, or an object has a key twice.
      RecursionError: the value is nested too deeply.
    """
    self.repeated.clear()
    value = self._decoder.decode(text)
    if self.repeated:
      raise ValueError(describe_repeated(self.repeated))
    return value

  def _object(self, pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Returns an object, and notes names that it has twice."""
    record = dict(pairs)
    if len(record) < len(pairs):
      names = [name for name, _ in pairs]
      self.repeated += sorted({n for n in names if names.count(n) > 1})
    return record


def describe_repeated(names: Sequence[str]) -> str:
  """Returns a message that names the repeated key."""
  return f"the key {names[0]!r} is there twice"


def describe(error: ValueError | RecursionError) -> str:
  """Returns what is wrong with JSON, in a few words that fit in parentheses."""
  if isinstance(error, json.JSONDecodeError):
    return f"{error.msg}, column {error.colno}"
  if isinstance(error, RecursionError):
    return "nested too deeply"
  if "set_int_max_str_digits" in str(error):
    return "a number with more than 4,300 digits"
  return str(error)


def read(path: pathlib.Path, hint: str = "", unique: bool = True) -> Any:
  """Parses a file that is one value; a byte order mark is ignored.

  Args:
    path: the file, UTF-8.
    hint: a sentence on what to do, for messages.
    unique: whether repeated keys are errors; otherwise the last one counts, as
      in most other programs.

  Raises:
    InputError: the file cannot be read, is not UTF-8, or is not JSON; the
      message names the line.
  """
  suffix = f" {hint}" if hint else ""
  try:
    text = path.read_bytes().removeprefix(b"\xef\xbb\xbf").decode()
  except OSError as error:
    reason = error.strerror or str(error)
    raise errors.InputError(
        f"{path}: cannot be read ({reason}).{suffix}"
    ) from error
  except UnicodeDecodeError as error:
    raise errors.InputError(
        f"{path}: is not JSON: it is not UTF-8 ({error}).{suffix}"
    ) from error
  try:
    return Decoder().decode(text) if unique else json.loads(text)
  except (ValueError, RecursionError) as error:
    line = _line(text, error)
    location = f"{path}, line {line}" if line else str(path)
    raise errors.InputError(
        f"{location}: is not JSON ({describe(error)}).{suffix}"
    ) from error


def _line(text: str, error: ValueError | RecursionError) -> int:
  """Returns the line of an error, from 1; 0 if it is unknown."""
  if isinstance(error, json.JSONDecodeError):
    return error.lineno
  match = None
  if isinstance(error, RecursionError):
    match = _deepest(text)
  elif "set_int_max_str_digits" in str(error):
    match = _LONG_NUMBER.search(text)
  return text.count("\n", 0, match.start()) + 1 if match else 0


def _deepest(text: str) -> re.Match[str] | None:
  """Returns the first bracket that is nested deeper than the limit."""
  depth = 0
  for token in _BRACKETS.finditer(text):
    if token[0] in "[{":
      depth += 1
    elif token[0] in "]}":
      depth -= 1
    if depth > _DEEP:
      return token
  return None
