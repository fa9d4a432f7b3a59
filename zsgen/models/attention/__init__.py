"""Causal attention within segments, by the backend of an execution.

`execution.choose_backend` chooses the backend.
"""

import functools

from jaxtyping import Float, Int

from zsgen.models import execution as execution_lib
from zsgen.models.arrays import Array
from zsgen.models.attention import blocks, cudnn, flash, split
from zsgen.models.attention.past import attend_past as attend_past
from zsgen.models.attention.shared import Spans as Spans
from zsgen.models.attention.shared import attend_shared as attend_shared
from zsgen.models.attention.shared import row_reads as row_reads

# Checkpoint name of the output of a kernel.
ATTENDED = "attended"


def attend(
    query: Float[Array, "B T H d"],
    key: Float[Array, "B T K d"],
    value: Float[Array, "B T K d"],
    segments: Int[Array, "B T"],
    *,
    scale: float,
    cap: float = 0.0,
    window: int | None = None,
    execution: execution_lib.Execution = execution_lib.PLAIN,
) -> Float[Array, "B T H d"]:
  """Attends to the earlier positions of the same segment, by softmax.

  On other platforms a kernel runs interpreted or in plain operations, which is
  slow and meant for tests.

  Args:
    query: H heads; head h reads key and value head h // (H / K).
    key: K heads, a divisor of H.
    value: as `key`.
    segments: the segment number of each position, 0 or more. Padding is a
      segment too, and only attends to itself.
    scale: factor of the scores.
    cap: soft cap of the scores; 0 for none. The backend "cudnn" has none.
    window: number of positions to attend to, including the position itself;
      None for all.
    execution: the backend and the mesh.

  Returns:
    The attended values, in the type of `value`; softmax is in float32.
  """
  backend, mesh = execution.attention, execution.mesh
  if backend == "splash":
    # Pallas takes a third of a second to import, and only this needs it.
    from zsgen.models.attention import splash

    run = functools.partial(
        splash.attend,
        scale=scale,
        cap=cap,
        window=window,
        name=ATTENDED,
        interpret=execution.platform != "tpu",
    )
    return split.split_over(mesh, run)(query, key, value, segments)
  if backend == "cudnn":
    assert not cap, "execution.choose_backend selects another backend for caps"
    run = functools.partial(
        cudnn.attend,
        scale=scale,
        window=window,
        implementation="cudnn" if execution.platform == "gpu" else "xla",
    )
    return split.split_over(mesh, run)(query, key, value, segments)
  if backend == "flash":
    run = functools.partial(
        flash.attend, scale=scale, cap=cap, window=window, name=ATTENDED
    )
    return split.split_over(mesh, run)(query, key, value, segments)
  run = functools.partial(blocks.attend, scale=scale, cap=cap, window=window)
  if execution.position_shards > 1:
    run = split.split_over(mesh, run)
  return run(query, key, value, segments)
