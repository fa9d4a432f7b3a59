"""The same run on 1, 2, 4 and 8 devices, laid out and computed differently."""

import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

KILLED = pathlib.Path(__file__).with_name("killed.py")
MESHES = {
    "1": (1, (-1, 1, 1), {}),
    "2": (2, (-1, 1, 1), {"micro_batches": 2}),
    "4": (4, (-1, 1, 1), {"logits_chunk": 48}),
    "8": (8, (-1, 1, 1), {"remat": "none"}),
    "8-fsdp": (8, (2, -1, 1), {"micro_batches": 4, "remat": "full"}),
    "8-tensor": (8, (1, 4, 2), {"micro_batches": 2, "logits_chunk": 48}),
}


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
  flag = f"--xla_force_host_platform_device_count={devices}"
  done = subprocess.run(
      [sys.executable, KILLED, path, workdir, "never"],
      env={**os.environ, "XLA_FLAGS": flag},
      capture_output=True,
      text=True,
      check=False,
  )
  assert done.returncode == 0, done.stderr
  (run,) = (workdir / "runs").iterdir()
  return {
      "name": run.name,
      "consumed": np.load(run / "consumed.npy"),
      "records": [json.loads(line) for line in (run / "metrics.jsonl").open()],
  }


def test_meshes_agree(small, tmp_path):
  small.model.kv_heads = 2
  small.model.vocab_size = 264
  runs = {
      name: _run(small, tmp_path / name, *how) for name, how in MESHES.items()
  }
  alone = runs["1"]
  assert (alone["consumed"] >= 0).all()
  for other in runs.values():
    assert other["name"] == alone["name"]
    np.testing.assert_array_equal(other["consumed"], alone["consumed"])
    assert len(other["records"]) == len(alone["records"])
    for found, expected in zip(other["records"], alone["records"], strict=True):
      assert found == pytest.approx(expected, rel=1e-5)
