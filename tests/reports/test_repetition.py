"""Whether seeds are repetitions with other data."""

import json

import numpy as np
import pytest

from zsgen.reports import comparison, comparison_report, repetition


class _Store:
  """Texts of rows, of which a second store has another sequence."""

  tasks = ("a", "b")

  def __init__(self, rows):
    self.task_index = np.array([row % 2 for row in rows])
    self._texts = [(str(row // 2), "answer") for row in rows]

  def texts(self, ids):
    return [self._texts[i] for i in ids]


def test_examples_are_the_same_by_task_and_texts():
  rows = np.arange(40)
  shuffled = np.random.default_rng(0).permutation(40)
  stores = _Store(rows), _Store(shuffled)
  # The same examples, in another sequence inside each tenth of the steps.
  ids = np.arange(20)
  swapped = ids.reshape(10, 2)[:, ::-1].reshape(-1)
  position = np.argsort(shuffled)
  measured = repetition.measure(
      [(stores[0], ids), (stores[1], position[swapped])]
  )
  assert measured == repetition.Repetition(1, 1)
  # The last example of all is another one, and two tenths are exchanged.
  other = np.concatenate([ids[2:4], ids[:2], ids[4:19], [30]])
  measured = repetition.measure([(stores[0], ids), (stores[0], other)])
  assert measured == repetition.Repetition(19 / 20, 15 / 20)


def test_a_single_seed_or_no_example_has_no_repetition():
  store = _Store(np.arange(4))
  assert repetition.measure([(store, np.arange(4))]) is None
  nothing = np.zeros(0, np.int64)
  assert repetition.measure([(store, nothing)] * 2) is None


def test_only_arms_with_the_same_examples_are_named():
  values = {
      "near": {"repetition": {"examples": 1.0, "tenths": 0.97}},
      "uniform": {"repetition": {"examples": 0.03, "tenths": 0.0}},
      "single": {"repetition": None},
  }
  text = repetition.describe(values)
  assert "near (100%; 97% in the same tenth of the steps)" in text
  assert "uniform" not in text and "single" not in text
  del values["near"]
  assert repetition.describe(values) == ""


@pytest.mark.parametrize("seeds", [(0,), (0, 1, 2)])
def test_a_comparison_says_so(write_run, small, tmp_path, seeds):
  # Without caps, the order is all rows of the table.
  table = tmp_path / "rows.jsonl"
  rows = [
      {"task": f"t{i % 6}", "input": f"{i}", "target": "x"} for i in range(72)
  ]
  table.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
  small.data.update({"source": "table", "path": str(table)})
  small.data.heldout = {"heldout": {"tasks": ("t5",)}}
  small.data.train_instances, small.order.budget = 100, -1
  points = []
  for seed in seeds:
    run = write_run(lambda step, index: 11 - step, seed=seed, name="random")
    points.append(comparison.Point("random", seed, run.path))
  summary = comparison.summary(comparison.open_points(points))
  repeated = summary["orders"]["random"]["repetition"]
  comparison_report.write(tmp_path, points)
  text = (tmp_path / "comparison.md").read_text("utf-8")
  if len(seeds) == 1:
    assert repeated is None and "All seeds" not in text
  else:
    assert repeated["examples"] == 1 and repeated["tenths"] < 1
    assert "All seeds train on the same examples under random (100%;" in text
