"""Run by test_families.py on 8 devices: each holds its slices of a model, and all answer.

python tests/models/placed.py FAMILY…
"""

import functools
import pathlib
import sys
import tempfile

import imported
import jax
import numpy as np

from zsgen.core import config
from zsgen.core import mesh as mesh_lib
from zsgen.models import generation, hugging_face
from zsgen.models import model as model_lib

# Fused projections, biases, blocks left over, a padded vocabulary, one key
# head; which mesh their axes divide.
MESHES = {
    "gpt2": dict(data=2, fsdp=2, tensor=2),
    "qwen2_window": dict(data=1, fsdp=4, tensor=2),
    "gemma3": dict(data=1, fsdp=4, tensor=1, context=2),
    "mistral": dict(data=2, fsdp=2, tensor=2),
}


def _check(case: str, directory: pathlib.Path) -> None:
  arch, expected = imported.model(case)
  shape = config.Mesh(**MESHES[case])
  placed = imported.load(imported.FAMILIES / case, arch, shape)
  split = [p for p in jax.tree.leaves(placed) if not p.is_fully_replicated]
  assert len(split) > len(jax.tree.leaves(placed)) / 2
  jax.tree.map(np.testing.assert_array_equal, placed, expected)
  hugging_face.save(directory / case, placed, arch)
  reimported = imported.load(directory / case, arch)
  jax.tree.map(np.testing.assert_array_equal, reimported, expected)


def _answers(case: str, shape: config.Mesh | None) -> np.ndarray:
  """Greedy answers to drawn prompts, on a mesh or on one device."""
  arch, _ = imported.model(case)
  devices = jax.devices() if shape else jax.devices()[:1]
  mesh = mesh_lib.make(shape or config.Mesh(), devices)
  params = imported.load(imported.FAMILIES / case, arch, shape)
  rng = np.random.default_rng(2)
  rows = np.arange(8, dtype=np.int32)
  tokens = rng.integers(3, arch.vocab_size, (8, 10)).astype(np.int32)
  batch = (tokens, 3 + rows % 7, rows)
  run = jax.jit(
      functools.partial(
          generation.generate,
          model=model_lib.Model.from_config(arch),
          decoding=generation.Decoding(max_new_tokens=4),
          ends=(1,),
          pad=0,
      ),
      out_shardings=mesh_lib.replicated(mesh),
  )
  batch = jax.device_put(batch, mesh_lib.batch_sharding(mesh))
  return np.asarray(run(params, *batch, 0))


def main() -> None:
  """Raises if a mesh changes what is read, written or answered."""
  assert jax.device_count() == 8
  with tempfile.TemporaryDirectory() as directory:
    for case in sys.argv[1:]:
      _check(case, pathlib.Path(directory))
  shape = config.Mesh(**MESHES["mistral"])
  expected = _answers("mistral", None)
  np.testing.assert_array_equal(_answers("mistral", shape), expected)


if __name__ == "__main__":
  main()
