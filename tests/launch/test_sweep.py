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
from zsgen.planning import populations
from zsgen.reports import comparison_report, notes
from zsgen.train import records


@pytest.fixture
def compared(monkeypatch):
  """Points and missing names of each comparison that was written."""
  calls = []
  monkeypatch.setattr(
      comparison_report,
      "write",
      lambda directory, points, missing: calls.append((points, missing)) or [],
  )
  return calls


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


def test_points_are_trained_together(config, tmp_path, started, compared):
  config.population = 3
  sweeps.run(config, tmp_path)
  assert started == ["+".join(sweeps.NAMES[:3]), sweeps.NAMES[3]]
  assert len(compared) == 1


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


def _directory(config, tmp_path):
  sweeps.run(config, tmp_path, report=True)  # Names the sweep.
  (path,) = (tmp_path / "sweeps").iterdir()
  return path


def test_points_of_other_processes_are_left_to_them(
    config, tmp_path, started, compared, monkeypatch
):
  directory = _directory(config, tmp_path)
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
  directory = _directory(config, tmp_path)

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


def test_a_population_takes_what_is_free(config, tmp_path, started, compared):
  config.population = 3
  directory = _directory(config, tmp_path)
  with contextlib.ExitStack() as worker:
    worker.enter_context(claims.hold(directory, sweeps.NAMES[1], 60))
    train = zsgen.pipeline.run_population

    def run(configs, workdir):
      worker.close()
      return train(configs, workdir)

    zsgen.pipeline.run_population = run
    sweeps.run(config, tmp_path)
  assert started == [
      "+".join([sweeps.NAMES[0], *sweeps.NAMES[2:]]),
      sweeps.NAMES[1],
  ]


@pytest.fixture
def lengths(config):
  """Returns a sweep of points of two lengths: a and c, b and d."""
  budgets = {"a": 40, "b": 20, "c": 40, "d": 20}
  points = {name: {"order": {"budget": n}} for name, n in budgets.items()}
  config.sweep = {"points": points, "seeds": (0,)}
  config.population = -1
  return config


def test_a_population_takes_what_has_its_shape(
    lengths, tmp_path, started, compared
):
  _, output = sweeps.run(lengths, tmp_path)
  assert started == ["a-s0+c-s0", "b-s0+d-s0"]
  line = "population: b-s0, d-s0: 2 points as one program (2 of 8 GiB)\n"
  assert line in output
  (directory,) = (tmp_path / "sweeps").iterdir()
  assert notes.find_population(directory, "c-s0") == ["a-s0", "c-s0"]


def test_claims_of_points_of_another_shape_are_given_back(
    lengths, tmp_path, started, compared
):
  directory, holders = _directory(lengths, tmp_path), []
  train = zsgen.pipeline.run_population

  def run(configs, workdir):
    names = ("a-s0", "b-s0", "c-s0", "d-s0")
    holders.append([bool(claims.holder(directory, name)) for name in names])
    return train(configs, workdir)

  zsgen.pipeline.run_population = run
  sweeps.run(lengths, tmp_path)
  assert holders == [[True, False, True, False], [False, True, False, True]]


def test_a_point_that_cannot_be_trained_is_left_for_later(
    lengths, tmp_path, started, compared
):
  lengths.sweep.points.b.order.budget = 1
  _, output = sweeps.run(lengths, tmp_path)
  assert "b-s0 is left for later: config.order.budget is 1\n" in output
  assert started == ["a-s0+c-s0", "b-s0", "d-s0"]


def _stop(lengths, tmp_path, population):
  """Starts the sweep, which is stopped when its first points begin."""
  train, lengths.population = zsgen.pipeline.run_population, population

  def stop(configs, workdir):
    raise errors.Stopped("stopped before step 2 of 10")

  zsgen.pipeline.run_population = stop
  with pytest.raises(errors.Stopped):
    sweeps.run(lengths, tmp_path)
  zsgen.pipeline.run_population = train
  lengths.population = -1


def test_a_population_that_was_stopped_is_resumed_as_it_was(
    lengths, tmp_path, started, compared, monkeypatch
):
  for point in lengths.sweep.points.values():
    point.order.budget = 40
  _stop(lengths, tmp_path, population=2)
  directory = _directory(lengths, tmp_path)
  with contextlib.ExitStack() as worker:
    worker.enter_context(claims.hold(directory, "b-s0", 60))
    monkeypatch.setattr(sharing.time, "sleep", lambda _: worker.close())
    sweeps.run(lengths, tmp_path)
  # Its second member was claimed at first, so the others came before it.
  assert started == ["c-s0+d-s0", "a-s0+b-s0"]


def test_a_smaller_population_is_a_new_one(
    lengths, tmp_path, started, compared
):
  for point in lengths.sweep.points.values():
    point.order.budget = 40
  _stop(lengths, tmp_path, population=-1)
  lengths.population = 2
  sweeps.run(lengths, tmp_path)
  assert started == ["a-s0+b-s0", "c-s0+d-s0"]


def test_a_member_is_not_trained_alone_by_mistake(
    lengths, tmp_path, started, compared
):
  _stop(lengths, tmp_path, population=-1)
  with pytest.raises(errors.InputError, match="population of a-s0, c-s0 has b"):
    sweeps.run(lengths, tmp_path, point=2)
  sweeps.run(lengths, tmp_path, point=1)
  lengths.population = 1
  sweeps.run(lengths, tmp_path, point=2)
  assert started == ["b-s0", "c-s0"]
  # The rest of a population that has a finished member is a new one.
  lengths.population = -1
  sweeps.run(lengths, tmp_path)
  assert started[2:] == ["a-s0", "d-s0"]


def test_a_point_that_another_process_trains(
    config, tmp_path, started, compared
):
  directory = _directory(config, tmp_path)
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
  claim = _directory(config, tmp_path) / "claims" / "near-s3.json"
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
  directory = _directory(config, tmp_path)
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


@pytest.mark.slow
def test_real_points_of_one_shape_are_one_program(
    config, tmp_path, monkeypatch
):
  """Points of two lengths, of which a population is stopped and resumed."""
  gain = populations.Limit(8, "")
  monkeypatch.setattr(populations, "find_gain", lambda member: gain)
  config.population = -1
  options = {
      "a": {"pick": "nearest"},
      "b": {"budget": 20},
      "c": {"pick": "farthest"},
      "d": {"arrangement": "random"},
  }
  points = {name: {"order": values} for name, values in options.items()}
  config.sweep = {"points": points, "seeds": (0,)}
  _, output = sweeps.run(config, tmp_path / "whole")
  assert "population: a-s0, c-s0, d-s0: 3 points as one program (" in output
  assert "population: b-s0: alone (no other free point has its sh" in output
  with monkeypatch.context() as patched:
    patched.setattr(records.Records, "consumed", _stopping_at(7))
    with pytest.raises(errors.Stopped):
      sweeps.run(config, tmp_path / "stopped")
  # Whatever it would choose now, it resumes what has begun.
  config.population = 3
  sweeps.run(config, tmp_path / "stopped")
  runs = _results(tmp_path / "whole")
  assert _results(tmp_path / "stopped") == runs
  assert sorted(name.partition("-")[0] for name in runs) == list("abcd")
  _check_provenance(tmp_path / "stopped")
  for has_notes in (False, True):
    _check_the_end(config, tmp_path / "stopped", runs, has_notes)


def _stopping_at(stop_step):
  """Returns `Records.consumed` that is stopped in the second member."""
  consumed = records.Records.consumed

  def stop(self, step, ids):
    if step == stop_step and "c-s0" in self._path.name:
      raise errors.Stopped("stopped")
    consumed(self, step, ids)

  return stop


def _results(workdir):
  """Returns the bytes of the runs' records, by run."""
  names = ("metrics.jsonl", "consumed.npy", "evals/heldout/loss.npy")
  return {
      run.name: [(run / name).read_bytes() for name in names]
      for run in (workdir / "runs").iterdir()
  }


def _check_provenance(workdir):
  """Each process that trained a member noted the population."""
  (path,) = (workdir / "populations").iterdir()
  members = artifacts.read_manifest(path)["made_by"]["members"]
  assert [name.partition("-")[0] for name in members] == ["a", "c", "d"]
  for run in (workdir / "runs").iterdir():
    expected = [path.name] * 2 if run.name in members else [None]
    entries = artifacts.read_provenance(run)
    assert [entry.get("population") for entry in entries] == expected


def _check_the_end(config, workdir, runs, has_notes):
  """A population that is killed between its members' results ends as it was."""
  for note in workdir.glob("sweeps/*/points/*.json"):
    if not has_notes:
      note.unlink()
  for name in runs:
    if name.startswith(("c-", "d-")):
      (workdir / "runs" / name / "result.json").unlink()
  sweeps.run(config, workdir)
  assert _results(workdir) == runs
  assert len(list((workdir / "populations").iterdir())) == 1


@pytest.mark.slow
def test_real_points_that_do_not_fit_are_left(config, tmp_path, monkeypatch):
  """Trains three points of one shape, of which memory has room for two."""
  gain = populations.Limit(8, "")
  monkeypatch.setattr(populations, "find_gain", lambda member: gain)
  config.population = -1
  config.sweep.seeds = (0,)
  config.sweep.orders.far = {"pick": "farthest"}
  measure, used = populations.measure, []

  def measure_in_little_room(joined):
    use = measure(joined)
    used.append((len(joined.members), use.used))
    # As much as 2.5 members take.
    return use._replace(room=used[0][1] * 2.5 / used[0][0])

  monkeypatch.setattr(populations, "measure", measure_in_little_room)
  _, output = sweeps.run(config, tmp_path)
  assert "population: far-s0, near-s0: 2 points as one program (" in output
  assert "population: random-s0: alone (" in output
  assert [count for count, _ in used] == [3, 2]
  assert used[1][1] < used[0][1]


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


def test_a_missing_point(config, tmp_path):
  with pytest.raises(errors.InputError, match="has points 0 to 3"):
    sweeps.run(config, tmp_path, point=4)


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
