"""Targets beyond the first experiment: no-ops, power law, semantics and more.

The rules are those of the spec of 2402.10891, section 4.2. For E6 it has none:
0.05 is the slack here.
"""

from collections.abc import Iterable, Mapping, Sequence

from zsgen.reports import rewrites_measures as measures
from zsgen.reports import rewrites_targets as targets
from zsgen.reports.rewrites_arms import Arm
from zsgen.reports.rewrites_runs import Rewriting
from zsgen.reports.rewrites_targets import Outcome, decided, missing, said

_SLACK = 0.05


def check(arms: Sequence[Arm]) -> list[Outcome]:
  """All targets, those of the first experiment too."""
  return [
      *targets.diversity(arms),
      *_noop(arms),
      _power_law(arms),
      *_semantics(arms),
      *_occurrences(arms),
      *_encrypted(arms),
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


def _semantics(arms: Sequence[Arm]) -> list[Outcome]:
  """E4, Fig. 4: three families carry over to free rules, one does not."""
  asked = {
      "E4 rules": "three families: most rules - fewest >= 0.3, over k",
      "E4 families": "three families - best single one >= 0.3, most rules",
  }
  found = [a for a in targets.varies(arms, "families", "ks") if _kinds(a) > 0]
  three = [arm for arm in found if _kinds(arm) == 3]
  if not three:
    return [missing(*each, "no three families") for each in asked.items()]
  few, many = (
      [end(arm.means().items())[1] for arm in three] for end in (min, max)
  )
  gain = (sum(many) - sum(few)) / len(three)
  outcomes = [
      decided("E4 rules", asked["E4 rules"], gain >= 0.3, f"{gain:+.3f}")
      if len(three[0].runs) > 1
      else missing("E4 rules", asked["E4 rules"], "one number of rules")
  ]
  # Singles are held against three families of the same k.
  apart = [
      max(arm.means().items())[1] - max(one.means().items())[1]
      for one in found
      for arm in three
      if _kinds(one) == 1
      and one.one.options.ks == arm.one.options.ks
      and max(one.runs) == max(arm.runs)
  ]
  wanted = ("E4 families", asked["E4 families"])
  if not apart:
    return [*outcomes, missing(*wanted, "no single family")]
  told = f"{min(apart):+.3f}"
  return [*outcomes, decided(*wanted, min(apart) >= 0.3, told)]


def _occurrences(arms: Sequence[Arm]) -> list[Outcome]:
  """E5, Table 1: mixed counts are best, and the middle beats the extremes."""
  asked = {
      "E5 mixed": "mixed counts best wherever any is above 0.1",
      "E5 middle": "middle count > extremes at the two largest rules",
  }
  found = {
      arm.one.options.occurrences: arm.means()
      for arm in targets.varies(arms, "occurrences")
  }
  single = {each[0]: found[each] for each in sorted(found) if len(each) == 1}
  mixed = [means for each, means in found.items() if len(each) > 1]
  if len(mixed) != 1 or not single:
    return [missing(*e, "no one mixture and singles") for e in asked.items()]
  shared = sorted(set.intersection(*map(set, found.values())))
  best = {i: max(means[i] for means in found.values()) for i in shared}
  wrong = [i for i in shared if best[i] > max(0.1, mixed[0][i])]
  told = said({i: mixed[0][i] - best[i] for i in wrong}) or said(mixed[0])
  if any(best[i] > 0.1 for i in shared):
    first = decided("E5 mixed", asked["E5 mixed"], not wrong, told)
  else:
    first = missing("E5 mixed", asked["E5 mixed"], "nothing is above 0.1")
  return [first, _middle(asked["E5 middle"], single, shared[-2:])]


def _middle(
    wanted: str, single: Mapping[int, Mapping[int, float]], rules: list[int]
) -> Outcome:
  if len(single) < 3 or len(rules) < 2:
    return missing("E5 middle", wanted, "fewer than three single counts")
  counts = list(single)
  apart = {
      i: (
          single[counts[len(counts) // 2]][i]
          - max(single[counts[0]][i], single[counts[-1]][i])
      )
      for i in rules
  }
  met = all(value > 0 for value in apart.values())
  return decided("E5 middle", wanted, met, said(apart))


def _encrypted(arms: Sequence[Arm]) -> list[Outcome]:
  """E6, Fig. 5, of a surrogate: no-ops first, and the harm of a long tail."""
  asked = {
      "E6 floor (surrogate)": "fewest rules: the share of no-ops",
      "E6 rise (surrogate)": "more at the most rules",
      "E6 half (surrogate)": "half evenly harmless, by a long tail harmful",
  }
  found = [arm for arm in arms if arm.one.options.cipher]
  whole = [arm for arm in found if arm.one.options.subsample == 1.0]
  if len(whole) != 1 or len(whole[0].runs) < 2:
    return [missing(*each, "no encrypted runs") for each in asked.items()]
  means, share = whole[0].means(), whole[0].one.options.noop_share
  few, many = means[min(means)], means[max(means)]
  half = {
      bool(arm.one.options.subsample_power_law): arm.means().get(max(means))
      for arm in found
      if arm.one.options.subsample < 1.0
  }
  floor, rise, cut = asked.items()
  outcomes = [
      decided(*floor, abs(few - share) <= _SLACK, f"{few:.3f}, {share:g}"),
      decided(*rise, many - few > _SLACK, f"{few:.3f} to {many:.3f}"),
  ]
  if None in (half.get(False), half.get(True)):
    return [*outcomes, missing(*cut, "no halves at the most rules")]
  met = many - half[False] <= _SLACK < many - half[True]
  told = f"{many:.3f}, even {half[False]:.3f}, tail {half[True]:.3f}"
  return [*outcomes, decided(*cut, met, told)]


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


def _kinds(arm: Arm) -> int:
  return len(arm.one.options.families)


def _all(arms: Sequence[Arm]) -> list[Rewriting]:
  return [
      run
      for arm in arms
      for by_seed in arm.runs.values()
      for run in by_seed.values()
  ]
