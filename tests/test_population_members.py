"""Which points are members of a population, and which are not."""

import math
import pathlib

import pytest
import rich.console

from zsgen import pipeline
from zsgen.core import config as config_lib
from zsgen.core import errors
from zsgen.planning import populations
from zsgen.train import checkpoints

NAMES = ("first", "alike", "wide", "short")


@pytest.fixture
def configs(small):
  """Returns points, of which the last two have other shapes."""
  points = {name: small.copy_and_resolve_references() for name in NAMES}
  points["alike"].order.pick = "farthest"
  points["wide"].seed, points["wide"].model.width = 5, 2 * small.model.width
  points["short"].order.budget = small.order.budget // 2
  for name, point in points.items():
    point.name, point.population = name, 2
  return [config_lib.check(point) for point in points.values()]


def _find_members(config, workdir: pathlib.Path):
  quiet = rich.console.Console(quiet=True)
  return pipeline.find_members(config, workdir, quiet)


@pytest.mark.slow
def test_members_have_one_shape(configs, tmp_path):
  first, alike, wide, short = configs
  members = _find_members(first, tmp_path)
  # Different models are known before there is a store of seed 5.
  assert not members.add(wide)
  assert len(list((tmp_path / "stores").iterdir())) == 1
  assert not members.add(short)
  assert members.choose() == (1, "no other free point has its shape")
  assert not members.is_full and members.add(alike) and members.is_full
  assert members.choose() == (2, "")
  assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_what_has_begun_alone_stays_alone(configs, tmp_path, monkeypatch):
  first, alike, *_ = configs
  begun = {"alike"}
  monkeypatch.setattr(
      checkpoints, "are_in", lambda run: run.name.partition("-")[0] in begun
  )
  members = _find_members(first, tmp_path)
  assert not members.add(alike)
  members = _find_members(alike, tmp_path)
  assert members.is_full
  assert members.choose() == (1, "it has begun on its own")


@pytest.mark.slow
def test_room_and_gain_bound_the_members(configs, small, tmp_path, monkeypatch):
  small.population = -1
  config = config_lib.check(small)
  monkeypatch.setattr(populations, "find_obstacle", lambda config, mesh: "")
  limit = populations.Limit(1, "its steps fill it")
  monkeypatch.setattr(populations, "find_gain", lambda member: limit)
  members = _find_members(config, tmp_path)
  assert members.is_full and members.choose() == limit
  monkeypatch.setattr(populations, "find_room", lambda mesh: 0.0)
  limit = populations.Limit(8, "")
  members = _find_members(config, tmp_path)
  assert members.add(configs[0])
  # Not even the states of two members fit: nothing is compiled.
  assert members.choose() == (1, "the devices have room for no other")
  # A GPU whose allocator does not report its memory.
  monkeypatch.setattr(populations, "find_room", lambda mesh: math.inf)
  use = populations.Use(2**30, math.inf)
  monkeypatch.setattr(populations, "measure", lambda joined: use)
  assert members.choose() == (2, "1 GiB of each device")
  use = populations.Use(math.inf, math.inf)
  assert members.choose() == (1, "the devices have room for no other")


def test_a_point_that_is_alone_by_its_options_is_not_opened(small, tmp_path):
  small.population = -1
  members = _find_members(config_lib.check(small), tmp_path)
  assert members.is_full
  count, reason = members.choose()
  assert count == 1 and reason.startswith("on CPUs")
  assert not list(tmp_path.iterdir())


def test_no_members_are_refused(small):
  small.population = 0
  with pytest.raises(errors.InputError, match="population is 0; it must be 1"):
    config_lib.check(small)
