"""Cost of an example's vector by `hidden` and `gradient`, and of training on it.

  python -m benchmarks.features
  python -m benchmarks.features configs/niv2.py=CLONE --examples=64

Prepares the store of a config (CLONE is its `config.data.path`), and reads the
first training examples with the parameters that the config starts from. The
peer is the training step on the same examples. Everything runs once to compile,
and then `--repeat` times in turn; the table has the fastest.
"""

import argparse
from collections.abc import Callable
import pathlib
import tempfile
import time
from typing import NamedTuple

import jax
import numpy as np
import rich.console
import rich.table

from benchmarks import padding
from zsgen.data import suite
from zsgen.orders.embedders import by_model, gradient, hidden
from zsgen.pipeline import experiment as experiment_lib
from zsgen.pipeline import features
from zsgen.train import batches, layouts, optimizer
from zsgen.train import program as program_lib

_PARAMETERS = {"all parameters": ".*", "mlp/down": r".*/mlp/down/kernel"}


class _Case(NamedTuple):
  """What is measured, and the number of elements of its result."""

  name: str
  run: Callable[[], object]
  size: str


def _train(
    owner: experiment_lib.Experiment, loaded: by_model.Loaded, ids: np.ndarray
) -> Callable[[], object]:
  """Returns what takes training steps on examples, in one shape."""
  config, store = owner.config, owner.store
  program = program_lib.make(config, owner.start, loaded.mesh)
  size = config.train.batch_size
  split = layouts.split_on(loaded.mesh)
  sizes = layouts.Lengths(store.lengths[ids], store.loss_lengths[ids])
  rows, length = layouts.largest(sizes.tokens, size, split)
  steps = [slice(i, i + size) for i in range(0, len(ids), size)]
  loss = max(
      layouts.loss_positions(sizes.take(step), rows, length, split)
      for step in steps
  )
  shape = layouts.shape_for(rows, length, split, loss)
  feed = batches.store_feed(store, ids, size)
  hyper = optimizer.hyper_at(config.train, 0, len(steps))

  def run() -> object:
    """Takes the steps, beginning with a copy of the parameters."""
    state = program.init(jax.tree.map(lambda leaf: leaf + 0, loaded.trained))
    metrics = None
    for step in range(len(steps)):
      batch = program.put(layouts.lay_out(feed(step), shape, split))
      state, metrics = program.step(state, loaded.frozen, batch, hyper)
    return jax.block_until_ready(metrics)

  return run


def _cases(
    owner: experiment_lib.Experiment, ids: np.ndarray, dims: list[int]
) -> list[_Case]:
  """Returns what is measured; the training step comes first."""
  models = features.make_models(owner.config, owner.start)
  store, dtype = owner.store, owner.config.model.dtype
  loaded = models.load("", dtype, False)
  cases = [
      _Case("training step", _train(owner, loaded, ids), ""),
      _Case("hidden", lambda: hidden.compute(loaded, store, ids), ""),
  ]
  for name, pattern in _PARAMETERS.items():
    for dim in dims:
      options = gradient.Options(gradient_parameters=pattern, gradient_dim=dim)
      cases.append(
          _Case(
              f"gradient, {name}",
              lambda options=options: gradient.compute(
                  loaded, store, ids, options
              ),
              f"{dim:,}",
          )
      )
  return cases


def measure(cases: list[_Case], repeat: int) -> list[float]:
  """Returns the seconds of each case, the fewest of all repetitions."""
  seconds = [np.inf] * len(cases)
  for case in cases:
    case.run()
  for _ in range(repeat):
    for number, case in enumerate(cases):
      begin = time.perf_counter()
      case.run()
      seconds[number] = min(seconds[number], time.perf_counter() - begin)
  return seconds


def main() -> None:
  """Prints the table."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("config", nargs="?", default="configs/tmt.py")
  parser.add_argument("--examples", type=int, default=256)
  parser.add_argument("--dims", type=int, nargs="+", default=[256, 1024])
  parser.add_argument("--repeat", type=int, default=3)
  arguments = parser.parse_args()
  config = padding.load_config(arguments.config)
  console = rich.console.Console()
  with tempfile.TemporaryDirectory() as workdir:
    owner = experiment_lib.Experiment(config, pathlib.Path(workdir), console)
    ids = owner.store.split_ids(suite.TRAIN)[: arguments.examples]
    cases = _cases(owner, ids, arguments.dims)
    seconds = measure(cases, arguments.repeat)
  table = rich.table.Table("vector", "dimensions", "ms an example", "steps")
  for case, value in zip(cases, seconds, strict=True):
    cost = f"{1000 * value / len(ids):.2f}"
    table.add_row(case.name, case.size, cost, f"{value / seconds[0]:.2f}")
  console.print(table)


if __name__ == "__main__":
  main()
