"""Padding of configs, by the number of row shards; nothing is trained.

  python -m benchmarks.padding --workdir=WORKDIR configs/tmt.py \\
    configs/niv2.py=CLONE

Prepares the store and the order of each config (CLONE is its
`config.data.path`), and plans the layouts of all steps. The peer is the rule
before: rows as long as the longest example, and two numbers of rows.
"""

import argparse
import importlib.util
import math
import pathlib
import time
from typing import NamedTuple

import numpy as np
import rich.console
import rich.table

from zsgen.core import config as config_lib
from zsgen.pipeline import experiment
from zsgen.train import flops, layout_plan, layouts, shape_search

_SHARDS, _LIMITS = (1, 8, 16), (1, 2, 3, 8)
# Examples of the order that shows how long planning takes.
_MANY = 1_600_000


class _Order(NamedTuple):
  """The examples of an order, and the cost of its model."""

  lengths: layouts.Lengths
  batch_size: int
  cost: shape_search.Cost


def load_config(config: str) -> config_lib.Config:
  """Returns a config.

  Args:
    config: the file, and optionally `=` and `config.data.path`.
  """
  file, _, path = config.partition("=")
  spec = importlib.util.spec_from_file_location("config", file)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  values = module.get_config()
  if path:
    values.data.path = path
  return config_lib.check(values)


def load_order(config: str, workdir: pathlib.Path) -> _Order:
  """Prepares the order of a config.

  Args:
    config: see `load_config`.
    workdir: the directory of the artifacts.
  """
  checked = load_config(config)
  owner = experiment.Experiment(checked, workdir)
  store, ids, start = owner.store, owner.order.ids, owner.start
  counted = flops.count_flops(start.arch, start.shapes, start.frozen_shapes)
  return _Order(
      layouts.Lengths(store.lengths[ids], store.loss_lengths[ids]),
      checked.train.batch_size,
      shape_search.cost_of(counted),
  )


def two_row_counts(order: _Order, shards: int) -> float:
  """Returns the padding of rows of one length in two numbers of rows."""
  tokens, size = order.lengths.tokens, order.batch_size
  length = layouts.round_up(int(tokens.max()), layouts.LENGTH_STEP)
  needed = np.array(
      [
          len(layouts.best_fit(tokens[i : i + size].tolist(), length))
          for i in range(0, len(tokens), size)
      ]
  )
  middle = np.sort(needed)[math.ceil(len(needed) / 2) - 1]
  smaller, larger = layouts.round_up(np.array([middle, needed.max()]), shards)
  slots = np.where(needed <= smaller, smaller, larger).sum() * length
  return 1 - tokens.sum() / slots


def measure(name: str, order: _Order) -> rich.table.Table:
  """Returns a table of padding by shards and limits of programs."""
  grid = rich.table.Table(
      title=f"{name}: {math.ceil(len(order.lengths.tokens) / order.batch_size)}"
      " steps"
  )
  for column in ("row shards", "before, 2 programs"):
    grid.add_column(column, justify="right")
  for limit in _LIMITS:
    grid.add_column(f"at most {limit}", justify="right")
  grid.add_column("programs", justify="right")
  grid.add_column("shapes")
  for shards in _SHARDS:
    planned = [
        layout_plan.plan(
            [order.lengths],
            order.batch_size,
            layouts.Split(shards),
            limit,
            order.cost,
        )
        for limit in _LIMITS
    ]
    shapes = [f"{s.rows} x {s.length:,}" for s in planned[-1].shapes]
    grid.add_row(
        str(shards),
        f"{two_row_counts(order, shards):.1%}",
        *(f"{plan.padding:.1%}" for plan in planned),
        str(len(shapes)),
        ", ".join(shapes),
    )
  return grid


def time_planning(order: _Order, shards: int) -> tuple[float, float, float]:
  """Returns wall and CPU seconds of planning many steps, and the padding."""
  repeated = np.arange(_MANY) % len(order.lengths.tokens)
  lengths = order.lengths.take(repeated)
  begin, cpu = time.perf_counter(), time.process_time()
  plan = layout_plan.plan(
      [lengths], order.batch_size, layouts.Split(shards), 8, order.cost
  )
  return (
      time.perf_counter() - begin,
      time.process_time() - cpu,
      plan.padding,
  )


def main() -> None:
  """Measures and prints the tables."""
  parser = argparse.ArgumentParser(description="Padding of configs.")
  parser.add_argument("configs", nargs="+", help="FILE or FILE=DATA_PATH.")
  parser.add_argument("--workdir", required=True, help="For the artifacts.")
  arguments = parser.parse_args()
  console = rich.console.Console(width=160)
  for config in arguments.configs:
    order = load_order(config, pathlib.Path(arguments.workdir))
    name = config.partition("=")[0]
    console.print(measure(name, order))
    for shards in _SHARDS:
      seconds, cpu, padding = time_planning(order, shards)
      console.print(
          f"{name}, repeated: {_MANY // order.batch_size:,} steps, {shards} row"
          f" shards: {seconds:.1f} s, {cpu:.1f} CPU s, {padding:.1%} padding"
      )


if __name__ == "__main__":
  main()
