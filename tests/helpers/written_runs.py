"""Runs and sweeps as training leaves them, with losses that tests choose."""

from collections.abc import Callable, Mapping, Sequence
import os
import pathlib

import ml_collections
import numpy as np

from zsgen.core import artifacts
from zsgen.core import config as config_lib
from zsgen.data import prepare
from zsgen.orders import order as order_lib
from zsgen.reports import curves, notes
from zsgen.train import records

# Loss of example `index` at `step`.
Losses = Callable[[int, int], float]


def falling(step: int, index: int) -> float:
  """Falls from 3 + index / 10 to about 1."""
  return 1 + (2 + index / 10) * float(np.exp(-step / 4))


def run_writer(
    root: pathlib.Path, small: ml_collections.ConfigDict
) -> Callable[..., curves.RunRecords]:
  """Returns a function that writes a run of the synthetic suite.

  Args:
    root: the workdir.
    small: its options but for those that the function sets.
  """

  def write(
      losses: Losses = falling,
      seed: int = 0,
      order: Mapping[str, str] | None = None,
      name: str = "small",
      targets: Mapping[str, Mapping] | None = None,
      prompt: str = "plain",
      max_length: int = 2048,
  ) -> curves.RunRecords:
    small.name, small.seed = name, seed
    small.data.prompt, small.data.max_length = prompt, max_length
    small.order.update(order or {})
    small.targets = targets or {}
    small.evals.heldout.every_steps = 1
    return _write(root, config_lib.check(small), losses)

  return write


def sweep_writer(
    root: pathlib.Path, write_run: Callable[..., curves.RunRecords]
) -> Callable[..., pathlib.Path]:
  """Returns a function that writes a sweep of `configs/arrangement`.

  Args:
    root: the workdir.
    write_run: writes a run to it.
  """

  def write(
      name: str = "arrangement_granularity_smoke",
      seeds: Sequence[int] = (0, 1),
      arms: Sequence[str] = ("fine", "coarse"),
  ) -> pathlib.Path:
    directory = root / "sweeps" / f"{name}-0123456789"
    points = {f"{arm}-s{s}": (arm, s) for arm in arms for s in seeds}
    notes.write_sweep(directory, notes.Sweep(name, points))
    for number, (point, (arm, seed)) in enumerate(points.items()):
      granularity = "task" if arm == "coarse" else "instance"
      run = write_run(
          lambda step, index, n=number: (4 + n) / (1 + step),
          seed=seed,
          order={"arrangement": "similarity", "granularity": granularity},
          name=f"{name}_{arm}",
      )
      (run.path / "result.json").write_text("{}")
      path = os.path.relpath(run.path, root)
      notes.write_run(directory / "points" / f"{point}.json", path)
    return directory

  return write


def _write(
    root: pathlib.Path, config: config_lib.Config, losses: Losses
) -> curves.RunRecords:
  store = prepare.prepare(root / "stores", config.data, config.seed)
  order = order_lib.make(root, store, config.order, config.seed)
  path = root / "runs" / f"{config.name}-{config.seed}"
  path.mkdir(parents=True)
  size = config.train.batch_size
  steps = len(order) // size
  recipe = {"order": order.fingerprint}
  owner = artifacts.digest(recipe)
  artifacts.write_sealed(
      path / "config.json", config_lib.to_dict(config), owner
  )
  manifest = {
      "kind": "run",
      "made_by": recipe,
      "store": os.path.relpath(store.path, path),
      "order": os.path.relpath(order.path, path),
      "batch_size": size,
      "steps": steps,
  }
  artifacts.write_manifest(path, manifest)
  ids = store.split_ids("heldout")
  eval_steps = range(steps + 1)
  record = records.Records(
      path, size, steps, {"heldout": (eval_steps, ids)}, {}, 0, False
  )
  for step in eval_steps:
    values = np.array([losses(step, i) for i in range(len(ids))], np.float32)
    record.evaluated("heldout", step, values)
    record.metrics({"step": step, **_metrics(store, ids, values)})
    record.perf({"step": step, "perf/heldout_seconds": 0.5})
    if step < steps:
      record.metrics(
          {
              "step": step,
              "train/loss": losses(step, 0),
              "train/grad_norm": 1.0,
          }
      )
      record.perf(
          {
              "step": step,
              "perf/step_seconds": 0.5,
              "perf/tokens_per_second": 1000.0,
          }
      )
  record.close()
  return curves.open_run(path)


def _metrics(store, ids, losses):
  tasks = store.task_index[ids]
  by_task = {
      store.tasks[task]: float(losses[tasks == task].mean())
      for task in np.unique(tasks)
  }
  return {
      "heldout/loss": float(losses.mean()),
      "heldout/task_mean_loss": float(np.mean(list(by_task.values()))),
      **{f"heldout/{task}/loss": loss for task, loss in by_task.items()},
  }
