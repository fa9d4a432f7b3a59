"""The same run on 1, 2, 4 and 8 devices, laid out and computed differently."""

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from tests.helpers import xla

pytestmark = pytest.mark.numerics

KILLED = pathlib.Path(__file__).with_name("killed.py")


def _run(
    config, workdir: pathlib.Path, devices: int, mesh: tuple, how: dict
) -> dict:
  config = config.copy_and_resolve_references()
  config.machine.update(how)
  data, fsdp, tensor = mesh
  config.machine.mesh.update(data=data, fsdp=fsdp, tensor=tensor)
  workdir.mkdir()
  path = workdir / "config.json"
  path.write_text(config.to_json())
  done = subprocess.run(
      [sys.executable, KILLED, path, workdir, "never"],
      env=xla.environment(xla.devices(devices)),
      capture_output=True,
      text=True,
      check=False,
  )
  assert done.returncode == 0, done.stderr
  return _read(workdir)


def _read(workdir: pathlib.Path) -> dict:
  (run,) = (workdir / "runs").iterdir()
  return {
      "name": run.name,
      "consumed": np.load(run / "consumed.npy"),
      "records": [json.loads(line) for line in (run / "metrics.jsonl").open()],
  }


@pytest.mark.parametrize(
    ("devices", "mesh", "how"),
    [
        pytest.param(
            *(2, (-1, 1, 1), {"micro_batches": 2}), marks=pytest.mark.slow
        ),
        pytest.param(
            *(4, (-1, 1, 1), {"logits_chunk": 48}), marks=pytest.mark.slow
        ),
        pytest.param(
            *(8, (-1, 1, 1), {"remat": "none"}), marks=pytest.mark.slow
        ),
        pytest.param(
            *(8, (2, -1, 1), {"micro_batches": 4, "remat": "full"}),
            marks=pytest.mark.slow,
        ),
        pytest.param(
            *(8, (1, 4, 2), {"micro_batches": 2, "logits_chunk": 48}),
            marks=pytest.mark.slow,
        ),
    ],
    ids=["2", "4", "8", "8-fsdp", "8-tensor"],
)
def test_a_mesh_agrees_with_one_device(
    small, workdirs, tmp_path, devices, mesh, how
):
  small.model.kv_heads = 2
  small.model.vocab_size = 264
  expected = _read(workdirs.get(small, "train"))
  found = _run(small, tmp_path / "mesh", devices, mesh, how)
  assert (expected["consumed"] >= 0).all()
  assert found["name"] == expected["name"]
  np.testing.assert_array_equal(found["consumed"], expected["consumed"])
  assert len(found["records"]) == len(expected["records"])
  for one, other in zip(found["records"], expected["records"], strict=True):
    assert one == pytest.approx(other, rel=1e-5)
