"""Memory: what is told, and what to do where there is not enough."""

import math

import jax
from jax import numpy as jnp
import numpy as np
import pytest

import zsgen
from zsgen.core import config as config_lib
from zsgen.core import errors
from zsgen.core import mesh as mesh_lib
from zsgen.train import layouts, memory


def _mesh(devices=1):
  shape = config_lib.Mesh()
  return mesh_lib.make(shape, [jax.devices()[0]] * devices)


def _wide(data):
  """A mesh's sizes alone: remedies ask for nothing else."""

  class Wide:
    shape = {"data": data, "fsdp": 1, "tensor": 1}

  return Wide()


def _remedies(mesh=None, rows=8, slots=512, **changes):
  config = config_lib.defaults()
  with config.unlocked():
    config.update_from_flattened_dict(changes)
  shape = layouts.Shape(rows, 1024, slots)
  return memory.remedies(config_lib.check(config), mesh or _mesh(), shape)


def test_the_cheapest_remedies_come_first():
  assert _remedies() == [
      "--config.machine.logits_chunk=256",
      "--config.machine.micro_batches=2",
      "--config.machine.remat=full",
  ]


@pytest.mark.parametrize(("devices", "fewer"), [(1, 3), (2, 1), (3, 3)])
def test_a_population_may_have_fewer_members(devices, fewer):
  config = config_lib.check(config_lib.defaults())
  shape = layouts.Shape(8, 1024, 512)
  remedies = memory.remedies(config, _wide(devices), shape, members=6)
  assert remedies[0] == f"--config.population={fewer}"


def test_remedies_in_use_are_not_listed():
  settings = {
      "machine.logits_chunk": 128,
      "machine.micro_batches": 4,
      "machine.remat": "full",
  }
  remedies = _remedies(**settings)
  assert remedies[0] == "--config.machine.micro_batches=8"
  assert _remedies(rows=4, **settings)[0].startswith("--config.model.dtype=")


def test_few_loss_slots_need_no_chunks():
  assert _remedies(slots=256)[0] == "--config.machine.micro_batches=2"
  unchunked = {"machine.logits_chunk": 0}
  assert _remedies(slots=272, **unchunked)[0].startswith(
      "--config.machine.logits"
  )


def test_several_devices_split_parameters():
  split = "--config.machine.mesh.data=1 --config.machine.mesh.fsdp=-1"
  assert split in _remedies(_wide(4))
  assert split not in _remedies()


def test_every_remedy_is_an_option():
  cases = [
      {},
      {"machine.remat": "full", "machine.logits_chunk": 256},
      {"model.dtype": "bfloat16", "train.first_moment": "bfloat16"},
  ]
  for changes in cases:
    for line in _remedies(_wide(2), rows=1, **changes):
      for flag in line.removesuffix(" (another run: results differ)").split():
        name, _, value = flag.removeprefix("--config.").partition("=")
        config = config_lib.defaults()
        old = config
        for part in name.split("."):
          old = old[part]
        config.update_from_flattened_dict({name: type(old)(value)})
        assert config_lib.check(config) != config_lib.Config()


def test_bytes_per_device():
  mesh = _mesh()
  shapes = {"a": jnp.zeros((4, 2)), "b": jnp.zeros(3, jnp.bfloat16)}
  shardings = jax.tree.map(lambda _: mesh_lib.replicated(mesh), shapes)
  assert memory.per_device(shapes, shardings) == 32 + 6


def test_the_cpu_reports_host_memory():
  before = memory.used()
  buffer = np.ones(2**25, np.uint8)
  after = memory.used()
  assert sorted(after) == [
      "perf/host_memory_bytes",
      "perf/host_memory_peak_bytes",
  ]
  grown = after["perf/host_memory_bytes"] - before["perf/host_memory_bytes"]
  assert grown > buffer.nbytes // 2
  assert after["perf/host_memory_peak_bytes"] >= buffer.nbytes


def test_devices_with_statistics_report_the_fullest(monkeypatch):
  class Device:

    def __init__(self, now, peak):
      self._stats = {"bytes_in_use": now, "peak_bytes_in_use": peak}

    def memory_stats(self):
      return self._stats

  monkeypatch.setattr(
      jax, "local_devices", lambda: [Device(1, 9), Device(2, 3)]
  )
  assert memory.used() == {
      "perf/device_memory_bytes": 2,
      "perf/device_memory_peak_bytes": 9,
  }


def test_other_errors_pass():
  config = config_lib.check({})
  with pytest.raises(jax.errors.JaxRuntimeError, match="INTERNAL"):
    with memory.explained(config, _mesh(), layouts.Shape(1, 32, 16), 0):
      raise jax.errors.JaxRuntimeError("INTERNAL: a bug")


def test_a_model_that_is_too_large(small, tmp_path, monkeypatch):
  """Refuses on the device itself: 35 TB of embedding."""
  small.model.vocab_size = 2**24
  small.model.width = 2**19
  with pytest.raises(errors.InputError, match=r"take .* GiB of each"):
    zsgen.run(small, tmp_path, ["train"])
  # As where it is not known how much there is.
  monkeypatch.setattr(memory, "find_room", lambda mesh: math.inf)
  with pytest.raises(errors.InputError, match="out of memory") as caught:
    zsgen.run(small, tmp_path, ["train"])
  message = str(caught.value)
  assert "RESOURCE_EXHAUSTED" in message
  assert "  --config.machine.remat=full\n" in message
  assert "GiB of each" in message
