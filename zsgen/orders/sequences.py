"""Sequences of examples that are sorted by a score (2605.30334).

Each function returns positions in the sorted sequence, int64 [n]: an example
that is at position i of the sorted sequence comes where i is.
"""

from collections.abc import Callable
import functools

import numpy as np


def fold(size: int, layers: int) -> np.ndarray:
  """Returns every `layers`-th position, from 0 on, then from 1 on, …"""
  return np.concatenate(_layers(size, layers))


def zigzag(size: int, layers: int) -> np.ndarray:
  """Returns the positions of `fold`, every second layer backwards."""
  return np.concatenate(
      [
          positions[:: -1 if number % 2 else 1]
          for number, positions in enumerate(_layers(size, layers))
      ]
  )


def stair(size: int, sections: int, radius: float, layers: int) -> np.ndarray:
  """Folds the positions around the borders of sections (STR)."""
  folded = functools.partial(fold, layers=layers)
  return _around_borders(size, sections, radius, folded)


def saw_teeth(
    size: int, sections: int, radius: float, layers: int
) -> np.ndarray:
  """Zigzags through the positions around the borders of sections (SAW)."""
  zigzagged = functools.partial(zigzag, layers=layers)
  return _around_borders(size, sections, radius, zigzagged)


def segment(
    size: int, front: int, back: int, permutation: np.ndarray
) -> np.ndarray:
  """Shuffles front, middle and back each within itself (SEG).

  Args:
    size: the number of examples, n.
    front: percent of the examples in the front.
    back: percent of them in the back.
    permutation: of all positions, int64 [n].
  """
  borders = [size * front // 100, size - size * back // 100]
  parts = np.searchsorted(borders, np.arange(size), side="right")
  return _shuffle_parts(parts, permutation)


def shuffle_windows(window: int, permutation: np.ndarray) -> np.ndarray:
  """Shuffles each `window` successive positions within themselves (JIT).

  Args:
    window: positions of a window; the last one may be shorter.
    permutation: of all positions, int64 [n].
  """
  return _shuffle_parts(np.arange(len(permutation)) // window, permutation)


def _shuffle_parts(parts: np.ndarray, permutation: np.ndarray) -> np.ndarray:
  """Sorts positions by their parts, int [n], then by their place in a shuffle."""
  return np.lexsort((permutation, parts))


def _layers(size: int, layers: int) -> list[np.ndarray]:
  """Returns the positions of each layer; those beyond the size are empty."""
  positions = np.arange(size)
  return [positions[k::layers] for k in range(max(1, min(layers, size)))]


def _around_borders(
    size: int,
    sections: int,
    radius: float,
    rearrange: Callable[[int], np.ndarray],
) -> np.ndarray:
  """Rearranges the positions around the borders of equal sections.

  Windows of round(size * radius) positions on both sides of each border are
  rearranged; one begins where the window before it ends, if they overlap.
  """
  reach = round(size * radius)
  positions = np.arange(size)
  end = 0
  for section in range(1, sections):
    border = round(size * section / sections)
    begin = max(end, border - reach)
    end = min(size, border + reach)
    positions[begin:end] = begin + rearrange(end - begin)
  return positions
