"""Splits parameters into trained adapters and the frozen base.

The parameters of a model with adapters are one tree. Training uses two: the
adapters (lora_a, lora_b) and the frozen base.
"""

from collections.abc import Mapping
import math
import re
from typing import Any

from flax import traverse_util
import jax
from jax import numpy as jnp
from jaxtyping import Float

from zsgen.core import config, errors
from zsgen.models import layers
from zsgen.models.arrays import Array

_A, _B, _KERNEL = "/lora_a", "/lora_b", "/kernel"


def split(
    params: Mapping[str, Any], lora: config.Lora
) -> tuple[Mapping[str, Any], dict[str, Any]]:
  """Returns the trainable and the frozen parameters.

  Without adapters, all parameters are trainable.
  """
  if not lora.rank:
    return params, {}
  flat = _flat(params)
  adapters = {path: flat[path] for path in flat if path.endswith((_A, _B))}
  frozen = {path: flat[path] for path in flat if path not in adapters}
  return _nested(adapters), _nested(frozen)


def join(
    trainable: Mapping[str, Any], frozen: Mapping[str, Any]
) -> dict[str, Any]:
  """Joins the parameters that `split` separated."""
  return _nested({**_flat(trainable), **_flat(frozen)})


def merge(params: Mapping[str, Any], lora: config.Lora) -> dict[str, Any]:
  """Merges adapters into the base: kernel + (alpha / rank) · A·B.

  Args:
    params: parameters of a model with adapters; the base may be bfloat16.
    lora: the settings of the adapters.

  Returns:
    Float32 parameters of the model without adapters.
  """
  flat, parameters = _flat(params), {}
  for path, leaf in _flat(split(params, lora)[1]).items():
    parameters[path] = leaf.astype(jnp.float32)
    prefix = path.removesuffix(_KERNEL)
    if prefix + _A in flat:
      product = jax.vmap(_product) if _is_stacked(path) else _product
      delta = product(flat[prefix + _A], flat[prefix + _B])
      parameters[path] += (lora.alpha / lora.rank) * delta
  return _nested(parameters)


def check(lora: config.Lora) -> None:
  """Raises InputError for fields that contradict each other."""
  default = config.NO_LORA
  changed = [
      name
      for name in ("alpha", "targets", "base")
      if getattr(lora, name) != getattr(default, name)
  ]
  if changed and not lora.rank:
    raise errors.InputError(
        f"config.lora.{changed[0]} is {getattr(lora, changed[0])!r}, but"
        " config.lora.rank is 0: there are no adapters. Set a rank of 1 or"
        f" more, or leave {changed[0]} out."
    )
  try:
    re.compile(lora.targets)
  except re.error as error:
    raise errors.InputError(
        f"config.lora.targets is {lora.targets!r}, which is not a"
        f" regular expression: {error}."
    ) from error


def check_fits(lora: config.Lora, shapes: Mapping[str, Any]) -> None:
  """Raises InputError for adapters that do not fit the model.

  Args:
    lora: the settings of the adapters.
    shapes: shapes of the parameters of the model with adapters.
  """
  flat = _flat(shapes)
  if not any(path.endswith(_A) for path in flat):
    raise errors.InputError(
        f"config.lora.targets is {lora.targets!r}, which fully matches no"
        " projection of the model. The projections are:"
        f" {', '.join(projections(shapes))}."
    )
  for path, leaf in flat.items():
    if not path.endswith(_A):
      continue
    prefix, lead = path.removesuffix(_A), int(_is_stacked(path))
    inputs = math.prod(leaf.shape[lead:-1])
    outputs = math.prod(flat[prefix + _B].shape[lead + 1 :])
    if lora.rank > min(inputs, outputs):
      raise errors.InputError(
          f"config.lora.rank is {lora.rank}, but {layers.projection(prefix)} has"
          f" {inputs} inputs and {outputs} outputs: a rank above"
          f" {min(inputs, outputs)} adds nothing there. Lower the rank, or"
          " leave the projection out of config.lora.targets."
      )


def projections(shapes: Mapping[str, Any]) -> list[str]:
  """Returns the projections that `config.lora.targets` may match."""
  paths = (path for path in _flat(shapes) if path.endswith(_KERNEL))
  names = (layers.projection(path.removesuffix(_KERNEL)) for path in paths)
  return sorted(set(names))


def describe(
    lora: config.Lora, trainable: Mapping[str, Any], frozen: Mapping[str, Any]
) -> str:
  """Describes what is trained, for people."""
  flat = _flat(trainable)
  matrices = sum(
      leaf.shape[0] if _is_stacked(path) else 1
      for path, leaf in flat.items()
      if path.endswith(_A)
  )
  count = sum(leaf.size for leaf in flat.values())
  base = sum(leaf.size for leaf in _flat(frozen).values())
  return (
      f"rank {lora.rank} on {matrices} projections: {count:,} parameters are"
      f" trained, {count / base:.2%} of the base's {base:,}"
  )


def _product(
    a: Float[Array, "... r"], b: Float[Array, "r ..."]
) -> Float[Array, "..."]:
  """Returns A·B in the kernel's shape: A's input axes, then B's output axes."""
  rank = b.shape[0]
  flat = jnp.matmul(
      a.reshape(-1, rank), b.reshape(rank, -1), precision="highest"
  )
  return flat.reshape(*a.shape[:-1], *b.shape[1:])


def _is_stacked(path: str) -> bool:
  return path.startswith("blocks/")


def _flat(tree: Mapping[str, Any]) -> dict[str, Any]:
  return traverse_util.flatten_dict(tree, sep="/")


def _nested(flat: Mapping[str, Any]) -> dict[str, Any]:
  return traverse_util.unflatten_dict(flat, sep="/")
