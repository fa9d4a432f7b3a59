"""Runs as Arrow tables, for people who analyse them (`zsgen.load_run`)."""

from collections.abc import Mapping
import dataclasses
import functools
import json
import pathlib
from typing import Any

import numpy as np
import pyarrow as pa

from zsgen.core import artifacts, errors
from zsgen.core import config as config_lib
from zsgen.data import store as store_lib
from zsgen.reports import certainty, curves, example_table, origins, trajectory
from zsgen.train import batches

# Columns of a provenance that every process has, or may have.
_PROCESS = {
    "date": pa.string(),
    "command": pa.string(),
    "commit": pa.string(),
    "is_modified": pa.bool_(),
    "device": pa.string(),
    "devices": pa.int64(),
    "hosts": pa.int64(),
}


@dataclasses.dataclass(frozen=True)
class Run:
  """A run, finished or not, as Arrow tables.

  `run.metrics.to_pandas()` makes a data frame of a table. Tables are read when
  they are first used, and then kept: of a run that is training, open it again
  for what came later.

  Attributes:
    records: what the tables are made from; `records.config` is the config as
      an object, which `zsgen.run` takes.
  """

  records: curves.RunRecords

  @property
  def path(self) -> pathlib.Path:
    """The directory."""
    return self.records.path

  @property
  def steps(self) -> int:
    """Steps of the whole run."""
    return self.records.steps

  @property
  def is_finished(self) -> bool:
    """Whether the run had ended when it was opened."""
    return not self.records.may_grow

  @property
  def evaluations(self) -> list[str]:
    """Names of its evaluations."""
    return list(self.records.config.evaluations)

  @functools.cached_property
  def metrics(self) -> pa.Table:
    """`step`, and a column for each metric; null where it was not measured."""
    return _by_step(self.records.metrics)

  @functools.cached_property
  def tasks(self) -> pa.Table:
    """`evaluation`, `task`, `metric`, `step` and `value` of each task.

    Evaluations of more than 1,000 tasks report no task; take the mean of
    `evaluation` by task.
    """
    parts = [
        _task_table(name, task, metric.name, curve)
        for name in self.evaluations
        for metric in self.records.declaration(name).metrics
        if metric.by_task
        for task, curve in self.records.tasks(name, metric.name).items()
    ]
    return pa.concat_tables([_TASKS.empty_table(), *parts]).combine_chunks()

  @functools.cached_property
  def intervals(self) -> pa.Table:
    """The mean of each evaluation at each step, with its 95% interval.

    `evaluation`, `metric`, `unit`, `step` and `value`; `low` and `high`, by
    bootstrap over the held-out examples; and, for accuracies, `chance` and
    `majority`, what they are without a model (null where that has no meaning).
    """
    return certainty.table(self.records)

  def evaluation(self, name: str) -> pa.Table:
    """Returns every example of an evaluation at every step, in the order of steps.

    Args:
      name: of the evaluation, such as "heldout".

    Returns:
      `step`; `id`; `example`, whose answer to choose from the row is, only if
      the evaluation reads such rows; `task`; `loss`, or `score` if answers were
      written; `text`, the prompt; `answer`, the reference; and `prediction`,
      what was written, or null.

    Raises:
      InputError: the run has no such evaluation, or files are damaged.
    """
    errors.choose(
        self.records.config.evaluations, name, f"{self.path}: evaluation"
    )
    return example_table.build(self.records, self._store, name)

  @functools.cached_property
  def probe(self) -> pa.Table:
    """Every example of `config.probe` at every evaluation, in the order of steps.

    `step`; `id`; `task`; `loss`, by the parameters before that step; `consumed`,
    how often it had been trained on by then; `text`, the prompt; `answer`.

    Raises:
      InputError: the run has no probe, or files are damaged.
    """
    return example_table.build_probe(self.records, self._store)

  @functools.cached_property
  def trajectory(self) -> trajectory.Trajectory:
    """What each step consumed, and all losses; see `trajectory.Trajectory`."""
    return trajectory.build(self.records, self._store)

  @functools.cached_property
  def order(self) -> pa.Table:
    """`step` and the columns of order.parquet: the examples to train on.

    The order of a fork is that of its own steps; `consumed` has all steps. Of an
    order that is arranged anew, it has the segments that there are.
    """
    table = self.records.load_order().table
    steps = np.arange(len(table)) // self.records.batch_size
    steps += self.records.first_of_order
    return table.add_column(0, "step", pa.array(steps, pa.int64()))

  @functools.cached_property
  def config(self) -> pa.Table:
    """`option`, such as "train.learning_rate", and `value` as JSON."""
    options = origins.flatten(config_lib.to_dict(self.records.config))
    values = [json.dumps(value) for value in options.values()]
    return pa.table({"option": list(options), "value": values})

  @functools.cached_property
  def provenance(self) -> pa.Table:
    """The processes that made store and order, and that trained the run.

    A row for each process: `artifact` ("store", "order", "run"), `date` (UTC),
    `command`, `commit` and `is_modified`, `device` and the number of `devices`
    and `hosts`, `mesh` as JSON, and a column for the version of each library.
    """
    paths = {
        "store": self.records.store,
        "order": self.records.order,
        "run": self.path,
    }
    processes = [
        {"artifact": kind, **process}
        for kind, path in paths.items()
        if artifacts.exists(path)
        for process in artifacts.read_provenance(path)
    ]
    return _process_table(processes)

  @functools.cached_property
  def consumed(self) -> pa.Table:
    """`step`, `position` in the batch and `id` of what was trained on."""
    ids = self.records.consumed()
    steps, positions = np.nonzero(ids != batches.NO_EXAMPLE)
    return pa.table(
        {
            "step": steps,
            "position": positions,
            "id": np.asarray(ids[steps, positions]),
        }
    )

  @functools.cached_property
  def _store(self) -> store_lib.Store:
    return store_lib.open_store(self.records.store)


_TASKS = pa.schema(
    {
        "evaluation": pa.string(),
        "task": pa.string(),
        "metric": pa.string(),
        "step": pa.int64(),
        "value": pa.float64(),
    }
)


def load(path: pathlib.Path) -> Run:
  """Opens a run, finished or not.

  Raises:
    InputError: there is no run, or the records of a finished run are damaged.
  """
  return Run(curves.open_run(path, may_grow=True))


def _by_step(by_metric: Mapping[str, curves.Curve]) -> pa.Table:
  """Returns metrics as columns of one table, with a row for each step."""
  empty = np.zeros(0, np.int64)
  all_steps = [curve.steps for curve in by_metric.values()]
  steps = np.unique(np.concatenate([empty, *all_steps]))
  columns: dict[str, Any] = {"step": steps}
  for metric, curve in by_metric.items():
    rows = np.searchsorted(steps, curve.steps)
    values, is_missing = np.zeros(len(steps)), np.ones(len(steps), bool)
    values[rows], is_missing[rows] = curve.values, False
    columns[metric] = pa.array(values, mask=is_missing)
  return pa.table(columns)


def _task_table(
    evaluation: str, task: str, metric: str, curve: curves.Curve
) -> pa.Table:
  """Returns the rows of one task's curve."""
  count = len(curve.steps)
  columns = {
      "evaluation": [evaluation] * count,
      "task": [task] * count,
      "metric": [metric] * count,
      "step": curve.steps,
      "value": curve.values,
  }
  return pa.table(columns, schema=_TASKS)


def _process_table(processes: list[dict[str, Any]]) -> pa.Table:
  """Returns what `artifacts.read_provenance` returned as a table."""
  libraries = sorted({name for row in processes for name in row["versions"]})
  columns = {
      "artifact": pa.array([row["artifact"] for row in processes], pa.string()),
      **{
          name: pa.array([row.get(name) for row in processes], kind)
          for name, kind in _PROCESS.items()
      },
      "mesh": pa.array(
          [
              json.dumps(row["mesh"]) if "mesh" in row else None
              for row in processes
          ],
          pa.string(),
      ),
      **{
          name: pa.array(
              [row["versions"].get(name) for row in processes], pa.string()
          )
          for name in libraries
      },
  }
  return pa.table(columns)
