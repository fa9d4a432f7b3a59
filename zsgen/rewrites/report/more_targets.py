"""All targets, and those on no-ops, the power law and other lengths.

The rules are those of the spec of 2402.10891, section 4.2.
"""

from collections.abc import Iterable, Mapping, Sequence

from zsgen.reports.outcomes import Outcome, decided, missing
from zsgen.rewrites.report import kind_targets as rewrites_kind_targets
from zsgen.rewrites.report import measures, targets
from zsgen.rewrites.report.arms import Arm
from zsgen.rewrites.report.runs import Rewriting
from zsgen.rewrites.report.targets import format_accuracy

_SLACK = 0.05


def check(arms: Sequence[Arm]) -> list[Outcome]:
  """Checks all targets, those of the first experiment too."""
  return [
      *targets.diversity(arms),
      *_noop(arms),
      _power_law(arms),
      *rewrites_kind_targets.semantics(arms),
      *rewrites_kind_targets.occurrences(arms),
      *rewrites_kind_targets.encrypted(arms),
      _robust(arms),
  ]


def _noop(arms: Sequence[Arm]) -> list[Outcome]:
  """Z2, Fig. 2b: the same step whatever the share of no-ops."""
  claims = (
      "I50 of has-op inputs within a factor 1.5 over shares",
      f"accuracy of shares within {_SLACK} above the step",
  )
  means_by_share = {
      arm.example_run.options.noop_share: arm.means(kind="has_op_exact_match")
      for arm in targets.varies(arms, "noop_share", "hard_share")
      if 0 < arm.example_run.options.noop_share < 1
  }
  names = ("Z2 step", "Z2 plateau")
  if len(means_by_share) < 2:
    reason = f"{len(means_by_share)} shares of no-ops"
    return [
        missing(name, claim, reason)
        for name, claim in zip(names, claims, strict=True)
    ]
  halves = {
      share: measures.crossing(means) for share, means in means_by_share.items()
  }
  known = [half for half in halves.values() if half is not None]
  values = ", ".join(
      f"{share:g}: {'none' if half is None else f'{half:,.0f}'}"
      for share, half in halves.items()
  )
  alike = len(known) == len(halves) and max(known) <= 1.5 * min(known)
  step = decided(names[0], claims[0], alike, values)
  return [step, _level(names[1], claims[1], means_by_share.values())]


def _level(
    name: str, claim: str, arm_means: Iterable[Mapping[int, float]]
) -> Outcome:
  """Arms are alike at rules from which on all of them are high."""
  arm_means = list(arm_means)
  shared = sorted(set.intersection(*map(set, arm_means)))
  high = [
      rules
      for rules in shared
      if all(
          means[i] >= targets.HIGH
          for means in arm_means
          for i in shared
          if i >= rules
      )
  ]
  if not high:
    return missing(name, claim, f"no rules with {targets.HIGH} in all")
  spread = {
      i: (
          max(means[i] for means in arm_means)
          - min(means[i] for means in arm_means)
      )
      for i in high
  }
  return decided(
      name, claim, max(spread.values()) <= _SLACK, format_accuracy(spread)
  )


def _power_law(arms: Sequence[Arm]) -> Outcome:
  """Z3, Fig. 3: the effective number of rules decides."""
  name = "Z3"
  claim = "effective rules >= 2 x I50: accuracy >= 0.9; <= 0.5 x I50: <= 0.1"
  candidates = targets.varies(arms, "power_law")
  uneven = [arm for arm in candidates if arm.example_run.options.power_law]
  even = [arm for arm in candidates if not arm.example_run.options.power_law]
  halves = [
      half
      for arm in even
      if (half := measures.crossing(arm.means())) is not None
  ]
  if not uneven or len(halves) != 1:
    reason = "no power law" if not uneven else "no runs that give one I50"
    return missing(name, claim, reason)
  wrong, checked = [], 0
  for run in _list_runs(uneven):
    value = run.final("unseen")
    if value is None:
      return missing(name, claim, f"no unseen rules in {run.run.path}")
    above = run.effective >= 2 * halves[0]
    if above or run.effective <= 0.5 * halves[0]:
      checked += 1
      if value < targets.HIGH if above else value > 0.1:
        wrong.append(f"{run.effective:,.0f}: {value:.3f}")
  if not checked:
    return missing(name, claim, f"no run is far from {halves[0]:,.0f}")
  values = f"I50 {halves[0]:,.0f}, {checked} runs"
  values += f", not so: {', '.join(wrong)}" if wrong else ""
  return decided(name, claim, not wrong, values)


def _robust(arms: Sequence[Arm]) -> Outcome:
  """Z7: the same at the paper's other lengths."""
  claim = "z of 100 or 200: 100 rules fail, 1,000 and 10,000 do not"
  candidates = [
      (arm.example_run.options.z_length, arm.means())
      for arm in targets.varies(arms)
      if (arm.example_run.options.x_length, arm.example_run.options.z_length)
      in ((40, 100), (50, 200))
  ]
  candidates = [
      candidate
      for candidate in candidates
      if {100, 1000, 10_000} <= set(candidate[1])
  ]
  if not candidates:
    return missing("Z7", claim, "no such runs")
  is_met = all(
      means[100] <= targets.LOW
      and min(means[1000], means[10_000]) >= targets.HIGH
      for _, means in candidates
  )
  values = "; ".join(
      f"z of {length}: {format_accuracy(means)}" for length, means in candidates
  )
  return decided("Z7", claim, is_met, values)


def _list_runs(arms: Sequence[Arm]) -> list[Rewriting]:
  """Returns the runs of all arms."""
  return [
      run
      for arm in arms
      for by_seed in arm.runs.values()
      for run in by_seed.values()
  ]
