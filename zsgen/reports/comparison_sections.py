"""Tables of a comparison besides its measures: members, configs, evaluations."""

from collections.abc import Mapping, Sequence
import json
from typing import Any

from zsgen.core import config as config_lib
from zsgen.reports import comparison as comparison_lib
from zsgen.reports import curves, grids, measures, origins

# Options that name a run, or that its label stands for.
_UNLISTED = ("name", "seed")


def members(comparison: comparison_lib.Comparison, kind: str) -> grids.Grid:
  """Builds the table of what is compared: labels, seeds, steps and names.

  Args:
    comparison: what is compared.
    kind: "runs" or "evaluations".
  """
  rows = [
      [label, str(seed), f"{run.steps:,}" if run.steps else "", run.path.name]
      for label, by_seed in comparison.runs.items()
      for seed, run in by_seed.items()
  ]
  return grids.Grid(
      f"Compared {kind}", ("", "seed", "steps", "run"), rows, words=4
  )


def differing_options(
    comparison: comparison_lib.Comparison, kind: str
) -> grids.Grid:
  """Builds the table of options that are not those of the reference.

  A label's options are those of its first run.

  Args:
    comparison: what is compared.
    kind: "runs" or "evaluations".
  """
  first = {
      label: _options(next(iter(by_seed.values())))
      for label, by_seed in comparison.runs.items()
  }
  reference = first[comparison.reference]
  rows = [
      [label, option, options.get(option, ""), reference.get(option, "")]
      for label, options in first.items()
      for option in sorted({**options, **reference})
      if options.get(option) != reference.get(option)
  ]
  header = ("", "option", "value", f"in {comparison.reference}")
  note = (
      "An empty value is an option that the selected component does not have."
  )
  title = f"Options of {kind} that differ"
  return grids.Grid(title, header, rows, words=4, note=note)


def _options(run: curves.RunRecords) -> dict[str, str]:
  """Returns the options of a run as JSON, by their dotted names."""
  values = config_lib.to_dict(run.config)
  for name in _UNLISTED:
    values.pop(name, None)
  return {
      option: json.dumps(value, default=str)
      for option, value in origins.flatten(values).items()
  }


def not_shared(notes: Sequence[str]) -> grids.Grid:
  """Builds the list of what is not shared."""
  return grids.Grid("Not shared", ("",), [[note] for note in notes])


def evaluation_numbers(comparison: comparison_lib.Comparison) -> dict[str, Any]:
  """Returns the numbers of evaluations without training, as JSON values.

  Returns:
    `reference`; `notes` on what is not shared; and `evals`, by label and
    evaluation, what `comparison.summary` has of the measure `final`.
  """
  return {
      "reference": comparison.reference,
      "notes": comparison.notes(),
      "evals": {
          label: {
              name: comparison_lib.evaluation_measures(comparison, label, name)[
                  "final"
              ]
              for name in comparison.evals
          }
          for label in comparison.runs
      },
  }


def evaluation_table(comparison: comparison_lib.Comparison) -> grids.Grid:
  """Builds the table of evaluations without training."""
  numbers = evaluation_numbers(comparison)["evals"]
  rows = []
  for name, metric in comparison.evals.items():
    for label in comparison.runs:
      cell = numbers[label][name]
      if cell["spread"] is not None:
        rows.append(
            [
                f"{name} {metric.heading}",
                label,
                grids.ranged(measures.Spread(**cell["spread"])),
                *_difference(label == comparison.reference, cell),
            ]
        )
  header = ("", "parameters", "mean", f"vs {comparison.reference}")
  note = (
      "Means over examples [lowest, highest over seeds]. Intervals (95%) are by"
      " bootstrap over the held-out examples that both have."
  )
  title = "Evaluations without training"
  return grids.Grid(title, (*header, "interval"), rows, words=2, note=note)


def _difference(is_reference: bool, cell: Mapping[str, Any]) -> list[str]:
  """Returns the cells of a difference and its interval over examples."""
  difference = None if is_reference else cell["difference"]
  if difference is None:
    return [grids.MISSING, grids.MISSING]
  return [f"{difference['mean']:+.3f}", interval(difference["over_examples"])]


def interval(value: tuple[float, float] | None) -> str:
  """Formats an interval of a difference: [-0.123, +0.045]."""
  if value is None:
    return grids.MISSING
  low, high = value
  return f"[{low:+.3f}, {high:+.3f}]"
