"""Which backend of attention, and why."""

import dataclasses
import types

import jax
import pytest

from zsgen.core import config, errors
from zsgen.core import mesh as mesh_lib
from zsgen.models import execution

ARCH = config.Model(dtype="bfloat16", head_width=128)
CPU = types.SimpleNamespace(platform="cpu", device_kind="cpu")
TPU = types.SimpleNamespace(platform="tpu", device_kind="TPU v5 lite")


def _gpu(capability="9.0", kind="NVIDIA H100"):
  return types.SimpleNamespace(
      platform="gpu", device_kind=kind, compute_capability=capability
  )


@pytest.mark.parametrize(
    "device, fields, backend, reason",
    [
        (CPU, {}, "flash", "the best on platform cpu"),
        (CPU, {"score_cap": 50.0}, "flash", "the best on platform cpu"),
        (TPU, {}, "splash", "the best on platform tpu"),
        (TPU, {"score_cap": 50.0, "dtype": "float32"}, "splash", "the best"),
        (_gpu(), {}, "cudnn", "the best on platform gpu"),
        (_gpu(), {"head_width": 256}, "cudnn", "the best"),
        (_gpu("8.0"), {"head_width": 256}, "xla", "up to 128 that 8 divides"),
        (_gpu(), {"head_width": 100}, "xla", "head_width is 100"),
        (_gpu("7.5", "Tesla T4"), {}, "xla", r"this is Tesla T4 \(7.5\)"),
        (_gpu("gfx90a", "MI250"), {}, "xla", r"MI250 \(gfx90a\)"),
        (
            _gpu(),
            {"dtype": "float32"},
            "xla",
            "cuDNN supports bfloat16 but not float32",
        ),
        (_gpu(), {"score_cap": 50.0}, "xla", "score_cap is 50.0"),
    ],
)
def test_auto_chooses_the_best_supported_backend(
    device, fields, backend, reason
):
  arch = dataclasses.replace(ARCH, **fields)
  choice = execution.choose_backend("auto", device, arch)
  assert choice.backend == backend
  with pytest.raises(AssertionError, match=reason):
    raise AssertionError(choice.reason)


def test_a_requested_backend_is_used():
  for requested, device in [
      ("xla", CPU),
      ("xla", TPU),
      ("splash", TPU),
      ("cudnn", _gpu()),
  ]:
    assert execution.choose_backend(requested, device, ARCH) == (
        requested,
        "requested",
    )


@pytest.mark.parametrize(
    "backend, device, fields, reason",
    [
        ("splash", CPU, {}, "needs platform tpu, and the devices are cpu"),
        ("flash", TPU, {}, "needs platform cpu, and the devices are tpu"),
        ("splash", _gpu(), {}, "needs platform tpu, and the devices are gpu"),
        ("cudnn", TPU, {}, "needs platform gpu, and the devices are tpu"),
        ("cudnn", _gpu(), {"score_cap": 1.0}, "config.model.score_cap is 1.0"),
    ],
)
def test_an_unsupported_backend_is_refused(backend, device, fields, reason):
  arch = dataclasses.replace(ARCH, **fields)
  message = f"config.machine.attention is '{backend}', but .*{reason}.*'xla'"
  with pytest.raises(errors.InputError, match=message):
    execution.choose_backend(backend, device, arch)


def test_an_execution_has_the_backend_of_its_mesh():
  mesh = mesh_lib.make(config.Mesh(), jax.devices()[:1])
  actual = execution.from_config(config.Machine(), mesh, ARCH)
  assert (actual.attention, actual.platform) == ("flash", "cpu")
  with pytest.raises(errors.InputError, match=r"config\.machine\.attention"):
    execution.from_config(config.Machine(attention="splash"), mesh, ARCH)
