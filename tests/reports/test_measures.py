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


def test_no_evaluation_in_the_first_tenth_is_no_number():
  found = measures.measure(_curve({0: 4, 50: 2, 100: 1}), 100)
  assert found["first_tenth"] is None
  assert found["mean"] == 1.5


def test_improved_counts_examples():
  losses = np.array([[3, 3, 3, 3], [9, 9, 9, 9], [2, 3, 4, 1]], np.float32)
  evaluation = curves.Evaluation(np.arange(3), np.arange(4), losses)
  assert measures.improved(evaluation) == 0.5
  assert measures.improved(evaluation._replace(losses=losses[:1])) is None


def test_differences_are_paired_within_a_seed():
  # The seeds lie far apart; the order is 0.1 better in each.
  reference = {0: 1.0, 1: 5.0, 2: 9.0}
  found = measures.paired({2: 8.9, 0: 0.9, 7: 100.0}, reference)
  assert found.seeds == 2
  assert found[:3] == pytest.approx((-0.1, -0.1, -0.1))
  assert measures.paired({7: 1.0}, reference) is None
  assert measures.paired({0: None}, reference) is None


def test_spread_is_mean_and_range():
  assert measures.spread([1.0, 2.0, 6.0]) == (3.0, 1.0, 6.0, 3)
  assert measures.spread([1.0, None]) is None
  assert measures.spread([]) is None
