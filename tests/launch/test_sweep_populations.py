"""Points of a sweep that are trained as one program."""

import contextlib

import pytest

from launch import claims, sharing
from tests.helpers import sweeps
import zsgen
from zsgen.core import artifacts, errors
from zsgen.planning import populations
from zsgen.reports import notes
from zsgen.train import records


def test_points_are_trained_together(config, tmp_path, started, compared):
  config.population = 3
  sweeps.run(config, tmp_path)
  assert started == ["+".join(sweeps.NAMES[:3]), sweeps.NAMES[3]]
  assert len(compared) == 1


def test_a_population_takes_what_is_free(config, tmp_path, started, compared):
  config.population = 3
  directory = sweeps.begin(config, tmp_path)
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
  directory, holders = sweeps.begin(lengths, tmp_path), []
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
  directory = sweeps.begin(lengths, tmp_path)
  with contextlib.ExitStack() as worker:
    worker.enter_context(claims.hold(directory, "b-s0", 60))
    monkeypatch.setattr(sharing.time, "sleep", lambda _: worker.close())
    sweeps.run(lengths, tmp_path)
  # Its second member was claimed at first, so the others came before it.
  assert started == ["c-s0+d-s0", "a-s0+b-s0"]


def test_a_damaged_note_of_a_population(lengths, tmp_path, started, compared):
  _stop(lengths, tmp_path, population=2)
  (note,) = tmp_path.glob("sweeps/*/together/c-s0.json")
  note.write_text('{"points": ["a-s0"]}')
  message = r"c-s0.json: .*does not name its point. Delete it, and"
  with pytest.raises(errors.InputError, match=message):
    sweeps.run(lengths, tmp_path)
  note.unlink()
  sweeps.run(lengths, tmp_path)
  assert started == ["a-s0+c-s0", "b-s0+d-s0"]


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


@pytest.mark.slow
def test_real_points_of_one_shape_are_one_program(
    config, tmp_path, monkeypatch
):
  """Points of two lengths, of which a population is stopped and resumed."""
  gain = populations.Limit(8, "")
  monkeypatch.setattr(populations, "find_obstacle", lambda *_: "")
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
  monkeypatch.setattr(populations, "find_obstacle", lambda *_: "")
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
