"""Finished runs and evaluations under paths, and their labels."""

import pytest

from zsgen.core import artifacts, errors
from zsgen.reports import curves, notes, points
from zsgen.train import record_digests


@pytest.fixture
def write_finished(write_run):
  """Returns a function that writes a run which has ended; returns its path."""

  def write(**options):
    run = write_run(**options)
    result = {"steps": run.steps, "evals": {}, "targets": {}}
    owner = record_digests.identity(run.path)
    artifacts.write_sealed(run.path / record_digests.RESULT, result, owner)
    return run.path

  return write


def _labels(actual):
  return [(point.order, point.seed) for point in actual.runs]


def test_seeds_of_one_config_have_one_label(write_finished, tmp_path):
  for seed in (0, 1):
    write_finished(name=f"tmt-s{seed}", seed=seed)
  write_finished(name="other", seed=1)
  actual = points.find([tmp_path])
  # Directories come in alphabetical order.
  assert _labels(actual) == [("other", 1), ("tmt", 0), ("tmt", 1)]
  assert actual == points.find([tmp_path, tmp_path / "runs"])
  assert actual.evaluations == [] and actual.missing == []


def test_configs_of_one_name_are_told_apart(write_finished):
  near = write_finished(name="a")
  random = write_finished(name="a", seed=1, order={"arrangement": "random"})
  short = write_finished(
      name="a", seed=2, order={"arrangement": "random", "budget": 20}
  )
  (_, first), (_, second), (_, third) = [
      (point.path, point.order)
      for point in points.find([near, random, short]).runs
  ]
  assert first != second != third
  assert "arrangement=tmt" in first and "budget=40" in first
  assert "arrangement=random" in third and "budget=20" in third


def test_copies_of_a_run_are_numbered(write_finished, tmp_path):
  path = write_finished()
  copy = tmp_path / "copies" / path.name
  copy.parent.mkdir()
  path.rename(copy)
  second = write_finished()
  actual = points.find([copy, second, copy])
  assert _labels(actual) == [("small", 0), ("small #2", 0)]


def test_sweeps_and_what_is_not_finished(write_finished, write_run, tmp_path):
  path = write_finished(name="near-s0")
  unfinished = write_run(name="random-s0").path
  directory = tmp_path / "sweeps" / "orders"
  names = {f"{order}-s0": (order, 0) for order in ("near", "far")}
  notes.write_sweep(directory, notes.Sweep("orders", names))
  note = directory / "points" / "near-s0.json"
  notes.write_run(note, str(path.relative_to(tmp_path)))
  for path in (directory, directory.parent):
    actual = points.find([path])
    assert _labels(actual) == [("near", 0)]
    assert actual.missing == ["orders/far-s0"]
  assert points.find([tmp_path / "runs"]).missing == [str(unfinished)]
  with pytest.raises(
      errors.InputError, match=r"no finished run and no eval.*not"
  ):
    points.find([unfinished])


def test_other_paths_are_errors(write_finished, tmp_path):
  run = curves.open_run(write_finished())
  with pytest.raises(errors.InputError, match=r"is a store\. Name runs"):
    points.find([run.store])
  with pytest.raises(errors.InputError, match="no such directory"):
    points.find([tmp_path / "absent"])
  (tmp_path / "empty").mkdir()
  with pytest.raises(errors.InputError, match="empty: no finished run"):
    points.find([tmp_path / "empty"])
