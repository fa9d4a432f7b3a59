"""Apache Beam makes the store of one process, with any number of workers."""

import json

import pytest

from tests.helpers import artifact_files
from zsgen.core import config, errors
from zsgen.data import chunks, prepare, shards

# The extra `beam` (make beam).
pytest.importorskip("apache_beam")

from zsgen.data.shards import beam


@pytest.fixture
def table(tmp_path) -> config.Config:
  """Writes four files, and rows for three chunks."""
  (tmp_path / "rows").mkdir()
  for number in range(4):
    rows = [
        {"task": f"t{i % 7}", "input": f"{number} {i}", "target": f"{i % 5}"}
        for i in range(2500)
    ]
    path = tmp_path / f"rows/{number}.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
  return config.check(
      {
          "data": {
              "source": "table",
              "path": str(tmp_path / "rows"),
              "heldout": {"h": {"share": 0.3}},
              "train_instances": 2000,
              "deduplicate": True,
          }
      }
  )


_TWO_PROCESSES = (
    "--direct_num_workers=2",
    "--direct_running_mode=multi_processing",
)


def test_one_and_two_workers_make_the_same_store(tmp_path, table):
  prepare.prepare(tmp_path / "whole/stores", table.data, table.data_seed)
  for name, options in (("one", ()), ("two", _TWO_PROCESSES)):
    root = tmp_path / name / "stores"
    beam.run(root, table, "direct", options)
    shards.merge(root, table.data, table.data_seed)
    artifact_files.assert_same(root, tmp_path / "whole/stores")


def test_work_of_shards_is_not_done_again(tmp_path, table):
  root = tmp_path / "stores"
  progress = [
      shards.prepare_shard(root, table.data, 0, shards.Shard(index, 2))
      for index in (0, 1, 1)
  ]
  assert progress[2].chunks
  times = {path: path.stat().st_mtime_ns for path in root.glob(".*/[cpr]*")}
  beam.run(root, table, "direct", ())
  assert {path: path.stat().st_mtime_ns for path in times} == times
  shards.merge(root, table.data, table.data_seed)
  beam.run(root, table, "direct", ())  # The store exists.
  assert len(list(root.iterdir())) == 1


def test_a_pipeline_that_stopped_continues(tmp_path, table, monkeypatch):
  prepare.prepare(tmp_path / "whole/stores", table.data, table.data_seed)
  root, write, numbers = tmp_path / "stores", chunks.write, []

  def write_one(folder, number, *rest):
    numbers.append(number)
    if len(numbers) > 1:
      raise RuntimeError("the worker is lost")
    write(folder, number, *rest)

  with monkeypatch.context() as patched:
    patched.setattr(chunks, "write", write_one)
    with pytest.raises(RuntimeError, match="the worker is lost"):
      beam.run(root, table, "direct", ())
  with pytest.raises(errors.InputError, match="chunks are not encoded"):
    shards.merge(root, table.data, table.data_seed)
  beam.run(root, table, "direct", ())
  shards.merge(root, table.data, table.data_seed)
  artifact_files.assert_same(root, tmp_path / "whole/stores")


@pytest.mark.parametrize("options", [(), _TWO_PROCESSES])
def test_bad_rows_are_one_error(tmp_path, table, options):
  with open(tmp_path / "rows/2.jsonl", "a") as file:
    file.write('\n{"task": "t1"}\n{"task": "t2"}\n')
  with pytest.raises(errors.InputError) as expected:
    prepare.prepare(tmp_path / "whole/stores", table.data, 0)
  with pytest.raises(errors.InputError) as error:
    beam.run(tmp_path / "stores", table, "direct", options)
  assert str(error.value) == str(expected.value)
