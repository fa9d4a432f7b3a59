"""Targets on what rules, inputs and answers are like.

The rules are those of the spec of 2402.10891, section 4.2. For Z6 it has none:
0.05 is the slack here.
"""

from collections.abc import Mapping, Sequence

from zsgen.reports.outcomes import Outcome, decided, missing
from zsgen.rewrites.report import targets
from zsgen.rewrites.report.arms import Arm
from zsgen.rewrites.report.targets import format_accuracy

_SLACK = 0.05


def semantics(arms: Sequence[Arm]) -> list[Outcome]:
  """Checks Z4, Fig. 4: three families carry over to free rules, not one."""
  names = ("families", "ks", "heldout_families", "heldout_ks")
  candidates = [arm for arm in targets.varies(arms, *names) if _kinds(arm)]
  three = [arm for arm in candidates if _kinds(arm) == 3]
  single = [arm for arm in candidates if _kinds(arm) == 1]
  return [_by_rules(three), _by_families(three, single)]


def _by_rules(three: Sequence[Arm]) -> Outcome:
  """More rules of three families, over all ranges of k."""
  name = "Z4 rules"
  claim = "three families: most rules - fewest >= 0.3, over k"
  means_by_arm = [means for arm in three if len(means := arm.means()) > 1]
  if not means_by_arm:
    return missing(name, claim, "no three families at several rules")
  gains = [means[max(means)] - means[min(means)] for means in means_by_arm]
  gain = sum(gains) / len(gains)
  return decided(name, claim, gain >= 0.3, f"{gain:+.3f}")


def _by_families(three: Sequence[Arm], single: Sequence[Arm]) -> Outcome:
  """Three families against each single one of the same k and most rules."""
  name = "Z4 families"
  claim = "three families - best single one >= 0.3, most rules"
  margins = [
      arm.means()[largest] - single_arm.means()[largest]
      for arm in three
      for single_arm in single
      if single_arm.example_run.options.ks == arm.example_run.options.ks
      and (largest := max(arm.runs)) in single_arm.runs
  ]
  if not margins:
    return missing(name, claim, "no three families and single ones")
  return decided(name, claim, min(margins) >= 0.3, f"{min(margins):+.3f}")


def occurrences(arms: Sequence[Arm]) -> list[Outcome]:
  """Checks Z5, Table 1: mixed counts are best, then the middle ones."""
  claims = {
      "Z5 mixed": "mixed counts best wherever any is above 0.1",
      "Z5 middle": "middle count > extremes at the two largest rules",
  }
  means_by_count = {
      arm.example_run.options.occurrences: arm.means()
      for arm in targets.varies(arms, "occurrences", "heldout_occurrences")
  }
  single = {
      counts[0]: means_by_count[counts]
      for counts in sorted(means_by_count)
      if len(counts) == 1
  }
  mixed = [means for counts, means in means_by_count.items() if len(counts) > 1]
  if len(mixed) != 1 or not single:
    return [missing(*e, "no one mixture and singles") for e in claims.items()]
  shared = sorted(set.intersection(*map(set, means_by_count.values())))
  best = {i: max(means[i] for means in means_by_count.values()) for i in shared}
  wrong = [i for i in shared if best[i] > max(0.1, mixed[0][i])]
  values = format_accuracy(
      {i: mixed[0][i] - best[i] for i in wrong}
  ) or format_accuracy(mixed[0])
  if any(best[i] > 0.1 for i in shared):
    first = decided("Z5 mixed", claims["Z5 mixed"], not wrong, values)
  else:
    first = missing("Z5 mixed", claims["Z5 mixed"], "nothing is above 0.1")
  return [first, _middle(claims["Z5 middle"], single, shared[-2:])]


def encrypted(arms: Sequence[Arm]) -> list[Outcome]:
  """Checks Z6, Fig. 5, on a surrogate: no-ops first, a long tail harms."""
  claims = {
      "Z6 floor (surrogate)": "fewest rules: the share of no-ops",
      "Z6 rise (surrogate)": "more at the most rules",
      "Z6 half (surrogate)": "half evenly harmless, by a long tail harmful",
  }
  candidates = [arm for arm in arms if arm.example_run.options.cipher]
  complete = [
      arm for arm in candidates if arm.example_run.options.subsample == 1.0
  ]
  if len(complete) != 1 or len(complete[0].runs) < 2:
    return [missing(*claim, "no encrypted runs") for claim in claims.items()]
  means, share = complete[0].means(), complete[0].example_run.options.noop_share
  lowest, highest = means[min(means)], means[max(means)]
  half = {
      bool(arm.example_run.options.subsample_power_law): (
          arm.means().get(max(means))
      )
      for arm in candidates
      if arm.example_run.options.subsample < 1.0
  }
  floor, rise, cut = claims.items()
  outcomes = [
      decided(
          *floor, abs(lowest - share) <= _SLACK, f"{lowest:.3f}, {share:g}"
      ),
      decided(
          *rise, highest - lowest > _SLACK, f"{lowest:.3f} to {highest:.3f}"
      ),
  ]
  even, tail = half.get(False), half.get(True)
  if even is None or tail is None:
    return [*outcomes, missing(*cut, "no halves at the most rules")]
  is_met = highest - even <= _SLACK < highest - tail
  values = f"{highest:.3f}, even {even:.3f}, tail {tail:.3f}"
  return [*outcomes, decided(*cut, is_met, values)]


def _middle(
    claim: str, single: Mapping[int, Mapping[int, float]], rules: list[int]
) -> Outcome:
  """Judges whether the middle count of kinds is better than both ends."""
  if len(single) < 3 or len(rules) < 2:
    return missing("Z5 middle", claim, "fewer than three single counts")
  counts = list(single)
  margins = {
      i: (
          single[counts[len(counts) // 2]][i]
          - max(single[counts[0]][i], single[counts[-1]][i])
      )
      for i in rules
  }
  is_met = all(value > 0 for value in margins.values())
  return decided("Z5 middle", claim, is_met, format_accuracy(margins))


def _kinds(arm: Arm) -> int:
  return len(arm.example_run.options.families)
