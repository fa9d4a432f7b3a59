"""Why a loss is not finite, and what can be done at that step."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
from jax import numpy as jnp

from zsgen import config as config_lib
from zsgen.training import checksums

# Arrays that a message names.
_NAMED = 3


class Beginning(NamedTuple):
  """Parameters before the first step, as far as they explain a loss.

  Attributes:
    said: where they come from.
    not_finite: how many values of each array are not finite, by path, uint32
      on the devices; None for a run that resumes.
    sizes: how many values each array has.
  """

  said: str
  not_finite: Mapping[str, jax.Array] | None = None
  sizes: Mapping[str, int] | None = None


def look_at(params: Any, said: str) -> Beginning:
  """Counts values that are not finite, without waiting for the devices.

  Args:
    params: all parameters, on the devices.
    said: where they come from.
  """
  leaves = checksums.leaves_by_path(params)
  counts = {path: _not_finite(leaf) for path, leaf in leaves.items()}
  return Beginning(said, counts, {p: leaf.size for p, leaf in leaves.items()})


def advise(beginning: Beginning, config: config_lib.Config, step: int) -> str:
  """Returns what to do about a loss that is not finite.

  Args:
    beginning: of this start of the run.
    config: of the run.
    step: how many updates were done before.
  """
  rate = config.train.learning_rate
  if rate and (step or beginning.not_finite is None):
    return "Lower config.train.learning_rate."
  if beginning.not_finite is None:
    return "config.train.learning_rate is 0: look at what the run starts from."
  return explain(beginning, config.model)


def explain(beginning: Beginning, model: config_lib.Model) -> str:
  """Returns what to do where nothing was trained yet.

  Args:
    beginning: the parameters.
    model: how they are computed with.
  """
  counts = jax.device_get(beginning.not_finite)
  wrong = {path: int(count) for path, count in counts.items() if count}
  if wrong:
    named = ", ".join(
        f"{path} ({count:,} of {beginning.sizes[path]:,})"
        for path, count in list(wrong.items())[:_NAMED]
    )
    more = len(wrong) - _NAMED
    named += f" and {more} more arrays" if more > 0 else ""
    return (
        "Values of the parameters before any training are not finite:"
        f" {named}. They are of: {beginning.said}. No other learning rate"
        " helps: get these files again, or name others in config.model.init."
    )
  said = (
      "Nothing was trained yet, and all parameters are finite: computing with"
      " them overflows, and no other learning rate helps."
  )
  if model.dtype != "float32":
    return f"{said} Set config.model.dtype='float32'."
  if model.init == "new":
    return f"{said} Lower config.model.init_std."
  return f"{said} Name others in config.model.init than: {beginning.said}."


@jax.jit
def _not_finite(leaf: jax.Array) -> jax.Array:
  return (~jnp.isfinite(leaf)).sum(dtype=jnp.uint32)
