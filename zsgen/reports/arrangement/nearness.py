"""Targets on near and far examples: R8 to R13."""

from collections.abc import Sequence

import numpy as np

from zsgen.reports.arrangement import experiments as experiments_lib
from zsgen.reports.arrangement import rules
from zsgen.reports.arrangement.rules import Verdict, View
from zsgen.reports.outcomes import Outcome

_BY_NEARNESS = ("NFT", "RT", "FFT")
_SLICES = ("r0_5", "r5_10", "r10_15", "r15_20", "r20_25", "r25_30")
_FINAL_ORDER = ("MIN", "NFT", "RT", "FFT", "MAX")
# Losses as near as this share of the whole fall are called equal.
_EQUAL = 0.01


def check(
    experiments: Sequence[experiments_lib.Experiment],
) -> list[Outcome]:
  """Judges R8 to R13."""
  return [
      outcome for rule in RULES for outcome in rules.check(rule, experiments)
  ]


def _separated(view: View) -> Verdict:
  """R8, R10: NFT < RT < FFT in the first and in the last tenth."""
  steps = view.steps
  early, late = (
      {
          arm: rules.mean_over(view.curve(arm), begin, end)
          for arm in _BY_NEARNESS
      }
      for begin, end in ((0, 0.1 * steps), (0.9 * steps, steps))
  )
  half = {
      arm: rules.value_at(view.curve(arm), steps / 2) for arm in _BY_NEARNESS
  }
  fall = rules.zero_shot(view.curve("NFT")) - half["NFT"]
  ratio = (half["FFT"] - half["NFT"]) / fall if fall > 0 else float("nan")
  values = (
      f"first tenth {rules.format_values(early)}; last tenth {rules.format_values(late)};"
      f" FFT - NFT is {ratio:.2f} of the fall at half of the steps (published"
      " TMT on Flan-mini: 0.13)"
  )
  return Verdict(rules.ordered(early) and rules.ordered(late), values)


def _granularity(view: View) -> Verdict:
  """R9: fine ends below coarse."""
  fine, coarse = view.curve("fine"), view.curve("coarse")
  final = {"fine": fine.values[-1], "coarse": coarse.values[-1]}
  is_above = fine.values >= coarse.values
  last = fine.steps[is_above].max() if is_above.any() else 0
  values = (
      f"final {rules.format_values(final)}; fine is below after step {last}"
  )
  return Verdict(final["fine"] < final["coarse"], values)


def _best(view: View) -> Verdict:
  """R11: NFT is the lowest in nearly all evaluations."""
  trained = {
      arm: view.curve(arm).values[view.curve(arm).steps > 0]
      for arm in _BY_NEARNESS
  }
  lowest_of_others = np.minimum(trained["RT"], trained["FFT"])
  share = float((trained["NFT"] < lowest_of_others).mean())
  return Verdict(share >= 0.9, f"in {share:.0%} of the evaluations")


def _slices(view: View) -> Verdict:
  """R12: earlier rounds end lower."""
  final = {arm: float(view.curve(arm).values[-1]) for arm in _SLICES}
  numbers = list(final.values())
  correlation = rules.rank_correlation(range(len(numbers)), numbers)
  is_met = correlation >= 0.8 and max(numbers[:2]) < min(numbers[2:])
  return Verdict(
      is_met,
      f"final {rules.format_values(final)}; Spearman's correlation {correlation:+.2f}",
  )


def _settings(view: View) -> Verdict:
  """R13: pairs are equal until the switch, and FFT recovers after it."""
  steps, half = view.steps, view.steps / 2
  by_arm = {arm: view.curve(arm) for arm in _FINAL_ORDER}
  fall = rules.zero_shot(by_arm["MIN"]) - float(by_arm["MIN"].values.min())
  before = by_arm["MIN"].steps <= 0.9 * half
  gaps = {
      f"{a} and {b}": float(
          np.abs(by_arm[a].values - by_arm[b].values)[before].max()
      )
      for a, b in (("NFT", "MIN"), ("FFT", "MAX"))
  }
  at_switch, after = (
      {arm: rules.value_at(by_arm[arm], step) for arm in ("FFT", "RT")}
      for step in (half, half + 0.1 * steps)
  )
  distance = at_switch["FFT"] - at_switch["RT"]
  recovered = (
      (at_switch["FFT"] - after["FFT"]) / distance if distance > 0 else 0.0
  )
  final = {
      arm: rules.mean_over(curve, 0.9 * steps, steps)
      for arm, curve in by_arm.items()
  }
  is_met = (
      max(gaps.values()) <= _EQUAL * fall
      and recovered >= 0.5
      and rules.ordered(final, ties=True)
      and final["NFT"] < final["RT"]
      and final["FFT"] < final["MAX"]
  )
  values = (
      f"greatest gap before the switch: {rules.format_values(gaps)} of a fall of"
      f" {fall:.3f}; FFT recovers {recovered:.0%} of its distance to RT in the"
      f" next tenth; last tenth {rules.format_values(final)}"
  )
  return Verdict(is_met, values)


_ORDERED = "NFT < RT < FFT in the first and in the last tenth of the steps"
RULES = (
    rules.Rule("R8", "wsd", _BY_NEARNESS, _ORDERED, _separated),
    rules.Rule(
        "R9",
        "granularity",
        ("fine", "coarse"),
        "fine ends below coarse",
        _granularity,
    ),
    rules.Rule(
        "R10",
        "tmt",
        _BY_NEARNESS,
        _ORDERED,
        _separated,
        # Their published RT and FFT do not differ: they are those of R11.
        except_tiers=("sharegpt", "norobots"),
    ),
    rules.Rule(
        "R11",
        "tmt",
        _BY_NEARNESS,
        "NFT is the lowest in 90% of the evaluations",
        _best,
    ),
    rules.Rule(
        "R12",
        "slices",
        _SLICES,
        "Spearman's correlation of slice and final loss >= 0.8, and the first"
        " two slices below all others",
        _slices,
    ),
    rules.Rule(
        "R13",
        "settings",
        _FINAL_ORDER,
        "NFT = MIN, FFT = MAX until the switch; FFT then recovers half to RT in"
        " 10%; MIN <= NFT < RT <= FFT < MAX",
        _settings,
    ),
)
