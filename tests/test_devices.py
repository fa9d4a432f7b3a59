"""The same run on 1, 2, 4 and 8 devices, laid out and computed differently."""

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from tests.helpers import xla

pytestmark = pytest.mark.numerics

KILL_RUN = pathlib.Path(__file__).parent / "helpers" / "kill_run.py"


def _run(
    config, workdir: pathlib.Path, devices: int, mesh: tuple, machine: dict
) -> dict:
  completed = _start(config, workdir, devices, mesh, machine)
  assert completed.returncode == 0, completed.stderr
  return _read(workdir)


def _start(
    config,
    workdir: pathlib.Path,
    devices: int,
    mesh: tuple,
    machine: dict,
    moment: str = "never",
) -> subprocess.CompletedProcess:
  config = config.copy_and_resolve_references()
  config.machine.update(machine)
  axes = ("data", "fsdp", "tensor", "context")
  config.machine.mesh.update(dict(zip(axes, mesh, strict=True)))
  workdir.mkdir(exist_ok=True)
  path = workdir / "config.json"
  path.write_text(config.to_json())
  return subprocess.run(
      [sys.executable, KILL_RUN, path, workdir, moment],
      env=xla.environment(xla.devices(devices)),
      capture_output=True,
      text=True,
      check=False,
  )


def _read(workdir: pathlib.Path) -> dict:
  (run,) = (workdir / "runs").iterdir()
  return {
      "name": run.name,
      "consumed": np.load(run / "consumed.npy"),
      "records": [json.loads(line) for line in (run / "metrics.jsonl").open()],
  }


@pytest.mark.parametrize(
    ("devices", "mesh", "machine"),
    [
        pytest.param(
            *(2, (-1, 1, 1, 1), {"micro_batches": 2}), marks=pytest.mark.slow
        ),
        pytest.param(
            *(4, (-1, 1, 1, 1), {"logits_chunk": 48}), marks=pytest.mark.slow
        ),
        pytest.param(
            *(8, (-1, 1, 1, 1), {"remat": "none"}), marks=pytest.mark.slow
        ),
        pytest.param(
            *(8, (2, -1, 1, 1), {"micro_batches": 4, "remat": "full"}),
            marks=pytest.mark.slow,
        ),
        pytest.param(
            *(8, (1, 4, 2, 1), {"micro_batches": 2, "logits_chunk": 48}),
            marks=pytest.mark.slow,
        ),
        # tests/test_mesh.py has losses and gradients of split positions.
        pytest.param(
            *(2, (1, 1, 1, -1), {"logits_chunk": 16}), marks=pytest.mark.slow
        ),
        pytest.param(
            *(4, (-1, 1, 1, 2), {"attention": "xla", "remat": "none"}),
            marks=pytest.mark.slow,
        ),
        pytest.param(
            *(8, (1, 2, 2, -1), {"micro_batches": 2, "remat": "full"}),
            marks=pytest.mark.slow,
        ),
        pytest.param(
            *(8, (1, 1, 1, 8), {"micro_batches": 2}), marks=pytest.mark.slow
        ),
    ],
    ids=[
        *("2", "4", "8", "8-fsdp", "8-tensor"),
        *("2-context", "4-context", "8-context", "8-all-context"),
    ],
)
def test_a_mesh_agrees_with_one_device(
    small, workdirs, tmp_path, devices, mesh, machine
):
  small.model.kv_heads = 2
  small.model.vocab_size = 264
  expected = _read(workdirs.get(small, "train"))
  _assert_agrees(
      _run(small, tmp_path / "mesh", devices, mesh, machine), expected
  )


def _assert_agrees(actual: dict, expected: dict) -> None:
  assert (expected["consumed"] >= 0).all()
  assert actual["name"] == expected["name"]
  np.testing.assert_array_equal(actual["consumed"], expected["consumed"])
  assert len(actual["records"]) == len(expected["records"])
  for actual_record, expected_record in zip(
      actual["records"], expected["records"], strict=True
  ):
    assert actual_record == pytest.approx(expected_record, rel=1e-5)


@pytest.mark.slow
def test_a_run_resumes_with_split_positions(small, workdirs, tmp_path):
  small.model.kv_heads = 2
  small.model.vocab_size = 264
  expected = _read(workdirs.get(small, "train"))
  workdir = tmp_path / "moved"
  killed = _start(small, workdir, 4, (1, 2, 1, 2), {}, "step:7")
  assert killed.returncode == -9, killed.stderr
  resumed = _start(small, workdir, 2, (1, 1, 1, 2), {}, "step:9")
  assert resumed.returncode == -9, resumed.stderr
  assert "from step 5 of 10" in resumed.stderr
  _assert_agrees(_run(small, workdir, 2, (2, 1, 1, 1), {}), expected)


@pytest.mark.slow
def test_adapters_and_all_evaluations_with_split_positions(
    small, workdirs, tmp_path
):
  small.model.kv_heads = 2
  small.model.vocab_size = 264
  small.lora.rank = 2
  small.lora.targets = ".*"
  evals = small.evals
  evals.exact = {"type": "exact", "every_steps": 10}
  evals.written = {"type": "generate", "every_steps": 10, "max_new_tokens": 4}
  expected = _read(workdirs.get(small, "train"))
  mesh = (1, 2, 1, 2)
  _assert_agrees(_run(small, tmp_path / "mesh", 4, mesh, {}), expected)
