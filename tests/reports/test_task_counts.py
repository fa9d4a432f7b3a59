"""The table of tasks: all of a few, the ends of many."""

import json
import re

import pytest

from zsgen.core import config
from zsgen.data import prepare
from zsgen.reports import task_counts


@pytest.fixture
def make_store(tmp_path):
  """Makes a store of tasks of 1, 2, 3, … rows."""

  def make(tasks: int):
    rows = [
        {"task": f"t{i:02d}", "input": f"{i}, {j}", "target": "yes"}
        for i in range(tasks)
        for j in range(i + 1)
    ]
    rows += [{"task": "t01", "input": "?" * 99, "target": "no"}]
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    data = config.build(
        config.Data,
        source="table",
        path=str(path),
        heldout={"h": config.Heldout(share=0.2)},
        train_instances=1000,
        heldout_instances=1000,
        prompt="joined",
        template="plain",
        max_length=60,
    )
    return prepare.prepare(tmp_path / "stores", data, 0)

  return make


def test_few_tasks_are_shown_in_full_with_cut_and_dropped_examples(make_store):
  store = make_store(5)
  grid = task_counts.grid(store)
  rows = {row[0]: row[1:] for row in grid.rows}
  assert list(rows) == store.tasks and not grid.note
  assert grid.header == [
      "task",
      "examples",
      "tokens",
      "loss tokens",
      "cut",
      "dropped",
  ]
  # Bytes: "4, 0" and a line break, "yes" and an end.
  assert rows["t04"] == ["5", "45", "20", "0", "0"]
  assert rows["t01"] == ["2", "18", "8", "1", "1"]


def test_empty_columns_are_left_out(make_store):
  store = make_store(5)
  store.manifest.update(cut_by_task={}, dropped_by_task={})
  assert list(task_counts.grid(store).header)[-1] == "loss tokens"


def test_many_tasks_show_both_ends_and_name_the_file(make_store):
  store = make_store(41)
  grid = task_counts.grid(store)
  sizes = [int(row[1]) for row in grid.rows]
  assert sizes == [*range(41, 31, -1), *range(10, 0, -1)]
  assert re.search("of 41 tasks", grid.title)
  assert str(store.path / "tasks.parquet") in grid.note
  assert (store.path / "tasks.parquet").is_file()
