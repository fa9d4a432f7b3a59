"""What the papers' figures show, asked of runs: pass, fail or not run.

The rules are those of the spec of 2402.10891, section 4.2. Where a threshold
is depends on lengths, examples and steps: all but the sizes of the paper are
held against their own.
"""

from collections.abc import Mapping, Sequence

from zsgen.reports.outcomes import Outcome, decided, missing
from zsgen.rewrites.report import arms as rewrites_arms
from zsgen.rewrites.report import measures
from zsgen.rewrites.report import runs as rewrites_runs
from zsgen.rewrites.report.arms import Arm

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


def varies(arms: Sequence[Arm], *names: str) -> list[Arm]:
  """Selects arms at the first experiment's options, except `names`."""
  fixed = {name: _PLAIN[name] for name in _PLAIN if name not in names}
  return [
      arm
      for arm in arms
      if all(getattr(arm.example_run.options, n) == v for n, v in fixed.items())
      and arm.example_run.run.config.lora.rank == 0
      and rewrites_arms.arranged(arm.example_run.run.config.order) == "random"
  ]


def diversity(arms: Sequence[Arm]) -> list[Outcome]:
  """Checks Z1, Fig. 2a: the step, the plateau, and the control."""
  candidates = [arm for arm in varies(arms) if len(arm.runs) > 1]
  if not candidates:
    claim = "a step in the number of rules"
    return [missing("Z1", claim, "no runs of several numbers of rules")]
  outcomes = []
  for arm in candidates:
    suffix = f", {arm.label}" if len(candidates) > 1 else ""
    outcomes += [
        outcome._replace(target=outcome.target + suffix)
        for outcome in _check_arm(arm)
    ]
  return outcomes


def format_accuracy(values: Mapping[int, float]) -> str:
  """Formats accuracy by rules: "100: 0.060, 300: 0.480"."""
  return ", ".join(f"{rules:,}: {value:.3f}" for rules, value in values.items())


def at_paper_size(arm: Arm) -> bool:
  """Returns whether runs may be compared with published numbers."""
  options, model = arm.example_run.options, arm.example_run.run.config.model
  return (
      (options.x_length, options.y_length, options.z_length) == (20, 20, 50)
      and (options.letters, options.examples) == (26, 1_000_000)
      and (model.layers, model.heads, model.width) == (6, 4, 256)
      and model.positions == "learned"
      and arm.example_run.run.steps * arm.example_run.run.batch_size
      >= 49 * options.examples
  )


def _check_arm(arm: Arm) -> list[Outcome]:
  """Judges all targets of an arm."""
  means = arm.means()
  return [
      _step(means),
      _plateau(arm, means),
      _monotone(means),
      _control(arm, means),
      _numbers(arm, means),
  ]


def _step(means: Mapping[int, float]) -> Outcome:
  """Judges whether accuracy rises within a factor of rules."""
  claim = f"from <= {LOW} to >= {HIGH} within a factor {STEEP} of rules"
  steps = [
      (low, high)
      for low in means
      for high in means
      if low < high <= STEEP * low and means[low] <= LOW and means[high] >= HIGH
  ]
  values = format_accuracy(means)
  if steps:
    values = f"{steps[0][0]:,} to {steps[0][1]:,}"
  return decided("Z1 step", claim, bool(steps), values)


def _plateau(arm: Arm, means: Mapping[int, float]) -> Outcome:
  """Judges the accuracy with one example a rule."""
  claim, every = "one example a rule: >= 0.95", arm.example_run.example_count
  if every not in means:
    return missing("Z1 plateau", claim, f"no run of {every:,} rules")
  value = means[every]
  return decided("Z1 plateau", claim, value >= 0.95, f"{value:.3f}")


def _monotone(means: Mapping[int, float]) -> Outcome:
  """Judges whether accuracy rises with the number of rules."""
  claim = "rank correlation of rules and accuracy >= 0.9"
  correlation = measures.rank_correlation(means)
  if correlation is None:
    return decided("Z1 rank", claim, False, "accuracy is the same everywhere")
  return decided("Z1 rank", claim, correlation >= 0.9, f"{correlation:.3f}")


def _control(arm: Arm, means: Mapping[int, float]) -> Outcome:
  """Seen rules are solved where unseen ones are not."""
  if at_paper_size(arm):
    below, condition = {i for i in means if i <= 300}, "at 300 rules or fewer"
  else:
    below = {i for i, value in means.items() if value < measures.HALF}
    condition = "where unseen ones are below 0.5"
  claim = f"seen rules >= 0.95 {condition}"
  seen_means = arm.means(rewrites_runs.SEEN_SPLIT)
  relevant = {i: value for i, value in seen_means.items() if i in below}
  if not relevant:
    return missing("Z1 control", claim, "no such run")
  return decided(
      "Z1 control",
      claim,
      min(relevant.values()) >= 0.95,
      format_accuracy(relevant),
  )


def _numbers(arm: Arm, means: Mapping[int, float]) -> Outcome:
  """Judges the paper's own numbers, at the paper's sizes."""
  claim = "Fig. 2a's numbers"
  if not at_paper_size(arm):
    return missing("Z1 numbers", claim, "not the paper's sizes")
  wrong = {
      rules: value
      for rules, value in means.items()
      for first, last, low, high in _NUMBERS
      if first <= rules <= last and not low <= value <= high
  }
  return decided(
      "Z1 numbers", claim, not wrong, format_accuracy(wrong or means)
  )
