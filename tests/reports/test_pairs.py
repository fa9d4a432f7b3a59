"""Differences between all labels of a comparison."""

import dataclasses

import numpy as np
import pytest

from zsgen.reports import comparison, measures, pairs

LABELS = ("uniform", "near", "far")


@pytest.fixture
def compare(write_run):
  """Returns a function that compares three labels over some seeds."""

  def write(seeds):
    points = []
    for number, label in enumerate(LABELS):
      for seed in seeds:
        run = write_run(
            lambda step, index, n=number, s=seed: (
                (3 + n * (1 + 0.1 * s + 0.01 * index)) / (1 + step)
            ),
            seed=seed,
            name=f"{label}_{seed}",
        )
        points.append(comparison.Point(label, seed, run.path))
    return comparison.open_points(points, "uniform")

  return write


def test_all_pairs_are_those_of_each_reference(compare):
  compared = compare((0, 1, 2))
  paired = pairs.compare_all(compared, "heldout")
  assert [(pair.label, pair.reference) for pair in paired] == [
      ("near", "uniform"),
      ("far", "uniform"),
      ("far", "near"),
  ]
  far_near = paired[2]
  assert far_near.seeds == 3
  against = dataclasses.replace(compared, reference="near")
  expected = comparison.evaluation_measures(against, "far", "heldout")
  for measure in measures.COMPARED:
    difference = dict(expected[measure]["difference"])
    interval = difference.pop("over_examples")
    assert far_near.over_examples[measure] == pytest.approx(interval)
    assert far_near.differences[measure] == measures.Difference(**difference)
  final = far_near.differences["final"]
  by_seed = [
      float(
          runs["far"].metrics["heldout/loss"].values[-1]
          - runs["near"].metrics["heldout/loss"].values[-1]
      )
      for seed in (0, 1, 2)
      if (runs := {label: compared.runs[label][seed] for label in LABELS})
  ]
  assert final.mean == pytest.approx(np.mean(by_seed))
  half = 4.302653 * np.std(by_seed, ddof=1) / np.sqrt(3)
  assert final.detectable == pytest.approx(half, rel=1e-5)


def test_few_seeds_have_no_interval(compare):
  paired = pairs.compare_all(compare((0, 1)), "heldout")
  assert all(pair.differences["final"].interval is None for pair in paired)
  grid = pairs.table("all pairs", paired)
  assert [row[:2] for row in grid.rows] == [
      ["near - uniform", "2"],
      ["far - uniform", "2"],
      ["far - near", "2"],
  ]
  assert "Fewer than three seeds" in grid.note
  assert not any("±" in cell for row in grid.rows for cell in row)
  assert pairs.describe(paired)[2]["final"]["seeds"] == 2
