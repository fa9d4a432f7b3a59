"""Evaluations, in the loop and without one.

`api` has what an evaluator is; each evaluator is one file, registered by the
`type` that selects it in `config.evals`.
"""

from typing import Any

import numpy as np

from zsgen.core import config, plugins, registry
from zsgen.evals import api

__all__ = [
    "baselines",
    "declaration",
    "example_values",
    "make",
    "names",
    "science",
]

_KIND = "evaluator"


def names() -> tuple[str, ...]:
  """Returns the types of evaluations, in alphabetical order."""
  return registry.names(_KIND)


def declaration(spec: config.Eval) -> api.Declaration:
  """Returns what the evaluator of an evaluation declares.

  Raises:
    InputError: there is no such type.
  """
  return _component(spec).build.declaration


def science(spec: config.Eval) -> dict[str, Any]:
  """Returns what of an evaluation its results depend on.

  That is its options, the version and the identity of its evaluator and, if a
  plug-in registers it, the digest of the plug-in's source.
  """
  evaluator = _component(spec).build
  version = evaluator.declaration.version
  return {
      **config.science(spec),
      **({"version": version} if version else {}),
      **evaluator.identity(spec),
      **plugins.fingerprint(_KIND, spec.type),
  }


def example_values(
    spec: config.Eval,
    ids: np.ndarray,
    losses: np.ndarray,
    open_store: api.OpenStore,
) -> api.Values:
  """Returns the values of each example; see `api.Evaluator.example_values`."""
  return _component(spec).build.example_values(ids, losses, open_store)


def baselines(
    spec: config.Eval, ids: np.ndarray, open_store: api.OpenStore
) -> dict[str, api.Baseline]:
  """Returns accuracies without a model; see `api.Evaluator.baselines`."""
  return _component(spec).build.baselines(ids, open_store)


def make(name: str, spec: config.Eval, context: api.Context) -> api.Evaluator:
  """Returns the evaluator that the config names; it computes nothing yet.

  Args:
    name: the first part of the paths of its metrics.
    spec: its options.
    context: what it reads, and where it computes.

  Raises:
    InputError: there is no such held-out set, or it lacks what is evaluated.
  """
  return _component(spec).build(name, spec, context)


def _component(spec: config.Eval) -> registry.Component:
  return registry.component(_KIND, spec.type, "config.evals")
