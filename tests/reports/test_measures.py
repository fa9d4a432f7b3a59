"""Measures, by hand."""

import numpy as np
import pytest

from zsgen.reports import curves, measures


def _curve(points):
  steps, values = zip(*points.items(), strict=True)
  return curves.Curve(np.array(steps), np.array(values, float))


def test_measures_by_hand():
  curve = _curve({0: 4, 5: 3, 10: 2, 11: 1.5, 100: 1})
  assert measures.measure(curve, 100) == {
      "first": 4.0,
      "first_tenth": 2.5,
      "mean": 1.875,
      "final": 1.0,
      "drop": 0.75,
  }


def test_without_an_early_evaluation_the_first_tenth_is_none():
  actual = measures.measure(_curve({0: 4, 50: 2, 100: 1}), 100)
  assert actual["first_tenth"] is None
  assert actual["mean"] == 1.5


def test_improved_counts_examples():
  losses = np.array([[3, 3, 3, 3], [9, 9, 9, 9], [2, 3, 4, 1]], np.float32)
  evaluation = curves.Evaluation(np.arange(3), np.arange(4), losses)
  assert measures.improved(evaluation) == 0.5
  assert measures.improved(evaluation._replace(losses=losses[:1])) is None


def test_differences_are_paired_within_a_seed():
  # The seeds lie far apart; the order is 0.1 better in each.
  reference = {0: 1.0, 1: 5.0, 2: 9.0}
  actual = measures.paired({2: 8.9, 0: 0.9, 7: 100.0}, reference)
  assert actual.seeds == 2
  assert actual[:3] == pytest.approx((-0.1, -0.1, -0.1))
  assert measures.paired({7: 1.0}, reference) is None
  assert measures.paired({0: None}, reference) is None


def test_an_interval_by_hand():
  reference = dict.fromkeys(range(3), 0.0)
  difference = measures.paired({0: 1.0, 1: 2.0, 2: 3.0}, reference)
  # The deviation is 1, and Student's t of 2 degrees of freedom 4.3027.
  assert difference.detectable == pytest.approx(4.302653 / 3**0.5)
  assert tuple(difference.interval) == pytest.approx(
      (2 - 2.484138, 2 + 2.484138)
  )
  two = measures.paired({0: 1.0, 1: 2.0}, reference)
  assert two.interval is None and two.detectable is None


def test_a_bootstrap_interval_covers_the_mean():
  values = np.random.default_rng(3).normal(1.0, 2.0, 400)
  low, high = measures.over_examples(values)
  assert (low, high) == measures.over_examples(values)
  half = 1.96 * values.std() / 20
  assert (low, high) == pytest.approx(
      (values.mean() - half, values.mean() + half), abs=0.02
  )


def test_measures_of_examples_average_to_those_of_the_curve():
  steps = np.array([0, 5, 10, 100])
  losses = np.random.default_rng(0).random((4, 7)).astype(np.float32)
  evaluation = curves.Evaluation(steps, np.arange(7), losses)
  curve = curves.Curve(steps, losses.mean(axis=1, dtype=np.float64))
  for name, value in measures.measure(curve, 100).items():
    if name != "drop":
      rows = measures.of_examples(evaluation, 100, name)
      assert rows.mean() == pytest.approx(value)


def test_spread_is_mean_and_range():
  assert measures.spread([1.0, 2.0, 6.0]) == (3.0, 1.0, 6.0, 3)
  assert measures.spread([1.0, None]) is None
  assert measures.spread([]) is None
