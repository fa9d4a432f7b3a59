"""Run by test_attention.py on 8 devices: kernels on meshes."""

import jax

from tests.models import attended
from zsgen import config
from zsgen import mesh as mesh_lib
from zsgen.models import execution as execution_lib

FIELDS = {"splash": {"cap": 2.0, "window": 70}, "cudnn": {"window": 70}}


def main() -> None:
  """Raises if a mesh changes attention or its gradient."""
  assert jax.device_count() == 8
  for backend, fields in FIELDS.items():
    for data, fsdp, tensor in [(2, 2, 2), (1, 8, 1)]:
      mesh = mesh_lib.make(config.Mesh(data=data, fsdp=fsdp, tensor=tensor))
      execution = execution_lib.Execution(attention=backend, mesh=mesh)
      attended.check(attended.rows(8, 192), fields, execution)
    # Neither one row nor one head can be split.
    attended.check(attended.rows(1, 64, 2, 1), fields, execution)


if __name__ == "__main__":
  main()
