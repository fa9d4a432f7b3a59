"""Run by test_attention.py on 8 devices: kernels on meshes."""

import jax

from tests.models import attended
from zsgen.core import config
from zsgen.core import mesh as mesh_lib
from zsgen.models import execution as execution_lib

CASES = [
    # Axes of the mesh, backend, shape of the rows.
    ((2, 2, 2), "splash", (8, 192)),
    ((1, 8, 1), "cudnn", (8, 192)),
    # Neither one row nor one head can be split.
    ((2, 2, 2), "splash", (1, 64, 2, 1)),
]


def main() -> None:
  """Raises if a mesh changes attention or its gradient."""
  assert jax.device_count() == 8
  for (data, fsdp, tensor), backend, shape in CASES:
    mesh = mesh_lib.make(config.Mesh(data=data, fsdp=fsdp, tensor=tensor))
    execution = execution_lib.Execution(attention=backend, mesh=mesh)
    attended.assert_equals_softmax(
        attended.rows(*shape), {"window": 70}, execution
    )


if __name__ == "__main__":
  main()
