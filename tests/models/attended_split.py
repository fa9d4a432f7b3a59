"""Run by test_attention.py on 8 devices: kernels on meshes."""

import functools

import jax

from tests.helpers import closeness
from tests.models import attended
from zsgen.core import config
from zsgen.core import mesh as mesh_lib
from zsgen.models import attention
from zsgen.models import execution as execution_lib

WINDOW, CAPPED = {"window": 70}, {"window": 70, "cap": 2.0}
CASES = [
    # Axes of the mesh (data, fsdp, tensor, context), backend, rows, options.
    ((2, 2, 2, 1), "splash", (8, 192), WINDOW),
    ((2, 2, 2, 1), "flash", (8, 192), WINDOW),
    ((1, 8, 1, 1), "cudnn", (8, 192), WINDOW),
    # Neither one row nor one head can be split.
    ((2, 2, 2, 1), "splash", (1, 64, 2, 1), WINDOW),
    ((2, 2, 2, 1), "flash", (1, 64, 2, 1), WINDOW),
    # Positions are split too: in parts of whole blocks, and in others.
    ((2, 1, 2, 2), "splash", (2, 512), {}),
    ((1, 2, 1, 4), "splash", (2, 352), CAPPED),
    ((1, 2, 1, 4), "flash", (2, 352), CAPPED),
    ((1, 1, 1, 8), "flash", (1, 1088, 2, 1), {}),
    ((2, 1, 2, 2), "xla", (2, 352), CAPPED),
    ((2, 1, 2, 2), "cudnn", (2, 352), WINDOW),
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
  for axes, backend, shape, options in CASES:
    mesh = mesh_lib.make(config.Mesh(*axes))
    execution = execution_lib.Execution(attention=backend, mesh=mesh)
    attended.assert_equals_softmax(attended.rows(*shape), options, execution)
  for backend in ("xla", "cudnn", "splash"):
    _check_prefixes(backend)


if __name__ == "__main__":
  main()
