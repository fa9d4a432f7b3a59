"""The rest of an order may be arranged anew by the model that it trains."""

import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.campaigns import damages
from tests.helpers import closeness, configs, remade_runs, restarts
import zsgen
from zsgen import verify
from zsgen.core import config as config_lib
from zsgen.core import errors
from zsgen.data import store as store_lib
from zsgen.evals import example_losses
from zsgen.orders import order as order_lib
from zsgen.orders import segments
from zsgen.pipeline import checks, experiment
from zsgen.reports import curves
from zsgen.reports.interactive import order_data
from zsgen.reports.interactive import subject as subject_lib
from zsgen.train import lineage, remaking

STEPS = remade_runs.STEPS


@pytest.fixture
def remade():
  """Returns a config whose order is sorted by loss again at steps 4 and 8."""
  return configs.remade()


@pytest.fixture
def finished(remade, workdirs):
  """Returns a finished run of it; not to be changed."""
  return remade_runs.only_run(workdirs.get(remade, "train"))


@pytest.fixture
def probed(remade):
  """Returns the same config, with examples that are followed."""
  config = remade.copy_and_resolve_references()
  config.probe = {"examples": 5, "around": False, "steps": (3,)}
  return config


def test_each_segment_is_the_rest_sorted_again(finished):
  order = remade_runs.load_order(finished)
  consumed = remade_runs.consumed_ids(finished)
  np.testing.assert_array_equal(consumed[:16], order.ids[:16])
  assert sorted(consumed.tolist()) == sorted(order.ids.tolist())
  rest = order.ids
  for step, stop in zip(STEPS, (32, 38), strict=True):
    rest = rest[16:]
    ids, manifest = remade_runs.load_segment(finished, step)
    assert sorted(ids.tolist()) == sorted(rest.tolist())
    assert ids.tolist() != rest.tolist()
    np.testing.assert_array_equal(
        consumed[step * 4 : stop], ids[: stop - step * 4]
    )
    store = manifest["made_by"]["store"]
    assert manifest["fingerprint"] == order_lib.fingerprint(ids, store)
    assert manifest["shapes"]
    rest = ids
  table = zsgen.load_run(finished).order
  assert table["id"].to_pylist() == consumed.tolist()
  assert table["position"].to_pylist() == list(range(38))
  for begin, stop in ((0, 16), (16, 32), (32, 38)):
    losses = table["distance"].to_pylist()[begin:stop]
    assert losses == sorted(losses, reverse=True)
  assert remade_runs.remade_steps(finished) == list(STEPS)


def test_the_arrangement_file_reads_the_order_that_is_consumed(
    finished, tmp_path
):
  run = zsgen.load_run(finished)
  pq.write_table(run.order, tmp_path / "order.parquet")
  options = config_lib.build(
      config_lib.Order,
      arrangement="file",
      path=str(tmp_path / "order.parquet"),
      embedder="",
  )
  store = store_lib.open_store(run.records.store)
  order = order_lib.make(tmp_path, store, options, 0)
  np.testing.assert_array_equal(order.ids, remade_runs.consumed_ids(finished))


def test_pages_show_the_order_that_is_consumed(finished):
  subject = subject_lib.from_run(curves.open_run(finished))
  np.testing.assert_array_equal(
      subject.load_order(0).ids, remade_runs.consumed_ids(finished)
  )
  # No run of the same static order is shown in its place.
  assert subject.orders == {0: finished}
  (part,) = order_data.build(subject, 1)
  store = subject.open_store(subject.trained[0].store)
  consumed = np.load(finished / "consumed.npy")
  for name, counts in zip(part["names"], part["counts"], strict=True):
    if name in store.tasks:  # The last one may be "N other tasks".
      task = store.tasks.index(name)
      own = (store.task_index[consumed] == task) & (consumed >= 0)
      assert counts == own.sum(1).tolist()


def test_verify_checks_segment_by_segment(finished, tmp_path):
  lines = verify.verify(finished)
  for step in STEPS:
    ids, manifest = remade_runs.load_segment(finished, step)
    line = (
        f"run {finished}: segment of step {step}: {len(ids)} ids verified,"
        f" fingerprint {manifest['fingerprint'][:12]}…"
    )
    assert line in lines
  assert f"run {finished}: 10 steps verified of 10" in lines
  run = remade_runs.copy_run(finished, tmp_path)
  # The run did not consume what the segment says.
  consumed = np.load(run / "consumed.npy", mmap_mode="r+")
  consumed[5, [0, 1]] = consumed[5, [1, 0]]
  consumed.flush()
  with pytest.raises(errors.InputError, match="step 5, position 0: expected"):
    verify.verify(run)
  shutil.rmtree(segments.path_of(run, 8))
  with pytest.raises(errors.InputError, match="segments/8: is missing, but"):
    verify.verify(run)


def test_the_name_depends_on_the_steps(remade, finished):
  def identity():
    checked = config_lib.check(remade)
    return experiment.Experiment(checked, finished.parents[1]).run.identity

  every = identity()
  remade.order.update(remake_every=0, remake_steps=STEPS)
  assert identity() == every
  remade.order.remake_steps = (4,)
  assert identity() != every


@pytest.mark.parametrize(
    ("order", "first", "expected"),
    [
        ({"remake_every": 4}, 0, (4, 8)),
        ({"remake_every": 5}, 5, (5,)),
        ({"remake_steps": (1, 9)}, 0, (1, 9)),
        ({"remake_steps": (3, 9)}, 3, (3, 9)),
        ({}, 0, ()),
    ],
)
def test_steps(order, first, expected):
  options = config_lib.build(config_lib.Order, **order)
  assert remaking.find_steps(options, first, 10) == expected


@pytest.mark.parametrize(
    ("order", "first"),
    [
        ({"remake_every": 10}, 0),
        ({"remake_steps": (4, 10)}, 0),
        ({"remake_steps": (0,)}, 0),
        ({"remake_steps": (2, 7)}, 5),
    ],
)
def test_nothing_left_to_remake(order, first):
  options = config_lib.build(config_lib.Order, **order)
  with pytest.raises(errors.InputError, match="arranged anew at steps"):
    remaking.find_steps(options, first, 10)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"order": {"remake_steps": (4,)}}, "Set one of them"),
        (
            {"order": {"remake_every": 0, "remake_steps": (4, 4)}},
            "its steps must ascend",
        ),
        ({"data": {"feed": "seqio"}}, "remake_every and config.data.feed"),
        ({"population": 2}, "remake_every and config.population cannot"),
        ({"probe": {"examples": 1}}, "config.probe.around cannot be used"),
        ({"order": {"score": "tokens"}}, "reads nothing of the model"),
        (
            {"order": {"window": 7}},
            "window is 7, but .* This is what is left at step 8",
        ),
        ({"order": {"remake_every": 10}}, "arranged anew at steps 1 to 9"),
    ],
)
def test_bad_options_are_refused_before_any_step(
    remade, finished, tmp_path, options, message
):
  # It has scores of the start.
  workdir = remade_runs.copy_run(finished, tmp_path).parents[1]
  remade.update(options)
  with pytest.raises(errors.InputError, match=message):
    zsgen.run(remade, workdir, ["train"])
  assert len(list((workdir / "runs").iterdir())) == 1


def test_a_part_of_an_order_is_not_remade(small):
  small.order = {
      "arrangement": "concatenate",
      "parts": ({"arrangement": "scored", "score": "loss", "remake_every": 2},),
  }
  with pytest.raises(errors.InputError, match=r"parts\[0\].remake_every is 2"):
    config_lib.check(small)


def test_an_order_with_parts_is_not_remade(small):
  small.order = {
      "arrangement": "concatenate",
      "parts": ({"arrangement": "scored", "score": "loss"},),
      "remake_every": 2,
  }
  with pytest.raises(errors.InputError, match="'concatenate', which combines"):
    checks.check_config(config_lib.check(small))


@pytest.mark.slow
@pytest.mark.numerics
def test_scores_are_the_losses_of_the_parameters_of_that_step(
    remade, finished, tmp_path
):
  remade.model.init, remade.order.remake_every = f"run:{finished}@4", 0
  order = order_lib.Order.load(zsgen.run(remade, tmp_path, ["order"]).order)
  expected = dict(zip(order.ids.tolist(), order.distances, strict=True))
  table = segments.Segment(
      segments.path_of(finished, 4), 4, np.zeros(0, np.int64), {}
  ).table()
  ids = [i for i in table["id"].to_pylist() if i in expected]
  actual = dict(
      zip(table["id"].to_pylist(), table["distance"].to_numpy(), strict=True)
  )
  assert len(ids) == 22
  closeness.assert_close(
      np.array([actual[i] for i in ids]), np.array([expected[i] for i in ids])
  )


@pytest.mark.slow
def test_a_killed_run_has_the_bytes_of_an_unbroken_one(
    probed, workdirs, tmp_path
):
  # Before a segment is written; before it is consumed; while it is saved.
  moments = "segment:4", "step:4", "save:8"
  unbroken = workdirs.get(probed, "train")
  remade_runs.assert_kills_change_nothing(
      probed, moments, tmp_path / "killed", unbroken
  )


@pytest.mark.slow
def test_a_written_segment_is_never_computed_again(
    remade, finished, tmp_path, monkeypatch
):
  run = remade_runs.copy_until_first_segment(finished, tmp_path)
  monkeypatch.setattr(example_losses, "compute", None)
  zsgen.run(remade, run.parents[1], ["train"])
  assert restarts.records(run) == restarts.records(finished)
  assert restarts.parameters(run) == restarts.parameters(finished)


@pytest.mark.slow
def test_a_damaged_segment_is_noticed_and_made_again(
    remade, finished, tmp_path
):
  run = remade_runs.copy_run(finished, tmp_path)
  (run / "result.json").unlink()
  damages.flip(segments.path_of(run, 4) / "ids.npy", 0.9)
  with pytest.raises(errors.InputError) as raised:
    zsgen.run(remade, run.parents[1], ["train"])
  message = str(raised.value)
  assert "segments/4/ids.npy: was changed" in message
  assert "The newest whole checkpoint is that of step 4: delete" in message
  for step in (5, 8, 10):
    assert str(run / "checkpoints" / str(step)) in message
    shutil.rmtree(run / "checkpoints" / str(step))
  with pytest.raises(
      errors.InputError, match=r"segments/4/ids.npy: is damaged.*delete .*/4,"
  ):
    zsgen.run(remade, run.parents[1], ["train"])
  shutil.rmtree(segments.path_of(run, 4))
  zsgen.run(remade, run.parents[1], ["train"])
  assert restarts.records(run) == restarts.records(finished)
  assert remade_runs.segment_bytes(run) == remade_runs.segment_bytes(finished)


@pytest.mark.slow
def test_a_fork_of_a_remade_run_that_remakes_its_order_at_once(
    probed, workdirs, tmp_path
):
  finished = remade_runs.only_run(workdirs.get(probed, "train"))
  config = probed.copy_and_resolve_references()
  config.name, config.fork = "fork", f"{finished}@8"
  config.order.update(budget=12, remake_every=0, remake_steps=(8, 10))
  run = zsgen.run(config, tmp_path).run
  consumed = np.load(run / "consumed.npy")
  np.testing.assert_array_equal(
      consumed[:8], np.load(finished / "consumed.npy")[:8]
  )
  rest = consumed[8:][consumed[8:] >= 0]
  assert len(rest) == 12 and not np.isin(rest, consumed[:8]).any()
  np.testing.assert_array_equal(lineage.planned_ids(run), consumed)
  lines = verify.verify(run)
  assert any("lineage verified" in line for line in lines)
  assert any("segment of step 8: 12 ids verified" in line for line in lines)
  assert zsgen.load_run(run).order["id"].to_pylist() == rest.tolist()
  assert "order from step 10 on" in (run / "report.html").read_text("utf-8")
  # The fork follows the examples of its parent.
  probe = [np.load(path / "evals/probe/ids.npy") for path in (run, finished)]
  np.testing.assert_array_equal(*probe)
