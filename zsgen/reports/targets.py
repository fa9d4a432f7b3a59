"""Targets: what a run should show, and whether it does."""

from typing import NamedTuple

from zsgen.core import config, errors
from zsgen.reports import curves, measures


class Outcome(NamedTuple):
  """One target, checked."""

  metric: str
  measure: str
  below: float | None
  above: float | None
  # None where the run has no such value.
  value: float | None
  met: bool
  # Why there is no value; "" where there is one.
  note: str

  @property
  def bounds(self) -> str:
    """Describes what the value should be."""
    limits = {"above": self.above, "below": self.below}
    return " and ".join(
        f"{word} {value:g}"
        for word, value in limits.items()
        if value is not None
    )


def check(run: curves.RunRecords) -> dict[str, Outcome]:
  """Checks the targets of a run's config, by name.

  A metric that the run does not have is a target that is not met: training is
  over, and the rest of its report is wanted all the same.
  """
  return {
      name: _check(run, target) for name, target in run.config.targets.items()
  }


def _check(run: curves.RunRecords, target: config.Target) -> Outcome:
  """Judges a target of a run, which is not met without a value."""
  value, note = None, ""
  if target.metric in run.metrics:
    curve = run.metrics[target.metric]
    value = measures.measure(curve, run.steps)[target.measure]
    if value is None:
      note = f"no evaluation is in its {target.measure}"
  else:
    suggestion = errors.did_you_mean(target.metric, run.metrics)
    note = f"the run has no such metric.{suggestion}"
  met = (
      value is not None
      and (target.below is None or value < target.below)
      and (target.above is None or value > target.above)
  )
  return Outcome(
      target.metric,
      target.measure,
      target.below,
      target.above,
      value,
      met,
      note,
  )
