"""Paired differences between all labels of a comparison."""

from collections.abc import Mapping, Sequence
import functools
import itertools
from typing import Any, NamedTuple

import numpy as np

from zsgen.data import store as store_lib
from zsgen.reports import alignment, comparison_sections, grids, measures
from zsgen.reports import comparison as comparison_lib

_NOTE = (
    "Differences are paired within a seed, ± half of the 95% interval of their"
    " mean (Student's t over seeds), which is also the smallest difference that"
    " this number of seeds can detect. The intervals next to them (95%, by"
    " bootstrap) are over the held-out examples, at these seeds."
)
_NO_INTERVAL = "Fewer than three seeds: no interval over seeds."


class Paired(NamedTuple):
  """The differences between two labels, in one evaluation.

  Attributes:
    label: that whose values are minuends.
    reference: the other one.
    differences: by measure of `measures.COMPARED`, if they have values.
    over_examples: by measure, the intervals over held-out examples, if these
      have values.
  """

  label: str
  reference: str
  differences: Mapping[str, measures.Difference]
  over_examples: Mapping[str, measures.Interval]

  @property
  def seeds(self) -> int:
    """The number of seeds that both have."""
    return max((item.seeds for item in self.differences.values()), default=0)


def compare_all(
    comparison: comparison_lib.Comparison, name: str
) -> list[Paired]:
  """Returns the differences between any two labels in the evaluation `name`.

  Of two labels, the one that comes first in the comparison is the reference.
  """
  pairs, values = [], {}
  for reference, label in itertools.combinations(comparison.runs, 2):
    aligned = _align(comparison, label, reference, name)
    known = {
        measure: difference
        for measure, difference in comparison_lib.paired_measures(
            aligned
        ).items()
        if measure in measures.COMPARED and difference is not None
    }
    pairs.append(Paired(label, reference, known, {}))
    for measure in known:
      differences = comparison_lib.example_differences(
          list(aligned.values()), measure
      )
      if differences is not None:
        values[len(pairs) - 1, measure] = differences
  for (number, measure), interval in _intervals(values).items():
    pairs[number] = pairs[number]._replace(
        over_examples={**pairs[number].over_examples, measure: interval}
    )
  return pairs


def _align(
    comparison: comparison_lib.Comparison,
    label: str,
    reference: str,
    name: str,
) -> dict[int, alignment.Pair]:
  """Returns the pairs of an evaluation, by the seeds that can be compared."""
  open_store = functools.cache(store_lib.open_store)
  runs, references = comparison.runs[label], comparison.runs[reference]
  aligned = {
      seed: alignment.align(run, references[seed], name, open_store)
      for seed, run in runs.items()
      if seed in references
  }
  return {
      seed: result.pair
      for seed, result in aligned.items()
      if result.pair is not None
  }


def _intervals(
    values: Mapping[tuple[int, str], np.ndarray],
) -> dict[tuple[int, str], measures.Interval]:
  """Returns the interval of each mean, by one bootstrap for those of a size."""
  by_size: dict[int, list[tuple[int, str]]] = {}
  for key, differences in values.items():
    by_size.setdefault(len(differences), []).append(key)
  intervals = {}
  for keys in by_size.values():
    bounds = measures.intervals(np.stack([values[key] for key in keys]))
    for key, low, high in zip(keys, *bounds, strict=True):
      intervals[key] = measures.Interval(float(low), float(high))
  return intervals


def describe(pairs: Sequence[Paired]) -> list[dict[str, Any]]:
  """Returns differences as JSON values."""
  return [
      {
          "label": pair.label,
          "reference": pair.reference,
          **{
              measure: {
                  **difference._asdict(),
                  "over_examples": pair.over_examples.get(measure),
              }
              for measure, difference in pair.differences.items()
          },
      }
      for pair in pairs
  ]


def table(title: str, pairs: Sequence[Paired]) -> grids.Grid:
  """Builds the table of differences, a row for each pair."""
  rows = [
      [
          f"{pair.label} - {pair.reference}",
          str(pair.seeds),
          *(
              cell
              for measure in measures.COMPARED
              for cell in (
                  grids.differing(pair.differences.get(measure)),
                  comparison_sections.interval(pair.over_examples.get(measure)),
              )
          ),
      ]
      for pair in pairs
  ]
  header = ["", "seeds"]
  for measure in measures.COMPARED:
    header += [measure.replace("_", " "), "over examples"]
  lacks_interval = any(pair.seeds < measures.LEAST_SEEDS for pair in pairs)
  note = f"{_NOTE} {_NO_INTERVAL}" if lacks_interval else _NOTE
  return grids.Grid(title, header, rows, note=note)
