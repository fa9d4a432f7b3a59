"""Run by test_families.py on 8 devices: each holds its slices of a model."""

import pathlib
import tempfile

import imported
import jax
import numpy as np

from zsgen import config
from zsgen.models import hugging_face

# Fused projections, biases, blocks left over, a padded vocabulary, one key
# head; which mesh their axes divide.
MESHES = {
    "gpt2": dict(data=2, fsdp=2, tensor=2),
    "qwen2_window": dict(data=1, fsdp=4, tensor=2),
    "gemma3": dict(data=1, fsdp=8, tensor=1),
    "mistral": dict(data=2, fsdp=2, tensor=2),
}


def _check(case: str, directory: pathlib.Path) -> None:
  arch, alone = imported.model(case)
  shape = config.Mesh(**MESHES[case])
  placed = imported.load(imported.HERE / case, arch, shape)
  split = [p for p in jax.tree.leaves(placed) if not p.is_fully_replicated]
  assert len(split) > len(jax.tree.leaves(placed)) / 2
  jax.tree.map(np.testing.assert_array_equal, placed, alone)
  hugging_face.save(directory / case, placed, arch)
  again = imported.load(directory / case, arch)
  jax.tree.map(np.testing.assert_array_equal, again, alone)


def main() -> None:
  """Raises if a mesh changes what is read or written."""
  assert jax.device_count() == 8
  with tempfile.TemporaryDirectory() as directory:
    for case in MESHES:
      _check(case, pathlib.Path(directory))


if __name__ == "__main__":
  main()
