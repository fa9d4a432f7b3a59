"""What the papers' figures show, asked of runs: pass, fail or not run.

The rules are those of the spec of 2402.10891, section 4.2. Where a threshold
is depends on lengths, examples and steps: all but the sizes of the paper are
held against their own.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from zsgen.rewrites.report import arms as rewrites_arms
from zsgen.rewrites.report import measures
from zsgen.rewrites.report import runs as rewrites_runs
from zsgen.rewrites.report.arms import Arm

PASS, FAIL, NOT_RUN = "pass", "fail", "not run"
# Below and above the step, and how steep it is at least.
LOW, HIGH, STEEP = 0.05, 0.9, 5
# Options at which a run is one of the first experiment; others are named.
_PLAIN = {
    "occurrences": (1,),
    "noop_share": 0.0,
    "hard_share": 0.0,
    "power_law": 0.0,
    "subsample": 1.0,
    "families": (),
    "ks": (),
    "heldout_families": (),
    "heldout_ks": (),
    "heldout_occurrences": (),
    "cipher": 0,
}
# The paper's accuracy: rules from, rules to, at least, at most.
_NUMBERS = (
    (1, 300, 0.0, 0.02),
    (400, 400, 0.0, 0.4),
    (500, 500, 0.7, 0.95),
    (600, 600, 0.85, 1.0),
    (1000, 1000, 0.96, 1.0),
    (10_000, 1_000_000, 0.98, 1.0),
)


class Outcome(NamedTuple):
  """One target."""

  target: str
  # What is asked.
  wanted: str
  # PASS, FAIL or NOT_RUN.
  state: str
  # The numbers that decided, or what is missing.
  told: str


def varies(arms: Sequence[Arm], *names: str) -> list[Arm]:
  """Arms at the first experiment's options, but for those that are named."""
  fixed = {name: _PLAIN[name] for name in _PLAIN if name not in names}
  return [
      arm
      for arm in arms
      if all(getattr(arm.one.options, n) == v for n, v in fixed.items())
      and arm.one.run.config.lora.rank == 0
      and rewrites_arms.arranged(arm.one.run.config.order) == "random"
  ]


def diversity(arms: Sequence[Arm]) -> list[Outcome]:
  """E1, Fig. 2a: the step, the plateau, and the control."""
  found = [arm for arm in varies(arms) if len(arm.runs) > 1]
  if not found:
    wanted = "a step in the number of rules"
    return [missing("E1", wanted, "no runs of several numbers of rules")]
  outcomes = []
  for arm in found:
    where = f", {arm.label}" if len(found) > 1 else ""
    outcomes += [
        each._replace(target=each.target + where) for each in _asked(arm)
    ]
  return outcomes


def missing(target: str, wanted: str, why: str) -> Outcome:
  """A target that the runs cannot answer."""
  return Outcome(target, wanted, NOT_RUN, why)


def decided(target: str, wanted: str, met: bool, told: str) -> Outcome:
  """A target that they can."""
  return Outcome(target, wanted, PASS if met else FAIL, told)


def said(values: Mapping[int, float]) -> str:
  """Accuracy by rules: "100: 0.060, 300: 0.480"."""
  return ", ".join(f"{rules:,}: {value:.3f}" for rules, value in values.items())


def at_paper_size(arm: Arm) -> bool:
  """Whether runs may be held against published numbers."""
  options, model = arm.one.options, arm.one.run.config.model
  return (
      (options.x_length, options.y_length, options.z_length) == (20, 20, 50)
      and (options.letters, options.examples) == (26, 1_000_000)
      and (model.layers, model.heads, model.width) == (6, 4, 256)
      and model.positions == "learned"
      and arm.one.run.steps * arm.one.run.batch_size >= 49 * options.examples
  )


def _asked(arm: Arm) -> list[Outcome]:
  means = arm.means()
  return [
      _step(means),
      _one_each(arm, means),
      _monotone(means),
      _control(arm, means),
      _numbers(arm, means),
  ]


def _step(means: Mapping[int, float]) -> Outcome:
  wanted = f"from <= {LOW} to >= {HIGH} within a factor {STEEP} of rules"
  steps = [
      (low, high)
      for low in means
      for high in means
      if low < high <= STEEP * low and means[low] <= LOW and means[high] >= HIGH
  ]
  told = said(means)
  if steps:
    told = f"{steps[0][0]:,} to {steps[0][1]:,}"
  return decided("E1 step", wanted, bool(steps), told)


def _one_each(arm: Arm, means: Mapping[int, float]) -> Outcome:
  wanted, every = "one example a rule: >= 0.95", arm.one.kept
  if every not in means:
    return missing("E1 plateau", wanted, f"no run of {every:,} rules")
  value = means[every]
  return decided("E1 plateau", wanted, value >= 0.95, f"{value:.3f}")


def _monotone(means: Mapping[int, float]) -> Outcome:
  wanted = "rank correlation of rules and accuracy >= 0.9"
  found = measures.rank_correlation(means)
  if found is None:
    return decided("E1 rank", wanted, False, "accuracy is the same everywhere")
  return decided("E1 rank", wanted, found >= 0.9, f"{found:.3f}")


def _control(arm: Arm, means: Mapping[int, float]) -> Outcome:
  """Seen rules are solved where unseen ones are not."""
  if at_paper_size(arm):
    below, where = {i for i in means if i <= 300}, "at 300 rules or fewer"
  else:
    below = {i for i, value in means.items() if value < measures.HALF}
    where = "where unseen ones are below 0.5"
  wanted = f"seen rules >= 0.95 {where}"
  seen = arm.means(rewrites_runs.SEEN)
  found = {i: value for i, value in seen.items() if i in below}
  if not found:
    return missing("E1 control", wanted, "no such run")
  return decided("E1 control", wanted, min(found.values()) >= 0.95, said(found))


def _numbers(arm: Arm, means: Mapping[int, float]) -> Outcome:
  wanted = "Fig. 2a's numbers"
  if not at_paper_size(arm):
    return missing("E1 numbers", wanted, "not the paper's sizes")
  wrong = {
      rules: value
      for rules, value in means.items()
      for first, last, low, high in _NUMBERS
      if first <= rules <= last and not low <= value <= high
  }
  return decided("E1 numbers", wanted, not wrong, said(wrong or means))
