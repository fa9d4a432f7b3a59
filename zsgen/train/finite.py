"""Explains why a loss is not finite, and what to do about it."""

from collections.abc import Mapping
import types
from typing import Any, NamedTuple

import jax
from jax import numpy as jnp

from zsgen.core import config as config_lib
from zsgen.train import checksums

# The most arrays that a message names.
_MAX_LISTED = 3


class Beginning(NamedTuple):
  """Facts about the initial parameters that may explain a loss.

  Attributes:
    origin: where the parameters come from.
    not_finite: the number of values of each array that are not finite, by path,
      uint32 on the devices; None for a run that resumes.
    sizes: the number of values of each array, by path.
  """

  origin: str
  not_finite: Mapping[str, jax.Array] | None = None
  sizes: Mapping[str, int] = types.MappingProxyType({})


def look_at(params: Any, origin: str) -> Beginning:
  """Counts values that are not finite, without waiting for the devices.

  Args:
    params: all parameters, on the devices.
    origin: where the parameters come from.
  """
  leaves = checksums.leaves_by_path(params)
  counts = {path: _not_finite(leaf) for path, leaf in leaves.items()}
  return Beginning(origin, counts, {p: leaf.size for p, leaf in leaves.items()})


def advise(beginning: Beginning, config: config_lib.Config, step: int) -> str:
  """Returns what to do about a loss that is not finite.

  Args:
    beginning: the initial parameters of this start of the run.
    config: the config of the run.
    step: the number of updates before.
  """
  rate = config.train.learning_rate
  if rate and (step or beginning.not_finite is None):
    return "Lower config.train.learning_rate."
  if beginning.not_finite is None:
    return "config.train.learning_rate is 0, so check what the run starts from."
  return explain(beginning, config.model)


def explain(beginning: Beginning, model: config_lib.Model) -> str:
  """Returns what to do if nothing was trained yet.

  Args:
    beginning: the initial parameters.
    model: the section `config.model`.
  """
  counts = jax.device_get(beginning.not_finite)
  wrong = {path: int(count) for path, count in counts.items() if count}
  if wrong:
    listing = ", ".join(
        f"{path} ({count:,} of {beginning.sizes[path]:,})"
        for path, count in list(wrong.items())[:_MAX_LISTED]
    )
    unnamed = len(wrong) - _MAX_LISTED
    listing += f" and {unnamed} more arrays" if unnamed > 0 else ""
    return (
        "Some parameters are not finite before any training:"
        f" {listing}. They come from: {beginning.origin}. Changing the learning"
        " rate does not help: get these files again, or name others in"
        " config.model.init."
    )
  reason = (
      "Nothing was trained yet, and all parameters are finite: computing with"
      " them overflows. Changing the learning rate does not help."
  )
  if model.dtype != "float32":
    return f"{reason} Set config.model.dtype='float32'."
  if model.init == "new":
    return f"{reason} Lower config.model.init_std."
  return (
      f"{reason} Set config.model.init to other parameters. These come from:"
      f" {beginning.origin}."
  )


@jax.jit
def _not_finite(leaf: jax.Array) -> jax.Array:
  return (~jnp.isfinite(leaf)).sum(dtype=jnp.uint32)
