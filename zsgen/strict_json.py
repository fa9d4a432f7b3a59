"""JSON that users, publishers and other programs wrote, checked.

Python's parser takes the last of two equal keys, and ends in errors of its own
where values are nested too deeply or numbers have thousands of digits. Here
these are bad input, as broken JSON is.
"""

from collections.abc import Sequence
import json
import pathlib
from typing import Any

from zsgen import errors


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


def parse(text: str | bytes, place: str) -> Any:
  """Parses a text that is one value.

  Args:
    text: the text; UTF-8 where it is bytes.
    place: the file, and the line if the text is one, for messages.

  Raises:
    InputError: it is not UTF-8, or not JSON; names the line.
  """
  try:
    if isinstance(text, bytes):
      text = text.decode()
    return Decoder().decode(text)
  except UnicodeDecodeError as error:
    raise errors.InputError(f"{place}: is not UTF-8 ({error}).") from error
  except json.JSONDecodeError as error:
    line = f", line {error.lineno}" if "\n" in text else ""
    raise errors.InputError(
        f"{place}{line}: broken JSON ({describe(error)})."
    ) from error
  except (ValueError, RecursionError) as error:
    raise errors.InputError(
        f"{place}: broken JSON ({describe(error)})."
    ) from error


def read(path: pathlib.Path, hint: str = "") -> Any:
  """Parses a file that is one value; a byte order mark is passed over.

  Args:
    path: the file.
    hint: a sentence on what to do, for messages.

  Raises:
    InputError: it cannot be read, or see `parse`.
  """
  after = f" {hint}" if hint else ""
  try:
    return parse(path.read_bytes().removeprefix(b"\xef\xbb\xbf"), str(path))
  except OSError as error:
    reason = error.strerror or str(error)
    raise errors.InputError(
        f"{path}: cannot be read ({reason}).{after}"
    ) from error
  except errors.InputError as error:
    raise errors.InputError(f"{error}{after}") from error
