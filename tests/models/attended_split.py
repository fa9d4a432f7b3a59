"""Run by test_attention.py on 8 devices: kernels on meshes."""

import functools

import jax

from tests.helpers import closeness
from tests.models import attended
from zsgen.core import config
from zsgen.core import mesh as mesh_lib
from zsgen.models import attention
from zsgen.models import execution as execution_lib

CASES = [
    # Axes of the mesh, backend, shape of the rows.
    ((2, 2, 2), "splash", (8, 192)),
    ((2, 2, 2), "flash", (8, 192)),
    ((1, 8, 1), "cudnn", (8, 192)),
    # Neither one row nor one head can be split.
    ((2, 2, 2), "splash", (1, 64, 2, 1)),
    ((2, 2, 2), "flash", (1, 64, 2, 1)),
]


def _check_prefixes(backend: str) -> None:
  """Raises if a mesh changes attention to shared prefixes."""
  *heads, _ = attended.rows(8, 192)
  spans = attended.spans([[(90, (90, 12))], [(0, (192,))]] * 4, 192)
  expected = attention.attend_shared(*heads, spans, scale=0.3, window=70)
  mesh = mesh_lib.make(config.Mesh(data=2, fsdp=2, tensor=2))
  execution = execution_lib.Execution(attention=backend, mesh=mesh)
  actual = jax.jit(
      functools.partial(
          attention.attend_shared, scale=0.3, window=70, execution=execution
      )
  )(*heads, spans)
  closeness.assert_close(actual, expected)


def main() -> None:
  """Raises if a mesh changes attention or its gradient."""
  assert jax.device_count() == 8
  for (data, fsdp, tensor), backend, shape in CASES:
    mesh = mesh_lib.make(config.Mesh(data=data, fsdp=fsdp, tensor=tensor))
    execution = execution_lib.Execution(attention=backend, mesh=mesh)
    attended.assert_equals_softmax(
        attended.rows(*shape), {"window": 70}, execution
    )
  for backend in ("xla", "cudnn"):
    _check_prefixes(backend)


if __name__ == "__main__":
  main()
