"""Runs as Arrow tables."""

import json
import shutil

import numpy as np
import pytest

from tests.helpers import choice_tables
import zsgen
from zsgen.core import artifacts, errors
from zsgen.core import config as config_lib
from zsgen.data import prepare
from zsgen.reports import curves, run_tables


def test_metrics_have_a_row_for_each_step(write_run):
  run = zsgen.load_run(write_run(lambda step, index: 5.0 - step / 10).path)
  assert (run.steps, run.evaluations) == (10, ["heldout"])
  metrics = run.metrics
  assert metrics["step"].to_pylist() == list(range(11))
  assert metrics["heldout/loss"][-1].as_py() == pytest.approx(4.0)
  # There is no step of training after the last one.
  assert metrics["train/loss"].to_pylist()[-1] is None
  assert metrics["train/loss"].null_count == 1


def test_examples_have_losses_and_texts(write_run):
  run = zsgen.load_run(write_run(lambda step, index: step + index / 8).path)
  table = run.evaluation("heldout")
  names = ["step", "id", "task", "loss", "text", "answer", "prediction"]
  assert table.column_names == names
  store = zsgen.load_store(run.records.store)
  count = len(store.split_ids("heldout"))
  assert len(table) == 11 * count
  row = table.slice(3 * count + 2, 1).to_pylist()[0]
  prompt, answer = store.texts([row["id"]])[0]
  assert (row["step"], row["loss"]) == (3, 3.25)
  assert (row["text"], row["answer"], row["prediction"]) == (
      prompt,
      answer,
      None,
  )
  assert row["task"] == store.tasks[store.task_index[row["id"]]]
  with pytest.raises(errors.InputError, match='Did you mean "heldout"'):
    run.evaluation("heldut")


def test_tasks_agree_with_their_examples(write_run):
  run = zsgen.load_run(write_run().path)
  last = run.tasks.filter(np.equal(run.tasks["step"].to_numpy(), 10))
  assert set(last["metric"].to_pylist()) == {"loss"}
  examples = run.evaluation("heldout").to_pylist()
  for row in last.to_pylist():
    losses = [
        example["loss"]
        for example in examples
        if example["step"] == 10 and example["task"] == row["task"]
    ]
    assert row["value"] == pytest.approx(np.mean(losses), rel=1e-6)


def test_order_config_and_consumed_ids(small, workdirs):
  workdir = workdirs.get(small, "train", "evaluate")
  (path,) = (workdir / "runs").iterdir()
  run = zsgen.load_run(path)
  assert run.is_finished
  consumed = run.consumed
  assert consumed["id"].to_pylist() == run.order["id"].to_pylist()
  assert consumed["step"].to_pylist() == run.order["step"].to_pylist()
  assert consumed["position"].to_pylist()[:5] == [0, 1, 2, 3, 0]
  options = dict(zip(*run.config.to_pydict().values(), strict=True))
  assert options["train.batch_size"] == "4" and options["name"] == '"small"'
  provenance = run.provenance
  assert provenance["artifact"].to_pylist() == ["store", "order", "run"]
  assert provenance["zsgen"].to_pylist() == [zsgen.__version__] * 3
  assert json.loads(provenance["mesh"][2].as_py())["data"] >= 1
  assert provenance["device"][2].as_py() == "cpu"


def test_an_older_run_has_no_provenance(write_run):
  run = write_run()
  for path in (run.store, run.order):
    (path / artifacts.PROVENANCE).unlink()
  table = zsgen.load_run(run.path).provenance
  assert len(table) == 0 and "command" in table.column_names


def test_a_run_that_trains_is_read_up_to_now(write_run):
  records = write_run()
  log = records.path / "metrics.jsonl"
  lines = log.read_bytes().splitlines(keepends=True)
  log.write_bytes(b"".join(lines[:4]) + lines[4][:9])
  ids = np.load(records.path / "consumed.npy")
  ids[:2] = [[5, 6, 7, 8], [1, 2, -1, -1]]
  np.save(records.path / "consumed.npy", ids)
  run = zsgen.load_run(records.path)
  assert not run.is_finished
  assert run.metrics["step"].to_pylist() == [0, 1]
  assert run.consumed.to_pylist()[-1] == {"step": 1, "position": 1, "id": 2}
  assert len(run.consumed) == 6


def test_a_run_that_has_just_begun_has_empty_tables(write_run):
  records = write_run()
  for name in ("metrics.jsonl", "consumed.npy"):
    (records.path / name).unlink()
  shutil.rmtree(records.path / "evals")
  run = zsgen.load_run(records.path)
  for table in (
      run.metrics,
      run.tasks,
      run.consumed,
      run.evaluation("heldout"),
  ):
    assert len(table) == 0 and "step" in table.column_names


def test_answers_that_were_written(write_run):
  records = write_run()
  ids = records.evaluation("heldout").ids.tolist()
  for step in range(11):
    lines = [{"id": i, "prediction": f"{i} at {step}"} for i in ids]
    file = records.path / "evals" / "heldout" / f"predictions-{step}.jsonl"
    file.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
  table = zsgen.load_run(records.path).evaluation("heldout")
  assert "score" in table.column_names and "loss" not in table.column_names
  assert table["prediction"][len(ids)].as_py() == f"{ids[0]} at 1"
  file.write_text("{")
  with pytest.raises(errors.InputError, match=r"predictions-10\.jsonl: cannot"):
    zsgen.load_run(records.path).evaluation("heldout")


def test_rows_to_choose_from_have_their_example(small, tmp_path):
  path = choice_tables.write(tmp_path / "t.jsonl", choice_tables.rows())
  config = config_lib.check(choice_tables.use(small, path))
  store = prepare.prepare(tmp_path / "stores", config.data, 0)
  candidates = store.choices("heldout")
  directory = tmp_path / "run" / "evals" / "choosing"
  directory.mkdir(parents=True)
  np.save(directory / "ids.npy", candidates.rows)
  np.save(directory / "steps.npy", np.array([0, 4]))
  losses = np.arange(2 * len(candidates.rows), dtype=np.float32)
  np.save(directory / "loss.npy", losses.reshape(2, -1))
  records = curves.RunRecords(
      tmp_path / "run", config, 4, 4, store.path, tmp_path
  )
  table = run_tables.Run(records).evaluation("choosing")
  assert table.column_names[:3] == ["step", "id", "example"]
  assert table["example"].to_pylist() == [*candidates.examples.tolist()] * 2
  assert table["loss"].to_pylist() == losses.tolist()
  answers = {answer.strip() for answer in table["answer"].to_pylist()}
  assert answers <= set(choice_tables.COLOURS)
