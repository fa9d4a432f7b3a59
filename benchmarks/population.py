"""Members of a population trained as one program, or one after another.

  python -m benchmarks.population                      # on what is here
  XLA_FLAGS=--xla_force_host_platform_device_count=2 \\
      python -m benchmarks.population                  # two devices of a CPU

A GPT-2-shaped decoder (3 blocks of width 64; `--tier=mini`: 6 of 256), 256
examples of 29 tokens (48) a step, packed two a row; tokens are drawn. Steps of
each member are timed alone and together; the quickest of three laps counts, and
compiling does not. Tokens a second are those of all members.
"""

import argparse
import functools
import time
from typing import Any

import jax
import numpy as np
import rich.console
import rich.table

from zsgen.core import config as config_lib
from zsgen.core import mesh as mesh_lib
from zsgen.data import store as store_lib
from zsgen.train import batches, optimizer, population, program
from zsgen.train import start as start_lib

_GPT2 = dict(
    init="new",
    vocab_size=32,
    positions="learned",
    norm="layer",
    norm_eps=1e-5,
    gated=False,
    activation="gelu_tanh",
    qkv_bias=True,
    out_bias=True,
    mlp_bias=True,
    max_positions=64,
)
# Blocks, width, heads, and tokens of an example.
_TIERS = {"nano": (3, 64, 2, 29), "mini": (6, 256, 4, 48)}
_EXAMPLES, _LAPS = 256, 3
_TRAIN = config_lib.Train(batch_size=_EXAMPLES)


def _config(tier: str) -> tuple[config_lib.Config, int]:
  blocks, width, heads, tokens = _TIERS[tier]
  model = config_lib.Model(
      **_GPT2,
      layers=blocks,
      width=width,
      heads=heads,
      kv_heads=heads,
      head_width=width // heads,
      mlp_width=4 * width,
  )
  return config_lib.Config(model=model, train=_TRAIN), tokens


def _batch(tokens: int, seed: int) -> batches.Batch:
  """A step's examples of one length."""
  rng = np.random.default_rng(seed)
  rows = [
      store_lib.TokenRow(
          rng.integers(6, 32, tokens).astype(np.uint32),
          (np.arange(tokens) > tokens // 2).astype(np.uint8),
      )
      for _ in range(_EXAMPLES)
  ]
  examples = batches.Examples(np.arange(_EXAMPLES), rows)
  length = -(-tokens // 64) * 64
  count = len(batches.best_fit([tokens] * _EXAMPLES, length))
  return batches.lay_out(examples, batches.Layouts((count,), length))


def _seconds(run: Any, state: Any, steps: int) -> float:
  """Of a step, in the quickest lap; the state is carried on."""
  state, _ = jax.block_until_ready(run(state))  # Compiles.
  laps = []
  for _ in range(_LAPS):
    began = time.perf_counter()
    for _ in range(steps):
      state, metrics = run(state)
    jax.block_until_ready(metrics)
    laps.append((time.perf_counter() - began) / steps)
  return min(laps)


def measure(tier: str, members: int, steps: int) -> tuple[float, float]:
  """Seconds of a step of all members: one after another, and together."""
  config, tokens = _config(tier)
  hyper = optimizer.hyper_at(_TRAIN, 0, 10)
  made = [_batch(tokens, seed) for seed in range(members)]

  mesh = mesh_lib.make(config_lib.Mesh())
  start = start_lib.of(config.model, seed=0)
  alone = program.make(config, start, mesh)
  state = alone.init(start.load(alone.shardings.params))
  one = _seconds(lambda s: alone.step(s, {}, made[0], hyper), state, steps)

  split = population.sharding(mesh, members)
  plain = functools.partial(alone.plain_step, model=alone.model.alone)
  together = jax.jit(population.mapped(plain, split), donate_argnums=0)
  states = [
      jax.device_get(alone.init(start.load(alone.shardings.params)))
      for _ in range(members)
  ]
  stack = functools.partial(jax.tree.map, lambda *leaves: np.stack(leaves))
  batch, hypers = stack(*made), stack(*[hyper] * members)
  put = jax.device_put(stack(*states), split)
  return members * one, _seconds(
      lambda s: together(s, {}, batch, hypers), put, steps
  )


def main() -> None:
  """Measures and prints the table."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--tier", choices=_TIERS, default="nano")
  parser.add_argument("--members", default="1,4,16")
  parser.add_argument("--steps", type=int, default=20)
  args = parser.parse_args()
  _, tokens = _config(args.tier)
  devices = jax.devices()
  table = rich.table.Table(
      "members",
      "one after another, tokens/s",
      "together, tokens/s",
      "ratio",
      title=f"{args.tier}, {len(devices)} x {devices[0].device_kind}",
  )
  for members in map(int, args.members.split(",")):
    if members % len(devices):
      continue
    apart, together = measure(args.tier, members, args.steps)
    count = members * _EXAMPLES * tokens
    table.add_row(
        str(members),
        f"{count / apart:,.0f}",
        f"{count / together:,.0f}",
        f"{apart / together:.2f}",
    )
  rich.console.Console().print(table)


if __name__ == "__main__":
  main()
