"""Run by test_plan.py on 8 devices: prints what plans and programs count."""

import json
import sys

import jax
from jax import numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec

from zsgen.core import chips
from zsgen.core import config as config_lib
from zsgen.core import mesh as mesh_lib
from zsgen.planning import hlo, topology
from zsgen.planning import plan as plan_lib
from zsgen.reports import plans
from zsgen.train import starts

WIDTH, TURNS = 64, 5


def _known() -> dict[str, hlo.Collective]:
  """A gather of a [64, 64] matrix in each of 5 turns, and one sum of scalars."""
  mesh = mesh_lib.make(config_lib.Mesh(data=1, fsdp=8))
  rows = NamedSharding(mesh, PartitionSpec("fsdp"))
  replicated = mesh_lib.replicated(mesh)

  def run(stack: jax.Array, x: jax.Array) -> jax.Array:
    def turn(x: jax.Array, kernel: jax.Array) -> tuple[jax.Array, None]:
      kernel = jax.lax.with_sharding_constraint(kernel, replicated)
      x = jnp.tanh(x @ kernel)
      return jax.lax.with_sharding_constraint(x, rows), None

    return jax.lax.scan(turn, x, stack)[0].sum()

  stack = jax.ShapeDtypeStruct((TURNS, WIDTH, WIDTH), jnp.float32)
  x = jax.ShapeDtypeStruct((16, WIDTH), jnp.float32)
  split = NamedSharding(mesh, PartitionSpec(None, "fsdp"))
  step = jax.jit(run, in_shardings=(split, rows), out_shardings=replicated)
  return hlo.collectives(step.lower(stack, x).compile().as_text(), 8)


def _planned() -> dict:
  """The plan of a small decoder whose parameters lie over all devices."""
  config = config_lib.check(
      {
          "model": {
              "init": "new",
              "layers": 3,
              "width": 128,
              "mlp_width": 512,
              "vocab_multiple": 8,
          },
          "plan": {"rows": 8, "length": 64},
          "machine": {"mesh": {"data": 1, "fsdp": 8}, "remat": "full"},
      }
  )
  start = starts.make(config.model, config.seed, config.lora)
  plan = plan_lib.make(config, start, topology.find_hardware(""))
  return {
      "states": plan.states._asdict(),
      "held": plan.compiled.arguments,
      "copied": plan.compiled.copied,
      "collectives": plan.compiled.collectives,
  }


def _compared() -> dict:
  """The plan of a mesh that splits positions, for chips that are known."""
  config = config_lib.check(
      {
          "model": {"init": "new", "vocab_multiple": 8},
          "plan": {"rows": 2, "length": 64},
          "machine": {"mesh": {"data": 1, "fsdp": 2, "context": 4}},
      }
  )
  start = starts.make(config.model, config.seed, config.lora)
  hardware = topology.find_hardware("")._replace(
      chip=chips.find_chip("TPU v5e"), compiles=False
  )
  plan = plan_lib.make(config, start, hardware)
  parameters, _, _, compared = plans.tables(plan)
  return {
      "groups": plan.groups,
      "rooflines": plan.rooflines,
      "parameters": str(parameters.rows),
      "formula": compared.note,
  }


def main() -> None:
  """Prints one JSON object."""
  results = {"known": _known(), "plan": _planned(), "context": _compared()}
  json.dump(results, sys.stdout)


if __name__ == "__main__":
  main()
