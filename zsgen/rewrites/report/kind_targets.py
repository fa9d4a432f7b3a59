"""Targets on what rules, inputs and answers are like.

The rules are those of the spec of 2402.10891, section 4.2. For E6 it has none:
0.05 is the slack here.
"""

from collections.abc import Mapping, Sequence

from zsgen.rewrites.report import targets
from zsgen.rewrites.report.arms import Arm
from zsgen.rewrites.report.targets import Outcome, decided, missing, said

_SLACK = 0.05


def semantics(arms: Sequence[Arm]) -> list[Outcome]:
  """E4, Fig. 4: three families carry over to free rules, one does not."""
  names = ("families", "ks", "heldout_families", "heldout_ks")
  found = [arm for arm in targets.varies(arms, *names) if _kinds(arm)]
  three = [arm for arm in found if _kinds(arm) == 3]
  single = [arm for arm in found if _kinds(arm) == 1]
  return [_by_rules(three), _by_families(three, single)]


def _by_rules(three: Sequence[Arm]) -> Outcome:
  """More rules of three families, over all ranges of k."""
  name = "E4 rules"
  wanted = "three families: most rules - fewest >= 0.3, over k"
  found = [means for arm in three if len(means := arm.means()) > 1]
  if not found:
    return missing(name, wanted, "no three families at several rules")
  gains = [means[max(means)] - means[min(means)] for means in found]
  gain = sum(gains) / len(gains)
  return decided(name, wanted, gain >= 0.3, f"{gain:+.3f}")


def _by_families(three: Sequence[Arm], single: Sequence[Arm]) -> Outcome:
  """Three families against each single one of the same k and most rules."""
  name = "E4 families"
  wanted = "three families - best single one >= 0.3, most rules"
  apart = [
      arm.means()[most] - one.means()[most]
      for arm in three
      for one in single
      if one.one.options.ks == arm.one.options.ks
      and (most := max(arm.runs)) in one.runs
  ]
  if not apart:
    return missing(name, wanted, "no three families and single ones")
  return decided(name, wanted, min(apart) >= 0.3, f"{min(apart):+.3f}")


def occurrences(arms: Sequence[Arm]) -> list[Outcome]:
  """E5, Table 1: mixed counts are best, and the middle beats the extremes."""
  asked = {
      "E5 mixed": "mixed counts best wherever any is above 0.1",
      "E5 middle": "middle count > extremes at the two largest rules",
  }
  found = {
      arm.one.options.occurrences: arm.means()
      for arm in targets.varies(arms, "occurrences", "heldout_occurrences")
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


def encrypted(arms: Sequence[Arm]) -> list[Outcome]:
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
  even, tail = half.get(False), half.get(True)
  if even is None or tail is None:
    return [*outcomes, missing(*cut, "no halves at the most rules")]
  is_met = many - even <= _SLACK < many - tail
  values = f"{many:.3f}, even {even:.3f}, tail {tail:.3f}"
  return [*outcomes, decided(*cut, is_met, values)]


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


def _kinds(arm: Arm) -> int:
  return len(arm.one.options.families)
