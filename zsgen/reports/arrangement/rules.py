"""What a target of 2406.11721 is, and how experiments are judged by it.

The targets R1 to R14 are those of this project's specification of the paper:
each is the shape of a published figure, as a rule that a run of any size can
meet or miss. Rules are fixed before the runs that count.
"""

from collections.abc import Callable, Sequence
import dataclasses
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from zsgen.reports import curves
from zsgen.reports.arrangement import experiments as experiments_lib
from zsgen.reports.outcomes import Outcome, decided, missing


@dataclasses.dataclass(frozen=True)
class View:
  """An experiment as a rule sees it: one seed, or the mean over all seeds."""

  experiment: experiments_lib.Experiment
  seed: int | None

  @property
  def steps(self) -> int:
    """The number of steps of its runs."""
    return self.experiment.steps

  def curve(self, arm: str, metric: str = experiments_lib.LOSS) -> curves.Curve:
    """Returns a metric of an arm.

    Raises:
      NotRun: the runs do not have it.
    """
    curve = self.experiment.curve(arm, metric, self.seed)
    if curve is None:
      raise NotRun(f"{arm} has no metric {metric}")
    return curve

  def runs(self, arm: str) -> list[curves.RunRecords]:
    """Returns the arm's runs of the view's seeds."""
    runs = self.experiment.arms[arm]
    seeds = self.experiment.seeds if self.seed is None else [self.seed]
    return [runs[seed] for seed in seeds]


class NotRun(Exception):
  """The runs cannot answer a target; the message is the reason."""


class Verdict(NamedTuple):
  """Whether a rule is met, and the numbers that decided."""

  is_met: bool
  values: str


@dataclasses.dataclass(frozen=True)
class Rule:
  """One target.

  Attributes:
    target: its name, such as "R8".
    experiment: the file in `configs/arrangement` that it is about.
    arms: those that it needs; () for any single arm.
    claim: the rule, in words.
    judge: the rule, of a view; it may raise `NotRun`.
    except_tiers: tiers of the experiment that it is not about.
  """

  target: str
  experiment: str
  arms: tuple[str, ...]
  claim: str
  judge: Callable[[View], Verdict]
  except_tiers: tuple[str, ...] = ()

  def is_about(self, experiment: experiments_lib.Experiment) -> bool:
    """Returns whether an experiment is judged by it."""
    return (
        experiment.name == self.experiment
        and experiment.tier not in self.except_tiers
    )


def check(
    rule: Rule, experiments: Sequence[experiments_lib.Experiment]
) -> list[Outcome]:
  """Judges every experiment that a rule is about.

  The mean over seeds decides; how many single seeds meet the rule is added.
  """
  candidates = [e for e in experiments if rule.is_about(e)]
  if not candidates:
    reason = f"no finished run of configs/arrangement/{rule.experiment}.py"
    return [missing(rule.target, rule.claim, reason)]
  return [_check(rule, experiment) for experiment in candidates]


def refuse(
    rule: Rule, experiment: experiments_lib.Experiment, reason: str
) -> Outcome:
  """Returns the outcome for an experiment that cannot be judged."""
  return missing(_name(rule, experiment), rule.claim, reason)


def _name(rule: Rule, experiment: experiments_lib.Experiment) -> str:
  """Returns what a target is called, such as "R1 (nano, niv2)"."""
  details = filter(None, (experiment.tier, experiment.data))
  return f"{rule.target} ({', '.join(details)})"


def _check(rule: Rule, experiment: experiments_lib.Experiment) -> Outcome:
  """Judges a rule over all seeds, and counts the seeds that meet it."""
  target = _name(rule, experiment)
  absent = [arm for arm in rule.arms if arm not in experiment.arms]
  if absent:
    reason = f"no finished run of {', '.join(absent)}"
    return missing(target, rule.claim, reason)
  experiment.check_alike()
  try:
    verdict = rule.judge(View(experiment, None))
    by_seed = [
        rule.judge(View(experiment, seed)).is_met for seed in experiment.seeds
    ]
  except NotRun as error:
    return missing(target, rule.claim, str(error))
  seeds = f"{sum(by_seed)} of {len(by_seed)} seeds"
  values = f"{verdict.values}; {seeds}"
  return decided(target, rule.claim, verdict.is_met, values)


def value_at(curve: curves.Curve, step: float) -> float:
  """Returns the value of the last evaluation at or before a step.

  Raises:
    NotRun: there was none after step 0.
  """
  is_before = (curve.steps <= step) & (curve.steps > 0)
  if not is_before.any():
    raise NotRun(f"no evaluation in steps 1 to {step:g}")
  return float(curve.values[is_before][-1])


def zero_shot(curve: curves.Curve) -> float:
  """Returns the value before training.

  Raises:
    NotRun: step 0 was not evaluated.
  """
  if curve.steps[0]:
    raise NotRun("no evaluation at step 0")
  return float(curve.values[0])


def mean_over(curve: curves.Curve, begin: float, end: float) -> float:
  """Returns the mean over evaluations with begin < step <= end.

  Raises:
    NotRun: there is none.
  """
  values = curve.values[(curve.steps > begin) & (curve.steps <= end)]
  if not len(values):
    raise NotRun(f"no evaluation in steps {begin:g} to {end:g}")
  return float(np.mean(values))


def ordered(values: dict[str, float], ties: bool = False) -> bool:
  """Returns whether values ascend in the order of their keys.

  Args:
    values: numbers by name.
    ties: whether equal neighbours count as ascending.
  """
  numbers = list(values.values())
  steps = np.diff(numbers)
  return bool((steps >= 0).all() if ties else (steps > 0).all())


def rank_correlation(x: Sequence[float], y: Sequence[float]) -> float:
  """Returns Spearman's correlation; NaN if either is constant."""
  result: Any = stats.spearmanr(x, y)
  return float(result.statistic)


def format_values(values: dict[str, float]) -> str:
  """Formats numbers by name: "NFT 1.234, RT 1.300"."""
  return ", ".join(f"{name} {value:.3f}" for name, value in values.items())
