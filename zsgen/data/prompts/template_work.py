"""The work that a chat template may do: counted, and the same everywhere.

Templates are programs of others. Work is counted in units, of about 10
nanoseconds, and never by a clock: a template that is refused on one machine is
refused on all.
"""

from collections.abc import Iterable, Iterator, Sequence
import types
from typing import Any

from jinja2 import utils

from zsgen import errors

# Units of a rendering, and those for each character of the conversation and
# of the template.
_UNITS, _UNITS_PER_CHARACTER = 50_000_000, 200
# Characters of the longest value: text, or list with all that is in it. And
# those for each character of the conversation.
_LENGTH, _LENGTH_PER_CHARACTER = 1_000_000, 10
# Units of an iteration, a filter, a call, a call of a macro, and of a value in
# a list. A character is a quarter of one.
STEP, FILTER, CALL, MACRO, ITEM = 50, 150, 200, 4000, 90
# Bits of the largest whole number, and lists inside lists.
_BITS, _DEPTH = 4096, 100
# What a value that is no text counts as, in characters.
_SCALAR = 8
# Characters of text whose work in a list is that of an item.
_SHORT = 100
# What filters give that make their items one by one.
ITERATORS = (types.GeneratorType, map, filter, zip, enumerate, reversed)


class LimitError(errors.InputError):
  """A template does more than a template needs to."""


class Work:
  """What a rendering may still do."""

  def __init__(self):
    self._units = 0
    self._length = 0
    self.start(0)

  def start(self, characters: int) -> None:
    """Begins a rendering of so many characters of template and messages."""
    self._units = _UNITS + _UNITS_PER_CHARACTER * characters
    self._length = _LENGTH + _LENGTH_PER_CHARACTER * characters

  def spend(self, units: int) -> None:
    """Counts work.

    Raises:
      LimitError: it is more than is left.
    """
    self._units -= units
    if self._units < 0:
      raise LimitError(
          "it takes more steps than a chat template may (about a million for a"
          " short conversation)"
      )

  def take(self, length: int) -> None:
    """Counts a text; as `spend` and `check`, but quicker."""
    self._units -= 1 + (length >> 2)
    if self._units < 0 or length > self._length:
      self.check(length)
      self.spend(0)

  def check(self, length: int) -> None:
    """Raises LimitError for a value of more characters than one may have."""
    if length > self._length:
      raise LimitError(
          f"it makes a text or a list of {length:,} characters, and"
          f" {self._length:,} are the most for this conversation"
      )

  def check_bits(self, bits: float) -> None:
    """Raises LimitError for a whole number of more bits than one may have."""
    if bits > _BITS:
      raise LimitError(f"it makes a number of more than {_BITS:,} bits")

  def measure(self, value: Any, depth: int = 0) -> int:
    """Returns the length of a value in characters, and counts its work.

    What is in a list twice counts twice.

    Raises:
      LimitError: it is too long, or holds itself.
    """
    if isinstance(value, str):
      length = len(value)
      self.take(length)
      return length
    if isinstance(value, int):
      self.check_bits(value.bit_length())
      return _SCALAR
    if value is None or isinstance(value, float):
      return _SCALAR
    return self._measure_all(value, depth)

  def _measure_all(self, value: Any, depth: int) -> int:
    """The length of what is no single value."""
    if depth > _DEPTH:
      raise LimitError(f"it puts lists into lists, more than {_DEPTH} deep")
    if isinstance(value, range):
      length = len(value) * _SCALAR
      self.spend(length)
      return length
    children = _children(value)
    self.spend(ITEM * len(children))
    length = 2 + 2 * len(children)
    self.check(length)
    for child in children:
      # Most are short, and are measured here.
      kind = type(child)
      if kind is str and len(child) < _SHORT:
        length += len(child)
      elif kind is bool or child is None:
        length += _SCALAR
      else:
        length += self.measure(child, depth + 1)
        if length > self._length:
          self.check(length)
    return length

  def count(self, items: Iterable[Any]) -> Iterator[Any]:
    """Yields the items, each of which is a step."""
    for item in items:
      self.spend(STEP)
      yield item

  def counted(self, value: Any) -> Any:
    """Returns an iterator whose items are counted; other values as they are."""
    if isinstance(value, ITERATORS):
      return self.count(value)
    return value


def _children(value: Any) -> Sequence[Any]:
  """What is in a container."""
  if isinstance(value, list | tuple):
    return value
  if isinstance(value, dict):
    return [*value, *value.values()]
  if isinstance(value, set | frozenset):
    return list(value)
  if isinstance(value, utils.Namespace):
    return [value._Namespace__attrs]
  return ()
