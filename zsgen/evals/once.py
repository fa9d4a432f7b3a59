"""Evaluations of parameters as they are, without training."""

from collections.abc import Callable, Mapping, Sequence
import pathlib
from typing import Any

import numpy as np

from zsgen import evals
from zsgen.core import artifacts, config
from zsgen.data import store as store_lib
from zsgen.evals import api
from zsgen.train import records, watch

METRICS, COUNTS, DETAILS = "metrics.json", "counts.json", "details.json"


def recipe(
    specs: Mapping[str, config.Eval], store: store_lib.Store
) -> dict[str, Any]:
  """Returns what of store and evaluations decides the metrics."""
  science = {name: evals.science(spec) for name, spec in specs.items()}
  for spec_values in science.values():
    del spec_values["every_steps"]  # It is done once.
  return {"store": store.fingerprint, "evals": science}


def write(
    path: pathlib.Path,
    evaluators: Sequence[api.Evaluator],
    params: Any,
    store: store_lib.Store,
    advise: Callable[[], str],
) -> None:
  """Evaluates parameters, and writes the results.

  Writes metrics.json; counts.json, of each evaluation its `tasks`, its
  `examples`, and `of` how many; and as a run does with one evaluation,
  evals/<name>/loss.npy [1, E] and ids.npy. What an evaluator adds is in
  evals/<name>/details.json.

  Args:
    path: an existing directory.
    evaluators: of the same store.
    params: parameters, on the mesh.
    store: where the examples are.
    advise: returns what to do about a loss that is not finite.

  Raises:
    InputError: a loss that is not finite.
  """
  metrics, counts = {}, {}
  for evaluator in evaluators:
    evaluation = evaluator(params)
    watch.check_finite(evaluator, evaluation, "before any training", advise)
    metrics |= evaluation.metrics
    counts[evaluator.name] = evaluation.details.get("counts") or {
        "tasks": len(np.unique(store.task_index[evaluator.examples])),
        "examples": len(evaluator.examples),
        "of": evaluator.split_size,
    }
    directory = path / "evals" / evaluator.name
    directory.mkdir(parents=True)
    np.save(directory / "loss.npy", evaluation.losses[None])
    np.save(directory / "ids.npy", evaluator.ids)
    if evaluation.predictions:
      lines = records.prediction_lines(evaluation.predictions)
      artifacts.write_bytes(directory / "predictions.jsonl", lines)
    if evaluation.details:
      artifacts.write_json(directory / DETAILS, dict(evaluation.details))
  artifacts.write_json(path / METRICS, metrics)
  artifacts.write_json(path / COUNTS, counts)
