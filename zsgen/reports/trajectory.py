"""The trajectory of a run as tables, for attribution of what it learned.

`steps` says what each step consumed, `losses` what the parameters before a step
made of held-out and of probe examples, and `examples` what these examples are.
"""

from collections.abc import Iterator
import pathlib
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from zsgen.core import artifacts, errors, software, texts
from zsgen.core import config as config_lib
from zsgen.data import store as store_lib
from zsgen.orders import order as order_lib
from zsgen.orders import text_hashes
from zsgen.reports import curves
from zsgen.train import batches, lineage

CARD = "README.md"
_LOSSES = pa.schema(
    {
        "step": pa.int64(),
        "evaluation": pa.string(),
        "id": pa.int64(),
        "loss": pa.float32(),
    }
)


class Trajectory(NamedTuple):
  """What happened in a run, step by step.

  Attributes:
    steps: `step`; `ids`, the examples that it consumed, in the sequence of the
      batch; `loss`, its training loss (nats); `learning_rate`. A row for each
      step that is recorded.
    losses: `step`; `evaluation`, "probe" for examples of the probe; `id`;
      `loss` (nats), by the parameters before that step: those that `step` steps
      have made. A row for each example and evaluation.
    examples: `id`, `task`, `split`, `tokens`, `loss_tokens`, `text_hash`
      (SHA-256), `key` (the publisher's), of all ids in the other tables.
  """

  steps: pa.Table
  losses: pa.Table
  examples: pa.Table


def build(run: curves.RunRecords, store: store_lib.Store) -> Trajectory:
  """Returns the trajectory of a run, finished or not.

  Args:
    run: what it wrote down.
    store: its store.

  Raises:
    InputError: a record is damaged.
  """
  steps = _steps(run)
  losses = _losses(run)
  ids = [steps["ids"].combine_chunks().flatten(), losses["id"]]
  known = np.unique(np.concatenate([column.to_numpy() for column in ids]))
  return Trajectory(steps, losses, _examples(store, known))


def write(path: pathlib.Path, out: pathlib.Path) -> None:
  """Writes the trajectory of a run as Parquet files, with a card.

  Args:
    path: the run's directory.
    out: the new directory.

  Raises:
    InputError: the run is damaged, or the directory exists or cannot be
      written.
  """
  if out.exists():
    raise errors.InputError(
        f"{out}: exists already. Name a new directory, or delete this one."
    )
  run = curves.open_run(path, may_grow=True)
  store = store_lib.open_store(run.store)
  trajectory = build(run, store)
  try:
    with artifacts.writing(out) as partial:
      for name, table in trajectory._asdict().items():
        pq.write_table(table, partial / f"{name}.parquet")
      card = _card(run, store, trajectory)
      artifacts.write_bytes(partial / CARD, card.encode())
  except OSError as error:
    raise errors.InputError(
        f"{out}: cannot be written ({error}). Name another directory."
    ) from error


def _steps(run: curves.RunRecords) -> pa.Table:
  """Returns the table of the steps; see `Trajectory`."""
  consumed = run.consumed()
  is_example = consumed != batches.NO_EXAMPLE
  recorded = np.flatnonzero(is_example.any(axis=1))
  ids = [consumed[step][is_example[step]] for step in recorded]
  columns: dict[str, Any] = {
      "step": pa.array(recorded, pa.int64()),
      "ids": pa.array(ids, pa.list_(pa.int64())),
  }
  for name in ("loss", "learning_rate"):
    curve = run.metrics.get(f"train/{name}")
    values = dict(zip(*map(list, curve), strict=True)) if curve else {}
    column = [values.get(step) for step in recorded]
    columns[name] = pa.array(column, pa.float64())
  return pa.table(columns)


def _losses(run: curves.RunRecords) -> pa.Table:
  """Returns the table of the losses; see `Trajectory`."""
  tables = [_LOSSES.empty_table()]
  for name, evaluation in _evaluations(run):
    count = len(evaluation.ids)
    tables.append(
        pa.table(
            {
                "step": np.repeat(evaluation.steps, count),
                "evaluation": pa.repeat(name, evaluation.losses.size),
                "id": np.tile(evaluation.ids, len(evaluation.steps)),
                "loss": evaluation.losses.astype(np.float32).ravel(),
            },
            schema=_LOSSES,
        )
    )
  return pa.concat_tables(tables).combine_chunks()


def _evaluations(
    run: curves.RunRecords,
) -> Iterator[tuple[str, curves.Evaluation]]:
  """Yields the evaluations of losses, and the probe if there is one."""
  for name in run.config.evaluations:
    if run.declaration(name).headline.unit == "nats":
      yield name, run.evaluation(name)
  if run.config.probe.examples:
    yield config_lib.PROBE, run.evaluation(config_lib.PROBE)


def _examples(store: store_lib.Store, ids: np.ndarray) -> pa.Table:
  """Returns the table of the examples; see `Trajectory`."""
  tasks = store.task_index[ids]
  splits = np.empty(len(ids), object)
  for split in ("train", *store.manifest["heldout"]):
    splits[np.isin(tasks, store.split_tasks(split))] = split
  return pa.table(
      {
          "id": ids,
          "task": pa.array([store.tasks[task] for task in tasks], pa.string()),
          "split": pa.array(splits, pa.string()),
          "tokens": store.lengths[ids],
          "loss_tokens": store.loss_lengths[ids],
          "text_hash": pa.array(text_hashes.compute(store, ids), pa.string()),
          "key": pa.array(store.keys(ids), pa.string()),
      }
  )


def _card(
    run: curves.RunRecords, store: store_lib.Store, trajectory: Trajectory
) -> str:
  """Returns the text of README.md."""
  manifest = artifacts.read_manifest(run.path, "run")
  order = order_lib.Order.load(run.order)
  segments = lineage.find_segments(run.path, manifest, order)
  facts = {
      "run": run.path.name,
      "identity of the run": artifacts.digest(manifest["made_by"]),
      "steps": f"{len(trajectory.steps)} of {run.steps} recorded",
      "examples of a step": run.batch_size,
      "store": store.fingerprint,
      "order": order.fingerprint,
      **{
          f"order from step {segment.step} on": segment.fingerprint
          for segment in segments
      },
      **software.versions(),
  }
  lines = [
      f"| {name} | {texts.escape_markdown(str(fact))} |"
      for name, fact in facts.items()
  ]
  table = "\n".join(["| | |", "| --- | --- |", *lines])
  title = texts.escape_markdown(run.path.name)
  return _CARD.format(name=title, facts=table)


_CARD = """# Trajectory of {name}

{facts}

| file | a row for each | columns |
| --- | --- | --- |
| steps.parquet | step | `step`; `ids` of the examples that it consumed; `loss`, its training loss; `learning_rate` |
| losses.parquet | example and evaluation | `step`; `evaluation`; `id`; `loss` by the parameters before that step |
| examples.parquet | example | `id`, `task`, `split`, `tokens`, `loss_tokens`, `text_hash`, `key` |

Losses are means over the tokens of the answer, in nats. A loss at step s is one
of the parameters that steps 0 to s - 1 have made: step s changes it into that
at step s + 1. Rows of the evaluation `probe` are training examples.
"""
