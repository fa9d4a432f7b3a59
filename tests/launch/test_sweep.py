"""Sweeps: their points, what is skipped, and the comparison at the end."""

import contextlib
import errno
import io
import os
import subprocess
import sys

import pytest
import rich.console

from launch import claims, progress, sharing, sweep
from tests.helpers import sweeps
import zsgen
from zsgen.core import artifacts, errors, locks
from zsgen.reports import notes


def test_points_are_orders_by_seeds(config):
  actual = sweep.points(config)
  assert [name for name, _ in actual] == sweeps.NAMES
  assert [point.seed for _, point in actual] == [0, 3, 0, 3]
  assert actual[2][1].order.arrangement == "random"
  assert actual[0][1].order.arrangement == "tmt"
  assert actual[0][1].order.budget == config.order.budget
  assert {point.name for _, point in actual} == set(sweeps.NAMES)
  assert sweep.points(config) == actual
  assert "sweep" in config  # The caller's config is as it was.


def test_held_out_examples_of_a_fork_are_its_parents(config):
  seeds = [point.data.heldout_seed for _, point in sweep.points(config)]
  assert seeds == [0, 0, 0, 0]
  config.fork = "runs/parent@5"
  seeds = [point.data.heldout_seed for _, point in sweep.points(config)]
  assert seeds == [None, None, None, None]
  assert {point.fork for _, point in sweep.points(config)} == {config.fork}


def test_points_may_differ_in_any_section(small):
  pair = {"train": {"learning_rate": 0.5}, "order": {"pick": "farthest"}}
  points = {"fast": {"train": {"learning_rate": 0.5}}, "both": pair}
  small.sweep = {"points": points, "seeds": (3,)}
  (_, first), (_, second) = sweep.points(small)
  assert (first.name, second.name) == ("both-s3", "fast-s3")
  assert first.order.pick == "farthest" != second.order.pick
  assert first.train.learning_rate == second.train.learning_rate == 0.5
  assert first.train.batch_size == small.train.batch_size


def test_a_sweep_trains_all_and_compares(config, tmp_path, started, compared):
  path, output = sweeps.run(config, tmp_path)
  assert started == sweeps.NAMES
  assert "point 2: random-s0 (3 of 4)" in output
  assert path.parent == tmp_path / "sweeps"
  [(points, missing)] = compared
  assert [f"{point.order}-s{point.seed}" for point in points] == sweeps.NAMES
  assert missing == []
  # Again: nothing is trained, the comparison is made anew.
  assert sweeps.run(config, tmp_path)[0] == path
  assert started == sweeps.NAMES


def test_the_last_point_of_a_cluster_compares(
    config, tmp_path, started, compared
):
  for point in (3, 0, 2):
    path, output = sweeps.run(config, tmp_path, point=point)
    assert path is None
  assert "3 of 4 points are finished" in output
  assert not compared
  path, _ = sweeps.run(config, tmp_path, report=True)
  assert path is not None
  assert compared.pop()[1] == ["near-s3"]
  assert sweeps.run(config, tmp_path, point=1)[0] == path
  assert compared.pop()[1] == []
  assert started == ["random-s3", "near-s0", "random-s0", "near-s3"]


def test_a_stopped_point_stops_the_sweep(config, tmp_path, started):
  train = zsgen.pipeline.run_population

  def stop(configs, workdir):
    if len(started) == 1:
      raise errors.Stopped("stopped before step 2 of 10")
    return train(configs, workdir)

  zsgen.pipeline.run_population = stop
  with pytest.raises(errors.Stopped):
    sweeps.run(config, tmp_path)
  assert started == sweeps.NAMES[:1]
  zsgen.pipeline.run_population = train
  with pytest.raises(errors.InputError):  # Nothing real is compared.
    sweeps.run(config, tmp_path)
  assert started == sweeps.NAMES


def test_exchanged_notes_of_points(config, tmp_path, started, compared):
  sweeps.run(config, tmp_path)
  first, second, *_ = sorted(tmp_path.glob("sweeps/*/points/*.json"))
  text = first.read_text()
  first.write_text(second.read_text())
  with pytest.raises(errors.InputError, match=r"near-s0.json: .*copied here"):
    sweeps.run(config, tmp_path)
  first.write_text('{"rum": "runs/near-s0"}')
  with pytest.raises(
      errors.InputError, match=r"near-s0.json: .*Delete it, and"
  ):
    sweeps.run(config, tmp_path)
  first.write_text(text)
  assert sweeps.run(config, tmp_path)[0]
  assert started == sweeps.NAMES


def test_a_deleted_run_is_retrained(config, tmp_path, started, compared):
  sweeps.run(config, tmp_path, point=0)
  (tmp_path / "runs" / "near-s0" / "result.json").unlink()
  (tmp_path / "runs" / "near-s0").rmdir()
  sweeps.run(config, tmp_path, point=0)
  assert started == ["near-s0", "near-s0"]
  assert not compared


def test_points_of_other_processes_are_left_to_them(
    config, tmp_path, started, compared, monkeypatch
):
  directory = sweeps.begin(config, tmp_path)
  with contextlib.ExitStack() as worker:
    worker.enter_context(claims.hold(directory, sweeps.NAMES[0], 60))
    # It dies while this process waits.
    monkeypatch.setattr(sharing.time, "sleep", lambda _: worker.close())
    path, output = sweeps.run(config, tmp_path)
  assert started == [*sweeps.NAMES[1:], sweeps.NAMES[0]]
  assert output.count("waits for what others train: near-s0\n") == 1
  assert path == directory and compared.pop()[1] == []


def test_points_that_others_finish_are_not_trained(
    config, tmp_path, started, compared, monkeypatch
):
  directory = sweeps.begin(config, tmp_path)

  def finish(_):
    run = tmp_path / "runs" / "other"
    run.mkdir(parents=True)
    (run / "result.json").write_text("{}")
    notes.write_run(directory / "points/near-s3.json", "runs/other")

  monkeypatch.setattr(sharing.time, "sleep", finish)
  with claims.hold(directory, "near-s3", 60):
    sweeps.run(config, tmp_path)
  assert started == ["near-s0", "random-s0", "random-s3"]
  assert compared.pop()[1] == []


def test_a_point_that_another_process_trains(
    config, tmp_path, started, compared
):
  directory = sweeps.begin(config, tmp_path)
  pattern = (
      rf"near-s3 of {directory.name} is trained by process {os.getpid()} on .*"
      " since 2.*Wait for it, or end it"
  )
  with claims.hold(directory, "near-s3", 60):
    with pytest.raises(errors.InputError, match=pattern):
      sweeps.run(config, tmp_path, point=1)
    sweeps.run(config, tmp_path, point=0)
  sweeps.run(config, tmp_path, point=1)
  assert started == ["near-s0", "near-s3"]


def test_a_watch_refuses_no_point(
    config, tmp_path, started, compared, monkeypatch
):
  claim = sweeps.begin(config, tmp_path) / "claims" / "near-s3.json"
  claim.parent.mkdir()
  claim.touch()
  with open(claim, "rb", buffering=0) as watch:
    assert locks.lock(watch, is_shared=True)  # It looks, for a moment.
    monkeypatch.setattr(locks.time, "sleep", lambda _: watch.close())
    sweeps.run(config, tmp_path, point=1)
  assert started == ["near-s3"]


def test_a_file_system_without_locks(
    config, tmp_path, started, compared, monkeypatch
):
  def flock(*_):
    raise OSError(errno.ENOLCK, "No locks available")

  monkeypatch.setattr(locks.fcntl, "flock", flock)
  _, output = sweeps.run(config, tmp_path)
  assert started == sweeps.NAMES
  assert output.count("without locks: start this sweep only once") == 1


def test_the_states_of_points(config, tmp_path, compared):
  directory = sweeps.begin(config, tmp_path)
  for name in sweeps.NAMES[:3]:
    run = sweeps.begin_run(tmp_path, name)
    (run / "metrics.jsonl").write_text('{"step": 3}\n{"step": 4}\n{"ste')
  run = f"runs/{artifacts.name(sweeps.NAMES[0], {})}"
  (tmp_path / run / "result.json").write_text("{}")
  notes.write_run(directory / f"points/{sweeps.NAMES[0]}.json", run)
  with claims.hold(directory, "near-s3", 60):
    states = progress.find_states(directory, sweeps.NAMES)
  assert [state.state for state in states] == [
      progress.FINISHED,
      progress.RUNNING,
      progress.FREE,
      progress.FREE,
  ]
  assert [state.steps for state in states] == [*["4 of 9"] * 3, ""]
  assert states[1].holder.startswith(f"process {os.getpid()} on ")
  console = rich.console.Console(file=io.StringIO(), width=200)
  progress.watch(lambda: states, console)
  assert "1 finished, 1 running, 2 free" in console.file.getvalue()


@pytest.mark.slow
def test_a_worker_that_is_killed_gives_its_point_back(config, tmp_path):
  """Kills one of two processes that share four points, while it trains."""
  config.order.budget = 80
  workdir = tmp_path / "w"
  output = sweeps.kill_one_of_two(config, workdir, tmp_path, workdir)
  runs = list((tmp_path / "w/runs").iterdir())
  assert sorted(run.name.rpartition("-")[0] for run in runs) == sweeps.NAMES
  assert all((run / "result.json").exists() for run in runs)
  assert "comparison.html" in output


@pytest.mark.slow
def test_real_runs_end_in_a_comparison(config, tmp_path):
  config.sweep.seeds = (0,)
  config.order.budget = 12
  path, output = sweeps.run(config, tmp_path)
  actual = artifacts.read_json(path / "comparison.json")
  assert list(actual["orders"]) == ["near", "random"]  # Keys are sorted.
  assert actual["reference"] == "random"
  nearest = actual["orders"]["near"]["evals"]["heldout"]["final"]
  assert nearest["difference"]["seeds"] == 1
  assert "comparison.html" in output
  assert len(list((tmp_path / "stores").iterdir())) == 1


@pytest.mark.parametrize(
    ("section", "message"),
    [
        (None, "config.sweep must be a section"),
        ({"orders": sweeps.ORDERS}, "config.sweep must be a section"),
        ({"orders": {}, "seeds": (0,)}, "orders must name at least one"),
        (
            {"orders": sweeps.ORDERS, "points": sweeps.ORDERS, "seeds": (0,)},
            "must be a sec",
        ),
        ({"orders": {"a": 1}, "seeds": (0,)}, "config.sweep.orders.a"),
        ({"orders": sweeps.ORDERS, "seeds": ()}, "config.sweep.seeds"),
        ({"orders": sweeps.ORDERS, "seeds": (0, 0)}, "config.sweep.seeds"),
        ({"orders": {"a": {"pik": "nearest"}}, "seeds": (0,)}, '"pick"'),
    ],
)
def test_malformed_sweeps_are_reported(small, section, message):
  values = small.to_dict()
  if section is not None:
    values["sweep"] = section
  with pytest.raises(errors.InputError, match=message):
    sweep.points(values)


def test_options_of_points_cannot_be_set_for_all(config, small):
  sweep.check_overrides(config, ["train.batch_size", "sweep.seeds"])
  point_message = "near set it.*config.sweep.orders.near.pick"
  for name, message in (
      ("order.pick", point_message),
      ("seed", "config.sweep.seeds"),
  ):
    with pytest.raises(errors.InputError, match=message):
      sweep.check_overrides(config, [name])
  points = {"a": {"train": {"clip": 1.0}}, "b": {"train": {"clip": 2.0}}}
  small.sweep = {"points": points, "seeds": (0,)}
  with pytest.raises(errors.InputError, match=r"a, b set.*points\.a\.train"):
    sweep.check_overrides(small, ["train.clip"])
  small.sweep = {"points": {"a-b": points["a"]}, "seeds": (0,)}
  flag = r"\"--config.sweep.points\['a-b'\].train.clip\""
  with pytest.raises(errors.InputError, match=flag):
    sweep.check_overrides(small, ["train.clip"])


def test_a_missing_point(config, tmp_path):
  with pytest.raises(errors.InputError, match="has points 0 to 3"):
    sweeps.run(config, tmp_path, point=4)


@pytest.mark.slow
def test_the_command_prints_errors_in_one_line(root, tmp_path):
  command = [sys.executable, "-m", "launch.sweep", f"--workdir={tmp_path}"]
  config = "--config=configs/orders.py"
  for flags, message in (
      ([], "no experiment is named"),
      ([config, "--point=21"], "has points 0 to 20"),
  ):
    completed = subprocess.run(
        [*command, *flags],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert completed.returncode == 2
    assert message in completed.stderr
    assert "Traceback" not in completed.stderr
    assert not list(tmp_path.iterdir())
