"""Run by test_loss_slots.py on 8 devices: prints FLOPs of a loss per device."""

import json
import math
import sys
import types
from typing import Any

import jax
from jax import numpy as jnp

from zsgen.core import config as config_lib
from zsgen.core import mesh as mesh_lib
from zsgen.models import execution
from zsgen.models import model as model_lib

ROWS, LENGTH, SLOTS = 8, 64, 64


def _flops(shape: tuple[int, ...], tied: bool, groups: int) -> float:
  """Returns the FLOPs of loss and gradient on each device of a mesh."""
  arch = config_lib.Model(
      init="new", vocab_size=2048, layers=1, width=32, mlp_width=32, tied=tied
  )
  devices = jax.devices()[: math.prod(shape)]
  mesh = mesh_lib.make(config_lib.Mesh(*shape), devices)
  model = model_lib.Model(arch, execution=execution.Execution(mesh=mesh))
  params = jax.eval_shape(model.init, jax.random.key(0))
  shardings = mesh_lib.shardings(params, mesh)
  rows, replicated = mesh_lib.position_sharding(mesh), mesh_lib.replicated(mesh)
  shards = mesh_lib.row_shards(mesh) * mesh_lib.position_shards(mesh)
  slots = mesh_lib.group_sharding(mesh) if groups == shards else replicated
  tokens = jax.ShapeDtypeStruct((ROWS, LENGTH), jnp.int32)
  positions = jax.ShapeDtypeStruct((groups, SLOTS // groups), jnp.int32)

  def loss(params: Any, tokens: Any, positions: Any) -> jax.Array:
    batch = types.SimpleNamespace(
        tokens=tokens,
        positions=tokens,
        segments=tokens,
        loss_positions=positions,
    )
    weights = jnp.ones(positions.shape, jnp.float32)
    return model.loss(params, batch, weights)

  step = jax.jit(
      jax.value_and_grad(loss),
      in_shardings=(shardings, rows, slots),
      out_shardings=(replicated, shardings),
  )
  compiled = step.lower(params, tokens, positions).compile()
  return compiled.cost_analysis()["flops"]


def main() -> None:
  """Prints one JSON object."""
  flops = {"flat": _flops((4, 1, 2), True, 1)}
  for name, tied in (("tied", True), ("untied", False)):
    flops[name] = _flops((4, 1, 2), tied, 4)
    flops[f"{name} context"] = _flops((2, 1, 2, 2), tied, 4)
    flops[f"{name} alone"] = _flops((1, 1, 1), tied, 1)
  json.dump(flops, sys.stdout)


if __name__ == "__main__":
  main()
