"""The steps of curves, which many curves have in common."""

import numpy as np


class Steps:
  """Numbers the different arrays of steps of a page."""

  def __init__(self) -> None:
    self._numbers: dict[tuple[int, ...], int] = {}

  def number(self, steps: np.ndarray) -> int:
    """Returns the number of an array of steps, [n], in `arrays`."""
    return self._numbers.setdefault(tuple(steps.tolist()), len(self._numbers))

  def __len__(self) -> int:
    """Returns the number of different arrays."""
    return len(self._numbers)

  def truncate(self, length: int) -> None:
    """Forgets all arrays but the first `length`, as if nothing had them."""
    for key in list(self._numbers)[length:]:
      del self._numbers[key]

  @property
  def arrays(self) -> list[list[int | float]]:
    """The arrays, by number."""
    return [list(steps) for steps in self._numbers]
