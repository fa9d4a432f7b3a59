"""The examples of an evaluation at every step, as an Arrow table."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from zsgen.data import store as store_lib
from zsgen.evals import api
from zsgen.reports import curves


def build(
    run: curves.RunRecords, store: store_lib.Store, name: str
) -> pa.Table:
  """Returns the table of an evaluation; see `run_tables.Run.evaluation`.

  Args:
    run: what the run wrote down.
    store: its store.
    name: an evaluation of its config.

  Raises:
    InputError: a file is damaged.
  """
  evaluation = run.evaluation(name)
  ids, times = evaluation.ids, len(evaluation.steps)
  predictions = _predictions(run, name, evaluation)
  is_written = predictions.null_count < len(predictions)
  prompts, answers = _texts(store, ids)
  columns: dict[str, Any] = {
      "step": np.repeat(evaluation.steps, len(ids)),
      "id": np.tile(ids, times),
  }
  if run.declaration(name).rows == api.CHOICES:
    columns["example"] = np.tile(examples_of(run, store, name, ids), times)
  tasks = [store.tasks[task] for task in store.task_index[ids]]
  return pa.table(
      {
          **columns,
          "task": _repeat(tasks, times),
          "score" if is_written else "loss": evaluation.losses.ravel(),
          "text": _repeat(prompts, times),
          "answer": _repeat(answers, times),
          "prediction": predictions,
      }
  )


def build_probe(run: curves.RunRecords, store: store_lib.Store) -> pa.Table:
  """Returns the table of the probe; see `run_tables.Run.probe`.

  Args:
    run: what the run wrote down.
    store: its store.

  Raises:
    InputError: the run has no probe, or a file is damaged.
  """
  evaluation = run.probe()
  ids, times = evaluation.ids, len(evaluation.steps)
  prompts, answers = _texts(store, ids)
  tasks = [store.tasks[task] for task in store.task_index[ids]]
  return pa.table(
      {
          "step": np.repeat(evaluation.steps, len(ids)),
          "id": np.tile(ids, times),
          "task": _repeat(tasks, times),
          "loss": evaluation.losses.ravel(),
          "consumed": count_consumed(run.consumed(), evaluation).ravel(),
          "text": _repeat(prompts, times),
          "answer": _repeat(answers, times),
      }
  )


def count_consumed(
    consumed: np.ndarray, evaluation: curves.Evaluation
) -> np.ndarray:
  """Returns how often examples were trained on before evaluations.

  Args:
    consumed: the ids of all steps, int64 [steps, B].
    evaluation: of E examples at n steps.

  Returns:
    int64 [n, E].
  """
  counts = np.zeros((len(consumed) + 1, len(evaluation.ids)), np.int64)
  steps, slots = np.nonzero(np.isin(consumed, evaluation.ids))
  rows = np.searchsorted(evaluation.ids, consumed[steps, slots])
  np.add.at(counts, (steps + 1, rows), 1)
  return counts.cumsum(axis=0)[np.minimum(evaluation.steps, len(consumed))]


def _predictions(
    run: curves.RunRecords, name: str, evaluation: curves.Evaluation
) -> pa.Array:
  """Returns what was written for each example at each step, [steps * E]."""
  written: list[str | None] = []
  for step in evaluation.steps:
    answers = run.predictions(name, int(step))
    written += [answers.get(int(i)) for i in evaluation.ids]
  return pa.array(written, pa.string())


def _texts(
    store: store_lib.Store, ids: np.ndarray
) -> tuple[list[str], list[str]]:
  """Returns the prompts and the answers of rows."""
  pairs = store.texts(ids)
  return [prompt for prompt, _ in pairs], [answer for _, answer in pairs]


def examples_of(
    run: curves.RunRecords, store: store_lib.Store, name: str, ids: np.ndarray
) -> np.ndarray:
  """Returns the examples that answers to choose from belong to, int64 [E]."""
  candidates = store.choices(run.config.evaluations[name].split)
  return candidates.examples[np.searchsorted(candidates.rows, ids)]


def _repeat(texts: Sequence[str], times: int) -> pa.Array:
  """Returns texts, [E], repeated [times * E]; each is stored once."""
  encoded = pa.array(texts, pa.string()).dictionary_encode()
  indices = np.tile(encoded.indices.to_numpy(), times)
  return pa.DictionaryArray.from_arrays(
      pa.array(indices, pa.int32()), encoded.dictionary
  )
