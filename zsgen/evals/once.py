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

METRICS, COUNTS = "metrics.json", "counts.json"


def made_by(
    specs: Mapping[str, config.Eval], store: store_lib.Store
) -> dict[str, Any]:
  """What of store and evaluations decides the metrics of parameters."""
  science = {name: evals.science(spec) for name, spec in specs.items()}
  for each in science.values():
    del each["every_steps"]  # There are none.
  return {"store": store.fingerprint, "evals": science}


def write(
    path: pathlib.Path,
    evaluators: Sequence[api.Evaluator],
    params: Any,
    store: store_lib.Store,
    advise: Callable[[], str],
) -> None:
  """Evaluates parameters, and writes what was found.

  Writes metrics.json; counts.json, of each evaluation its `tasks`, its
  `examples`, and `of` how many; and as a run does with one evaluation,
  evals/<name>/loss.npy [1, E] and ids.npy.

  Args:
    path: a directory that is there.
    evaluators: of the same store.
    params: parameters, on the mesh.
    store: where the examples are.
    advise: returns what to do about a loss that is not finite.

  Raises:
    InputError: a loss that is not finite.
  """
  metrics, counts = {}, {}
  for each in evaluators:
    found = each(params)
    watch.check_finite(each, found, "before any training", advise)
    metrics |= found.metrics
    counts[each.name] = {
        "tasks": len(np.unique(store.task_index[each.examples])),
        "examples": len(each.examples),
        "of": each.of,
    }
    directory = path / "evals" / each.name
    directory.mkdir(parents=True)
    np.save(directory / "loss.npy", found.losses[None])
    np.save(directory / "ids.npy", each.ids)
    if found.predictions:
      lines = records.prediction_lines(found.predictions)
      artifacts.write_bytes(directory / "predictions.jsonl", lines)
  artifacts.write_json(path / METRICS, metrics)
  artifacts.write_json(path / COUNTS, counts)
