"""Hidden states of a decoder after any of its blocks."""

import dataclasses
from typing import Any

import jax
from jaxtyping import Float, Int

from zsgen.core import config
from zsgen.models import decoder, execution
from zsgen.models import model as model_lib
from zsgen.models.arrays import Array


def hidden_states(
    model: model_lib.Model,
    params: dict[str, Any],
    tokens: Int[Array, "B T"],
    positions: Int[Array, "B T"],
    segments: Int[Array, "B T"],
    layer: int = -1,
) -> Float[Array, "B T D"]:
  """Returns the residual stream at each position, of type `model.arch.dtype`.

  Blocks beyond `layer` are not computed.

  Args:
    model: the model.
    params: its parameters.
    tokens: the tokens of the rows.
    positions: the position of each token in its segment.
    segments: the number of the segment of each token; 0 is padding.
    layer: the number of blocks that are applied, 0 for the embedding; -1 for
      all of them and the final norm.
  """
  arch = model.arch
  if layer >= 0:
    arch = dataclasses.replace(arch, layers=layer)
    params = truncate(params, model.arch, layer)
  module = decoder.Decoder(
      arch, False, model.lora, model.execution, is_normed=layer < 0
  )
  with execution.precision(arch.dtype):
    states: Any = module.apply({"params": params}, tokens, positions, segments)
  return states


def truncate(
    params: dict[str, Any], arch: config.Model, layer: int
) -> dict[str, Any]:
  """Returns the parameters of a decoder that ends after some of its blocks.

  Args:
    params: the parameters of all blocks.
    arch: the architecture that they are of.
    layer: the number of blocks that remain.
  """
  period = len(arch.pattern)
  repeats, remainder = divmod(layer, period)
  result = {
      name: leaf
      for name, leaf in params.items()
      if name != "blocks" and not name.startswith("rest_")
  }
  blocks = params.get("blocks", {})
  if repeats:
    result["blocks"] = jax.tree.map(lambda leaf: leaf[:repeats], blocks)
  for number in range(remainder):
    name = f"rest_{number}"
    if repeats < arch.layers // period:
      block = blocks[str(number)]
      result[name] = jax.tree.map(lambda leaf: leaf[repeats], block)
    else:
      result[name] = params[name]
  return result
