"""The published curves of 2406.11721, read off its figures.

`assets/published/2406.11721.csv` has the columns figure, series, step, value.
Values are within about 2% of the figures; stretches where one line hides
another are left out. Losses at step 0 differ between the published figures,
for reasons that are not documented, so only orderings and relative changes can
be compared.
"""

from collections.abc import Mapping
import csv
import functools
import pathlib

import numpy as np

from zsgen.reports import curves

_FILE = pathlib.Path(__file__).parents[2] / "assets/published/2406.11721.csv"
# The training steps that the schedules of the published runs had, by figure;
# those of other figures are the last steps of their curves.
_STEPS = {"tmt_flan_mini": 1800, "tmt_five_settings": 1800}
# Most steps between two points of a line without a gap.
_GAP = 40
# Losses before training: by figure, or by figure and series.
_ZERO_SHOT: Mapping[str, float] = {
    "early/loss,NIV2": 4.06,
    "early/loss,P3": 5.07,
    "early/loss,Flan": 1.78,
    "similarity_wsd": 1.25,
    "granularity": 2.35,
    "tmt_flan_mini": 3.14,
    "tmt_sharegpt": 0.949,
    "tmt_no_robots": 1.498,
    "tmt_round_slices": 3.14,
    "tmt_five_settings": 3.14,
}


def series(figure: str) -> dict[str, curves.Curve]:
  """Returns the curves of a published figure, by the names of its series.

  Args:
    figure: such as "tmt_five_settings".

  Returns:
    Curves against steps of 16 examples; none for an unknown figure.
  """
  return dict(_figures().get(figure, {}))


def steps(figure: str) -> int:
  """Returns the number of steps of the runs behind a published figure."""
  last = max(int(curve.steps[-1]) for curve in series(figure).values())
  return _STEPS.get(figure, last)


def by_share(figure: str) -> dict[str, curves.Curve]:
  """Returns the curves of a figure as published, against the share of the steps.

  Stretches that were left out are NaN.
  """
  return {
      name: _interrupted(curve, steps(figure))
      for name, curve in series(figure).items()
  }


def relative(figure: str) -> dict[str, curves.Curve]:
  """Returns the curves of a figure against the share of the steps.

  Args:
    figure: the name of a figure.

  Returns:
    Losses divided by the loss before training, which is the first point unless
    the curve begins later; in figures that do not show it, by the mean of the
    first losses. Stretches that were left out are NaN.
  """
  members = series(figure)
  first = float(np.mean([curve.values[0] for curve in members.values()]))
  return {
      name: _relative(
          curve,
          steps(figure),
          _ZERO_SHOT.get(f"{figure},{name}", _ZERO_SHOT.get(figure)),
          first,
      )
      for name, curve in members.items()
  }


def _relative(
    curve: curves.Curve, length: int, zero_shot: float | None, first: float
) -> curves.Curve:
  """One curve; `first` stands in for an unknown loss before training."""
  points, values = curve.steps, curve.values / (zero_shot or first)
  if zero_shot is not None and points[0] <= _GAP:
    is_trained = points > 0
    points = np.concatenate([[0], points[is_trained]])
    values = np.concatenate([[1.0], values[is_trained]])
  return _interrupted(curves.Curve(points, values), length)


def _interrupted(curve: curves.Curve, length: int) -> curves.Curve:
  """Returns a curve against the share of `length` steps, with NaN in gaps."""
  (gaps,) = np.nonzero(np.diff(curve.steps) > _GAP)
  return curves.Curve(
      np.insert(curve.steps, gaps + 1, curve.steps[gaps] + 1) / length,
      np.insert(curve.values, gaps + 1, np.nan),
  )


@functools.cache
def _figures() -> Mapping[str, Mapping[str, curves.Curve]]:
  """Reads the points of all published figures."""
  points: dict[str, dict[str, list[tuple[int, float]]]] = {}
  with _FILE.open(encoding="utf-8", newline="") as file:
    for row in csv.DictReader(file):
      by_series = points.setdefault(row["figure"], {})
      by_series.setdefault(row["series"], []).append(
          (int(row["step"]), float(row["value"]))
      )
  return {
      figure: {name: _curve(pairs) for name, pairs in by_series.items()}
      for figure, by_series in points.items()
  }


def _curve(pairs: list[tuple[int, float]]) -> curves.Curve:
  points, values = zip(*sorted(pairs), strict=True)
  return curves.Curve(np.array(points, np.int64), np.array(values, np.float64))
