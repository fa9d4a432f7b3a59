"""How many members a population has."""

import math
import types

import jax
import numpy as np
import pytest

from tests.helpers import jobs
from zsgen.core import chips
from zsgen.core import config as config_lib
from zsgen.planning import populations
from zsgen.train import compiling, flops, job, memory


def _move(member, kind, devices=1, platform="gpu", data=None):
  """Returns the member on other devices, of which nothing is used."""
  device = types.SimpleNamespace(platform=platform, device_kind=kind)
  mesh = types.SimpleNamespace(
      shape={"data": devices if data is None else data},
      size=devices,
      devices=np.array([device] * devices, object),
  )
  return member._replace(program=member.program._replace(mesh=mesh))


@pytest.mark.parametrize("devices", [1, 4])
def test_members_are_a_gain_until_they_fill_the_devices(
    small, tmp_path, devices
):
  member = jobs.make_member(small, tmp_path)
  counted = flops.count_flops(
      member.start.arch, member.program.shapes.params, {}
  )
  # A step has four examples of 64 tokens, of which one carries loss.
  step = counted.step(np.full(4, 64), 4)
  chip = chips.find_chip("NVIDIA H200")
  limit = populations.find_gain(_move(member, "NVIDIA H200", devices))
  seconds = limit.members / devices * step / chip.flops
  assert seconds == pytest.approx(0.01, rel=1e-3)
  assert limit.members % devices == 0 and not limit.reason


def test_a_step_that_fills_the_device_is_alone(small, tmp_path, monkeypatch):
  member = jobs.make_member(small, tmp_path)
  slow = chips.find_chip("NVIDIA H200")._replace(name="slow", flops=1e8)
  monkeypatch.setattr(chips, "find_chip", lambda kind: slow)
  assert populations.find_gain(_move(member, "slow")) == (
      1,
      "its steps fill slow",
  )
  # On many devices, a step of one member would be short.
  assert populations.find_gain(_move(member, "slow", 512)).members == 512


def test_members_without_a_gain_are_alone(small, tmp_path):
  member = jobs.make_member(small, tmp_path)
  for candidate, reason in (
      (member, "on CPUs"),
      (_move(member, "NVIDIA H200", 2, data=1), "splits more than data"),
      (
          _move(member, "Mystery"),
          "peak rate of Mystery is unknown; set config.p",
      ),
  ):
    mesh = candidate.program.mesh
    assert reason in populations.find_obstacle(member.config, mesh)
  mesh = _move(member, "NVIDIA H200").program.mesh
  assert not populations.find_obstacle(member.config, mesh)
  small.order.remake_every = 4
  remade = config_lib.check(small)
  assert populations.find_obstacle(remade, mesh) == "its order is remade"


@pytest.mark.parametrize(
    ("used", "members"), [(10, 4), (16, 2), (41, 1), (8, 4)]
)
def test_members_that_do_not_fit_are_trimmed(used, members):
  assert populations.Use(used, 10.0).trim(4) == members


def test_unknown_memory_is_no_limit():
  use = populations.Use(3 * 2**29, math.inf)
  assert use.is_enough and use.describe() == "1.5 GiB of each device"


@pytest.mark.parametrize("room", [8.0, math.inf])
def test_half_remains_if_the_compiler_is_out_of_memory(room):
  use = populations.Use(math.inf, room)
  assert not use.is_enough
  assert [use.trim(members) for members in (7, 2, 1)] == [3, 1, 1]


def test_a_compiler_that_is_out_of_the_devices_memory(
    small, tmp_path, monkeypatch
):
  message = "RESOURCE_EXHAUSTED: Out of memory while trying to allocate 8 bytes"

  def fail():
    raise jax.errors.JaxRuntimeError(message)

  lowered = types.SimpleNamespace(compile=fail)
  traced = types.SimpleNamespace(lower=lambda: lowered)
  monkeypatch.setattr(compiling, "trace", lambda *_: traced)
  member = jobs.make_member(small, tmp_path)
  joined = job.make(tmp_path, [member] * 2, lambda _: lambda _: [], print)
  assert populations.measure(joined).used == math.inf
  message = "INTERNAL: a bug"
  with pytest.raises(jax.errors.JaxRuntimeError, match="a bug"):
    populations.measure(joined)


@pytest.mark.slow
def test_memory_grows_with_the_members(small, tmp_path, monkeypatch):
  monkeypatch.setattr(memory, "find_room", lambda mesh: 1000.0)
  member = jobs.make_member(small, tmp_path)
  uses = [
      populations.measure(
          job.make(tmp_path, [member] * count, lambda _: lambda _: [], print)
      )
      for count in (2, 4)
  ]
  assert [use.room for use in uses] == [800.0, 800.0]
  states = member.program.state_bytes
  assert uses[0].used > 2 * states and uses[1].used > 4 * states
  assert 1.5 < uses[1].used / uses[0].used < 2.5
