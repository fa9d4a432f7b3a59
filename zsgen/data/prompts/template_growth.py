"""Bounds the length of results of operators, methods and filters.

Python creates a long result at once, so it must be refused beforehand.
"""

from collections.abc import Callable, Mapping, Sequence
import re
from typing import Any

from zsgen.data.prompts.template_work import Work

_NUMBERS = re.compile(r"\d+")
_WIDTHS = re.compile(r"\{[^{}]*\{|\*")  # Widths from arguments.
# A number in a format with more digits exceeds any length.
_DIGITS = 12


def check_operator(work: Work, operator: str, left: Any, right: Any) -> None:
  """Raises LimitError if the result of an operator would be too large."""
  lengths = work.measure(left), work.measure(right)
  if operator == "*":
    for value, times, length in ((left, right, 0), (right, left, 1)):
      if isinstance(times, int) and not isinstance(value, int | float):
        work.check(lengths[length] * max(times, 0))
        work.spend(lengths[length] * max(times, 0) >> 2)
    if isinstance(left, int) and isinstance(right, int):
      work.check_bits(left.bit_length() + right.bit_length())
  elif operator == "**":
    if isinstance(left, int) and isinstance(right, int):
      work.check_bits(left.bit_length() * max(right, 0))
  elif operator == "%" and isinstance(left, str):
    work.check(_formatted(work, left, _values(right)))
  elif operator == "+":
    work.check(sum(lengths))


def _values(right: Any) -> Sequence[Any]:
  if isinstance(right, tuple):
    return right
  return tuple(right.values()) if isinstance(right, Mapping) else (right,)


def _formatted(work: Work, pattern: str, values: Sequence[Any]) -> int:
  """Returns a bound of the length of a % or {} pattern with values."""
  fields = pattern.count("%") + pattern.count("{")
  length = len(pattern) + fields * max(map(work.measure, values), default=0)
  for number in _NUMBERS.findall(pattern):
    length += int(number[:_DIGITS])
  if _WIDTHS.search(pattern):
    length += fields * _largest(values)
  return length


def _largest(values: Sequence[Any]) -> int:
  """Returns the largest integer among values, including those in lists."""
  numbers = [0]
  for value in values:
    if isinstance(value, int):
      numbers.append(abs(value))
    elif isinstance(value, Mapping):
      numbers.append(_largest(tuple(value.values())))
    elif isinstance(value, list | tuple):
      numbers.append(_largest(value))
  return max(numbers)


def _padded(work: Work, text: Any, *values: Any) -> int:
  return work.measure(text) + _largest(values)


def _tabs(work: Work, text: Any, *values: Any) -> int:
  tabs = text.count(b"\t" if isinstance(text, bytes) else "\t")
  return work.measure(text) + tabs * max(_largest(values), 8)


def _replaced(work: Work, text: Any, *values: Any) -> int:
  """Returns a bound on the characters that `replace` writes."""
  if len(values) < 2 or not isinstance(values[0], str | bytes):
    return work.measure(text)
  old, new = values[:2]
  text = str(text) if isinstance(old, str) else text
  grows = max(len(str(new)) - len(old), 0)
  return work.measure(text) + text.count(old) * grows


def _joined(work: Work, separator: Any, *values: Any) -> int:
  items = values[0] if values else ()
  count = len(items) if hasattr(items, "__len__") else 0
  return work.measure(items) + count * work.measure(separator)


def _translated(work: Work, text: Any, *values: Any) -> int:
  table = values[0] if values and isinstance(values[0], Mapping) else {}
  longest = max(map(work.measure, table.values()), default=1)
  return work.measure(text) * longest


def _filled(work: Work, text: Any, *values: Any) -> int:
  """Bounds `indent`: each line gets the longest of the values."""
  strings = [len(value) for value in values if isinstance(value, str)]
  width = max([_largest(values), *strings])
  lines = str(text).count("\n") + 1 if isinstance(text, str) else 1
  return work.measure(text) + lines * width


def _wrapped(work: Work, text: Any, *values: Any) -> int:
  strings = [len(value) for value in values if isinstance(value, str)]
  return work.measure(text) * (1 + max(strings, default=1))


def _batched(work: Work, items: Any, *values: Any) -> int:
  fill = max(map(work.measure, values), default=0)
  return work.measure(items) + _largest(values) * (2 + fill)


def _format_call(work: Work, text: Any, *values: Any) -> int:
  return _formatted(work, text, values)


def _powered(work: Work, number: Any, *values: Any) -> int:
  work.check_bits(4 * _largest(values))
  return 0


def _dumped(work: Work, value: Any, *values: Any) -> int:
  """Bounds `tojson`: characters are escaped, and values may have their own
  lines.
  """
  strings = [len(part) for option in values for part in _strings(option)]
  count, depth = _count(value)
  room = max(
      [_largest(values) * depth, *(length * depth for length in strings)]
  )
  return 6 * work.measure(value) + count * room


def _count(value: Any) -> tuple[int, int]:
  """Returns the number of values in a value, and the depth; both at least 1."""
  if isinstance(value, Mapping):
    children = [*value.keys(), *value.values()]
  elif isinstance(value, list | tuple):
    children = value
  else:
    return 1, 1
  counts = [_count(child) for child in children]
  return (
      2 + sum(count for count, _ in counts),
      1 + max((depth for _, depth in counts), default=1),
  )


def _added(work: Work, items: Any, *values: Any) -> int:
  """Counts a sum of lists, which copies them repeatedly."""
  if any(isinstance(value, list | tuple | str) for value in values):
    count = len(items) if hasattr(items, "__len__") else 0
    work.spend(work.measure(items) * count >> 4)
  return 0


def _strings(value: Any) -> list[str]:
  """Returns a text, or the texts of a list."""
  if isinstance(value, str):
    return [value]
  if isinstance(value, list | tuple):
    return [part for part in value if isinstance(part, str)]
  return []


Growth = Callable[..., int]
# Bounds of methods of text, bytes and numbers, from the value and the
# arguments.
METHODS: dict[str, Growth] = {
    "center": _padded,
    "ljust": _padded,
    "rjust": _padded,
    "zfill": _padded,
    "to_bytes": _padded,
    "expandtabs": _tabs,
    "replace": _replaced,
    "join": _joined,
    "translate": _translated,
    "format": _format_call,
    "format_map": _format_call,
}
# Bounds of filters.
FILTERS: dict[str, Growth] = {
    "center": _padded,
    "indent": _filled,
    "wordwrap": _wrapped,
    "replace": _replaced,
    "join": lambda work, items, *values: _joined(
        work, values[0] if values else "", items
    ),
    "batch": _batched,
    "slice": _batched,
    "format": _format_call,
    "round": _powered,
    "sum": _added,
    "tojson": _dumped,
}
# Factors of the usual units per character, for slow filters.
SLOW = {
    "pprint": 50,
    "urlize": 100,
    "wordwrap": 30,
    "striptags": 10,
    "title": 10,
    "wordcount": 10,
    "tojson": 4,
    "urlencode": 5,
    "xmlattr": 5,
    "sort": 5,
    "dictsort": 5,
    "groupby": 5,
    "unique": 5,
}
