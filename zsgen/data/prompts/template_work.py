"""Counts and limits the work of a chat template, equally on all machines.

Templates are untrusted programs. Work is counted in units of about 10
nanoseconds instead of by a clock, so that a template that one machine refuses
is refused by all.
"""

from collections.abc import Iterable, Iterator, Sequence
import types
from typing import Any

from jinja2 import utils

from zsgen.core import errors

# Units of a rendering, and additional units for each character of the
# conversation and of the template.
_UNITS, _UNITS_PER_CHARACTER = 50_000_000, 200
# Characters of the longest value, a text or a list with its contents, and
# additional characters for each character of the conversation.
_LENGTH, _LENGTH_PER_CHARACTER = 1_000_000, 10
# Units of an iteration, a filter, a call, a call of a macro, and a value in a
# list. A character is a quarter of a unit.
STEP, FILTER, CALL, MACRO, ITEM = 50, 150, 200, 4000, 90
# Bits of the largest integer, and the depth of nested lists.
_BITS, _DEPTH = 4096, 100
# Number of characters that a value other than text counts as.
_SCALAR = 8
# Texts shorter than this count like any item of a list.
_SHORT = 100
# Types of the results of lazy filters.
ITERATORS = (types.GeneratorType, map, filter, zip, enumerate, reversed)


class LimitError(errors.InputError):
  """A template does more work than templates need."""


class Work:
  """The remaining work of a rendering."""

  def __init__(self):
    self._units = 0
    self._length = 0
    self.start(0)

  def start(self, characters: int) -> None:
    """Starts a rendering.

    Args:
      characters: number of characters of the template and the messages.
    """
    self._units = _UNITS + _UNITS_PER_CHARACTER * characters
    self._length = _LENGTH + _LENGTH_PER_CHARACTER * characters

  def spend(self, units: int) -> None:
    """Counts work.

    Raises:
      LimitError: the work exceeds what remains.
    """
    self._units -= units
    if self._units < 0:
      raise LimitError(
          "it takes more steps than a chat template may (about a million for a"
          " short conversation)"
      )

  def take(self, length: int) -> None:
    """Counts a text like `spend` and `check`, but faster."""
    self._units -= 1 + (length >> 2)
    if self._units < 0 or length > self._length:
      self.check(length)
      self.spend(0)

  def check(self, length: int) -> None:
    """Raises LimitError if a value has too many characters."""
    if length > self._length:
      raise LimitError(
          f"it makes a text or a list of {length:,} characters, more than the"
          f" {self._length:,} allowed for this conversation"
      )

  def check_bits(self, bits: float) -> None:
    """Raises LimitError if an integer has too many bits."""
    if bits > _BITS:
      raise LimitError(f"it makes a number of more than {_BITS:,} bits")

  def measure(self, value: Any, depth: int = 0) -> int:
    """Returns the length of a value in characters, and counts its work.

    A value that is in a list twice counts twice.

    Raises:
      LimitError: the value is too long, or contains itself.
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
    """Returns the length of a container."""
    if depth > _DEPTH:
      raise LimitError(f"it nests lists more than {_DEPTH} deep")
    if isinstance(value, range):
      length = len(value) * _SCALAR
      self.spend(length)
      return length
    children = _children(value)
    self.spend(ITEM * len(children))
    length = 2 + 2 * len(children)
    self.check(length)
    for child in children:
      # Most values are short; measuring them here is faster.
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
    """Returns an iterator whose items are counted, or another value unchanged."""
    if isinstance(value, ITERATORS):
      return self.count(value)
    return value


def _children(value: Any) -> Sequence[Any]:
  """Returns the contents of a container."""
  if isinstance(value, list | tuple):
    return value
  if isinstance(value, dict):
    return [*value, *value.values()]
  if isinstance(value, set | frozenset):
    return list(value)
  if isinstance(value, utils.Namespace):
    return [value._Namespace__attrs]
  return ()
