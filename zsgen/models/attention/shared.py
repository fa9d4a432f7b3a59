"""Attention of segments that share prefixes, for evaluation.

A prefix is before its members in the same row. A member attends to itself and
to its prefix, as a segment that holds both would.
"""

import functools
from typing import Any, Literal, NamedTuple

from jax import numpy as jnp
from jaxtyping import Bool, Float

from zsgen.models import execution as execution_lib
from zsgen.models.arrays import Array
from zsgen.models.attention import blocks, cudnn, shared_blocks, split


class Spans(NamedTuple):
  """Which positions of its row each position attends to.

  They are [begin, t] for position t, which is its own segment, and
  [prefix_begin, prefix_end), its prefix, a whole segment. All are int32 [B, T].

  Attributes:
    begin: the first position of the segment.
    prefix_begin: the first position of the prefix.
    prefix_end: the position after the prefix, at most `begin`; `prefix_begin`
      if there is no prefix.
  """

  begin: Array
  prefix_begin: Array
  prefix_end: Array


def row_reads(execution: execution_lib.Execution) -> int:
  """Returns how often `attend_shared` compares a position with its whole row.

  If it is 0, the time does not depend on the length of the rows.
  """
  if execution.attention == "splash":
    return 2
  return int(execution.attention == "cudnn" or execution.platform != "cpu")


def attend_shared(
    query: Float[Array, "B T H d"],
    key: Float[Array, "B T K d"],
    value: Float[Array, "B T K d"],
    spans: Spans,
    *,
    scale: float,
    cap: float = 0.0,
    window: int | None = None,
    execution: execution_lib.Execution = execution_lib.PLAIN,
) -> Float[Array, "B T H d"]:
  """Attends to the earlier positions of a segment and of its prefix.

  Args:
    query: H heads; head h reads key and value head h // (H / K).
    key: K heads, a divisor of H.
    value: as `key`.
    spans: segments and prefixes.
    scale: factor of the scores.
    cap: soft cap of the scores; 0 for none. The backend "cudnn" has none.
    window: number of positions to attend to, including the position itself;
      None for all. A segment continues its prefix.
    execution: the backend and the mesh. All but "splash" and "cudnn" compute
      it in plain operations, on CPUs in loops over the visible blocks.

  Returns:
    The attended values, in the type of `value`; softmax is in float32.
  """
  fields: dict[str, Any] = dict(scale=scale, cap=cap)
  if execution.attention == "splash":
    # Pallas takes a third of a second to import, and only this needs it.
    from zsgen.models.attention import shared_splash

    run = functools.partial(
        shared_splash.attend,
        window=window,
        interpret=execution.platform != "tpu",
        **fields,
    )
    return split.split_over(execution.mesh, run)(query, key, value, spans)
  if window is not None:
    spans = _within(spans, window)
  if execution.attention == "cudnn":
    assert not cap, "execution.choose_backend selects another backend for caps"
    implementation = "cudnn" if execution.platform == "gpu" else "xla"
    fields = dict(scale=scale, implementation=implementation)
    run = functools.partial(_attend_cudnn, **fields)
  elif execution.platform == "cpu":
    run = functools.partial(shared_blocks.attend, **fields)
  else:

    def visible(begin: int, end: int, first: int) -> Array:
      """Returns which keys from `first` on the queries see, [B, t, s]."""
      return _visible(spans, begin, end)[:, :, first:]

    return blocks.attend_visible(query, key, value, visible, **fields)
  return split.split_over(execution.mesh, run)(query, key, value, spans)


def _within(spans: Spans, window: int) -> Spans:
  """Returns the spans without what is before a window."""
  begin, prefix_begin, prefix_end = spans
  last = jnp.arange(begin.shape[1])
  # The position before the segment is the last one of the prefix.
  first = prefix_end + (last - begin) - window + 1
  return Spans(
      jnp.maximum(begin, last - window + 1),
      jnp.minimum(jnp.maximum(prefix_begin, first), prefix_end),
      prefix_end,
  )


def _attend_cudnn(
    query: Float[Array, "B T H d"],
    key: Float[Array, "B T K d"],
    value: Float[Array, "B T K d"],
    spans: Spans,
    *,
    scale: float,
    implementation: Literal["cudnn", "xla"],
) -> Float[Array, "B T H d"]:
  """Computes `attend_shared` without a cap, on one device."""
  visible = _visible(spans, 0, query.shape[1])
  return cudnn.attend_visible(
      query, key, value, visible, scale=scale, implementation=implementation
  )


def _visible(spans: Spans, begin: int, end: int) -> Bool[Array, "B t s"]:
  """Returns which positions before `end` those from `begin` on attend to."""
  first, prefix_begin, prefix_end = (
      array[:, begin:end, None] for array in spans
  )
  queries, keys = jnp.arange(begin, end)[:, None], jnp.arange(end)
  own = (keys >= first) & (keys <= queries)
  return own | ((keys >= prefix_begin) & (keys < prefix_end))
