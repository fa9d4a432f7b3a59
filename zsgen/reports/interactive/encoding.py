"""Encodes data for the scripts of a page, and keeps it small."""

from collections.abc import Callable, Iterable
import json
from typing import Any, TypeVar

import numpy as np

from zsgen.core import texts
from zsgen.reports.interactive import steps as steps_lib

Part = TypeVar("Part")

# Part of a budget that the next attempt is made for.
_MARGIN = 0.97
# What would end the element that holds the data, or begin another.
_MARKUP = {ord(sign): f"\\u{ord(sign):04x}" for sign in "<>&"}


def encode(value: Any) -> str:
  """Returns JSON for a script element; no text in it can become markup."""
  text = json.dumps(
      value, ensure_ascii=False, separators=(",", ":"), allow_nan=False
  )
  return text.translate(_MARKUP)


def size(value: Any) -> int:
  """Returns the bytes that a value takes on a page."""
  return len(encode(value).encode("utf-8"))


def numbers(values: Iterable[float] | np.ndarray) -> list[float | None]:
  """Returns numbers with six digits; None for those that are not finite."""
  return [
      float(f"{value:.6g}") if np.isfinite(value) else None
      for value in np.asarray(values, np.float64).tolist()
  ]


def words(text: str, length: int = 200) -> str:
  """Returns a text for display, cut to `length` characters."""
  return texts.printable(texts.short(text, length), layout=True)


def fit(
    build: Callable[[int], Part],
    count: int,
    budget: int,
    steps: steps_lib.Steps,
) -> tuple[Part, int]:
  """Returns a part of a page that is no larger than its budget.

  Args:
    build: makes the part of so many items; of 0 items, it must be small.
    count: items, at the most.
    budget: bytes of the part and of the arrays of steps that it adds.
    steps: numbers the steps of curves; of parts that do not fit, it keeps none.

  Returns:
    The part, and the number of its items: lowered until the part fits.
  """
  known = len(steps)
  while True:
    part = build(count)
    actual = size([part, steps.arrays[known:]])
    if not count or actual <= budget:
      return part, count
    steps.truncate(known)
    # As if all items had one size, and a little less.
    count = min(count - 1, int(_MARGIN * count * budget / actual))


def spaced(length: int, count: int) -> np.ndarray:
  """Returns positions of `count` of `length` items, evenly spaced, int64.

  The first and the last are among them; all of them if there are no more than
  `count`.
  """
  if length <= count:
    return np.arange(length)
  return np.unique(np.linspace(0, length - 1, count).round().astype(np.int64))
