"""Run by test_checksums.py on 8 devices: a checksum is the same on any mesh."""

import jax
from jax import numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec

from zsgen.core import config
from zsgen.core import mesh as mesh_lib
from zsgen.train import checksums

SHAPE = (16, 24, 8)
MESHES = (
    ((8, 1, 1), PartitionSpec()),
    ((8, 1, 1), PartitionSpec("data")),
    ((1, 8, 1), PartitionSpec(None, "fsdp")),
    ((1, 2, 4), PartitionSpec("tensor", None, "fsdp")),
    ((2, 2, 2), PartitionSpec(("data", "fsdp"), "tensor")),
)


def main() -> None:
  """Raises if where an array lies changes its checksum, or if it is moved."""
  assert jax.device_count() == 8
  checksums._AT_ONCE = 40  # Each device sums several blocks.
  meshes = {"float32": MESHES, "bfloat16": MESHES[-1:]}
  for dtype, cases in meshes.items():
    array = jax.random.normal(jax.random.key(3), SHAPE) * 100
    array = array.astype(jnp.dtype(dtype))
    expected = checksums.checksums(array)
    for (data, fsdp, tensor), spec in cases:
      mesh = mesh_lib.make(config.Mesh(data=data, fsdp=fsdp, tensor=tensor))
      sharding = NamedSharding(mesh, spec)
      placed = jax.device_put(array, sharding)
      assert checksums.checksums(placed) == expected, (dtype, spec)
      changed = placed.at[13, 20, 5].add(1)
      assert checksums.checksums(changed) != expected
      compiled = checksums._program(sharding).lower(placed).compile().as_text()
      for moved in ("all-gather", "all-to-all", "collective-permute"):
        assert moved not in compiled, (spec, moved)


if __name__ == "__main__":
  main()
