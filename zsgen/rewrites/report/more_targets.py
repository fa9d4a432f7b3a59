"""All targets, and those on no-ops, the power law and other lengths.

The rules are those of the spec of 2402.10891, section 4.2.
"""

from collections.abc import Iterable, Mapping, Sequence

from zsgen.rewrites.report import kind_targets as rewrites_kind_targets
from zsgen.rewrites.report import measures, targets
from zsgen.rewrites.report.arms import Arm
from zsgen.rewrites.report.runs import Rewriting
from zsgen.rewrites.report.targets import Outcome, decided, missing, said

_SLACK = 0.05


def check(arms: Sequence[Arm]) -> list[Outcome]:
  """All targets, those of the first experiment too."""
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
  """E2, Fig. 2b: the same step whatever the share of no-ops."""
  wanted = (
      "I50 of has-op inputs within a factor 1.5 over shares",
      f"accuracy of shares within {_SLACK} above the step",
  )
  found = {
      arm.one.options.noop_share: arm.means(kind="has_op_exact_match")
      for arm in targets.varies(arms, "noop_share", "hard_share")
      if 0 < arm.one.options.noop_share < 1
  }
  names = ("E2 step", "E2 plateau")
  if len(found) < 2:
    why = f"{len(found)} shares of no-ops"
    return [missing(*each, why) for each in zip(names, wanted, strict=True)]
  halves = {share: measures.crossing(each) for share, each in found.items()}
  known = [each for each in halves.values() if each is not None]
  told = ", ".join(
      f"{share:g}: {'none' if each is None else f'{each:,.0f}'}"
      for share, each in halves.items()
  )
  alike = len(known) == len(halves) and max(known) <= 1.5 * min(known)
  step = decided(names[0], wanted[0], alike, told)
  return [step, _level(names[1], wanted[1], found.values())]


def _level(
    name: str, wanted: str, found: Iterable[Mapping[int, float]]
) -> Outcome:
  """Arms are alike at rules from which on all of them are high."""
  found = list(found)
  shared = sorted(set.intersection(*map(set, found)))
  high = [
      rules
      for rules in shared
      if all(
          each[i] >= targets.HIGH
          for each in found
          for i in shared
          if i >= rules
      )
  ]
  if not high:
    return missing(name, wanted, f"no rules with {targets.HIGH} in all")
  spread = {
      i: max(each[i] for each in found) - min(each[i] for each in found)
      for i in high
  }
  return decided(name, wanted, max(spread.values()) <= _SLACK, said(spread))


def _power_law(arms: Sequence[Arm]) -> Outcome:
  """E3, Fig. 3: the effective number of rules decides."""
  name = "E3"
  wanted = "effective rules >= 2 x I50: accuracy >= 0.9; <= 0.5 x I50: <= 0.1"
  found = targets.varies(arms, "power_law")
  uneven = [arm for arm in found if arm.one.options.power_law]
  even = [arm for arm in found if not arm.one.options.power_law]
  halves = [
      half
      for arm in even
      if (half := measures.crossing(arm.means())) is not None
  ]
  if not uneven or len(halves) != 1:
    why = "no power law" if not uneven else "no runs that give one I50"
    return missing(name, wanted, why)
  wrong, asked = [], 0
  for run in _all(uneven):
    value = run.final("unseen")
    if value is None:
      return missing(name, wanted, f"no unseen rules in {run.run.path}")
    above = run.effective >= 2 * halves[0]
    if above or run.effective <= 0.5 * halves[0]:
      asked += 1
      if value < targets.HIGH if above else value > 0.1:
        wrong.append(f"{run.effective:,.0f}: {value:.3f}")
  if not asked:
    return missing(name, wanted, f"no run is far from {halves[0]:,.0f}")
  told = f"I50 {halves[0]:,.0f}, {asked} runs"
  told += f", not so: {', '.join(wrong)}" if wrong else ""
  return decided(name, wanted, not wrong, told)


def _robust(arms: Sequence[Arm]) -> Outcome:
  """E7: the same at the paper's other lengths."""
  wanted = "z of 100 or 200: 100 rules fail, 1,000 and 10,000 do not"
  found = [
      (arm.one.options.z_length, arm.means())
      for arm in targets.varies(arms)
      if (arm.one.options.x_length, arm.one.options.z_length)
      in ((40, 100), (50, 200))
  ]
  found = [each for each in found if {100, 1000, 10_000} <= set(each[1])]
  if not found:
    return missing("robustness", wanted, "no such runs")
  met = all(
      means[100] <= targets.LOW
      and min(means[1000], means[10_000]) >= targets.HIGH
      for _, means in found
  )
  told = "; ".join(f"z of {length}: {said(means)}" for length, means in found)
  return decided("robustness", wanted, met, told)


def _all(arms: Sequence[Arm]) -> list[Rewriting]:
  return [
      run
      for arm in arms
      for by_seed in arm.runs.values()
      for run in by_seed.values()
  ]
