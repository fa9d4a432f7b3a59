"""Sequences by score equal the published ones (2605.30334), position by position.

The definitions are restated here on lists, an element at a time.
"""

import numpy as np
import pytest

from zsgen.orders import sequences
from zsgen.orders.arrangements import arranged

SIZES = (1, 2, 3, 7, 10, 11, 12, 16, 25, 97, 100, 333)


def fold(items: list, layers: int) -> list:
  """Returns items 0, L, 2 L, … then 1, 1 + L, …"""
  return [x for layer in range(layers) for x in items[layer::layers]]


def zigzag(items: list, layers: int) -> list:
  """Folds items, layers 1, 3, … backwards."""
  result = []
  for layer in range(layers):
    part = items[layer::layers]
    result += part[::-1] if layer % 2 == 1 else part
  return result


def around(items: list, sections: int, radius: float, rearrange) -> list:
  """Rearranges the window around each border of equal sections.

  A window has round(n * radius) items on both sides of its border, as far as
  there are any that no earlier window has.
  """
  size, result, taken = len(items), [], 0
  for k in range(1, sections):
    border, reach = round(size * k / sections), round(size * radius)
    start, stop = max(taken, border - reach), min(size, border + reach)
    result += items[taken:start] + rearrange(items[start:stop])
    taken = stop
  return result + items[taken:]


@pytest.mark.parametrize("layers", [2, 3, 5, 400])
@pytest.mark.parametrize("size", SIZES)
def test_fold_and_zigzag(size, layers):
  items = list(range(size))
  assert sequences.fold(size, layers).tolist() == fold(items, layers)
  assert sequences.zigzag(size, layers).tolist() == zigzag(items, layers)


def test_small_examples():
  assert sequences.fold(7, 3).tolist() == [0, 3, 6, 1, 4, 2, 5]
  assert sequences.zigzag(7, 3).tolist() == [0, 3, 6, 4, 1, 2, 5]
  # Sections of 5; 2 on either side of the border are folded, or zigzagged.
  expected = [0, 1, 2, 3, 5, 4, 6, 7, 8, 9]
  assert sequences.stair(10, 2, 0.2, 2).tolist() == expected
  # The window is 3, 5 and, backwards, 6, 4.
  expected = [0, 1, 2, 3, 5, 6, 4, 7, 8, 9]
  assert sequences.saw_teeth(10, 2, 0.2, 2).tolist() == expected


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    "sections, radius, layers",
    [(2, 0.225, 3), (3, 0.075, 2), (4, 0.25, 2), (7, 0.5, 5), (3, 1e-9, 2)],
)
def test_stair_and_saw(size, sections, radius, layers):
  items = list(range(size))
  for actual, rearrange in (
      (sequences.stair(size, sections, radius, layers), fold),
      (sequences.saw_teeth(size, sections, radius, layers), zigzag),
  ):
    expected = around(
        items, sections, radius, lambda x, f=rearrange: f(x, layers)
    )
    assert actual.tolist() == expected
    assert sorted(actual.tolist()) == items


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("front, back", [(30, 30), (29, 0), (0, 100), (50, 50)])
def test_segment_shuffles_front_middle_and_back(size, front, back):
  permutation = arranged.permutation("test", 3, size)
  actual = sequences.segment(size, front, back, permutation).tolist()
  first, last = size * front // 100, size - size * back // 100
  items = list(range(size))
  parts = items[:first], items[first:last], items[last:]
  expected = [
      x for part in parts for x in sorted(part, key=lambda i: permutation[i])
  ]
  assert actual == expected


@pytest.mark.parametrize("window", [2, 5, 100])
def test_windows_are_shuffled_within_themselves(window):
  permutation = arranged.permutation("test", 1, 100)
  actual = sequences.shuffle_windows(window, permutation)
  for start in range(0, 100, window):
    part = actual[start : start + window]
    assert sorted(part) == list(range(start, min(start + window, 100)))
    assert (np.diff(permutation[part]) > 0).all()
  assert actual.tolist() != list(range(100))
