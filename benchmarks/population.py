"""Compares training a population as one program with one run after another.

  python -m benchmarks.population                      # on local devices
  XLA_FLAGS=--xla_force_host_platform_device_count=2 \\
      python -m benchmarks.population                  # two devices of a CPU

Uses a GPT-2-shaped decoder (3 blocks of width 64; `--tier=mini`: 6 of 256) and
steps of 256 random examples of 29 tokens (48), packed two per row. Steps are
timed separately for each member and for all together; the fastest of three laps
counts, without compiling. Tokens per second are those of all members.
"""

import argparse
import time
from typing import Any

import jax
import numpy as np
import rich.console
import rich.table

from zsgen.core import config as config_lib
from zsgen.core import mesh as mesh_lib
from zsgen.data import store as store_lib
from zsgen.train import (
    batches,
    layouts,
    optimizer,
    population,
    program,
    starts,
)

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
  """Returns the config of a tier, and the tokens of each example."""
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
  """Returns a step's examples, all of the same length."""
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
  count = len(layouts.best_fit([tokens] * _EXAMPLES, length))
  return layouts.lay_out(
      examples, layouts.Shape(count, length, count * length), layouts.Split()
  )


def _seconds(run: Any, state: Any, steps: int) -> float:
  """Returns the seconds per step of the fastest lap."""
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
  """Measures tokens per second of all members.

  Args:
    tier: a name in the table of tiers.
    members: how many.
    steps: steps of a lap.

  Returns:
    The rates of one after another, and together.
  """
  config, tokens = _config(tier)
  hyper = optimizer.hyper_at(_TRAIN, 0, 10)
  member_batches = [_batch(tokens, seed) for seed in range(members)]

  mesh = mesh_lib.make(config_lib.Mesh())
  start = starts.make(config.model, seed=0)
  single = program.make(config, start, mesh)
  state = single.init(start.load(single.shardings.params))
  single_seconds = _seconds(
      lambda s: single.step(s, {}, member_batches[0], hyper), state, steps
  )

  joined = population.join([single] * members)
  states = [
      single.init(start.load(single.shardings.params)) for _ in range(members)
  ]
  batch = population.stack(member_batches)
  hypers = population.stack([hyper] * members)
  put = population.stack(states, joined.shardings)
  joint_seconds = _seconds(
      lambda s: joined.step(s, {}, batch, hypers), put, steps
  )
  count = _EXAMPLES * tokens
  return count / single_seconds, members * count / joint_seconds


def main() -> None:
  """Measures and prints the table."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--tier", choices=_TIERS, default="nano")
  parser.add_argument("--members", default="1,4,16")
  parser.add_argument("--steps", type=int, default=20)
  args = parser.parse_args()
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
    separate, joint = measure(args.tier, members, args.steps)
    table.add_row(
        str(members),
        f"{separate:,.0f}",
        f"{joint:,.0f}",
        f"{joint / separate:.2f}",
    )
  rich.console.Console().print(table)


if __name__ == "__main__":
  main()
