"""The stage evaluate: what parameters show without training."""

from collections.abc import Iterator, Mapping
import contextlib
import functools
import os
import pathlib
import tempfile
from typing import Any

from zsgen.core import artifacts, hosts
from zsgen.core import config as config_lib
from zsgen.core import mesh as mesh_lib
from zsgen.evals import once
from zsgen.pipeline import checks, evaluators
from zsgen.pipeline.experiment import Experiment
from zsgen.reports import evaluation_table
from zsgen.train import finite, trees


def evaluate(experiment: Experiment) -> pathlib.Path:
  """Evaluates the parameters that `config.model.init` names.

  Returns:
    The directory of the results, which is kept if it is there already.

  Raises:
    InputError: the parameters or the store are damaged, or a loss is not
      finite.
  """
  config, store, start = experiment.config, experiment.store, experiment.start
  science = config_lib.science(config)
  del science["model"]["init"]
  recipe = {
      "seed": config.init_seed,  # Draws new parameters.
      "model": science["model"],
      **start.recipe(),
      **once.recipe(config.evals, store),
  }
  # Each process reads the weights, and what they bring along, by itself.
  hosts.agree("weights", {"evaluation": recipe})
  root = experiment.workdir / "evaluations"
  path = root / artifacts.name(config.name, recipe)
  if not hosts.broadcast("evaluation", artifacts.exists(path)):
    _compute(experiment, path, recipe)
  hosts.wait("the evaluation")
  hosts.await_file(path)
  manifest = artifacts.check_made_by(path, recipe)
  artifacts.check_files(path, manifest["files"])
  for grid in evaluation_table.grids_of(path, config, store.path):
    experiment.console.show(grid)
  experiment.console.log(f"evaluate {path}")
  return path


def _compute(
    experiment: Experiment, path: pathlib.Path, recipe: Mapping[str, Any]
) -> None:
  """Computes all evaluations, and writes them to `path`."""
  config, store, start = experiment.config, experiment.store, experiment.start
  mesh = mesh_lib.make(config.machine.mesh)
  evaluations = evaluators.make(experiment, mesh)
  ids = [evaluator.ids for evaluator in evaluations]
  checks.check_lengths(config, store, ids)
  experiment.console.log(f"evaluate {start.description}")
  params = start.load_all(mesh, config.machine.mesh.rules)
  advise = functools.partial(_advise, experiment, params)
  with _writing(path) as directory:
    once.write(directory, evaluations, params, store, advise)
    evaluation_table.write_intervals(directory, config, store.path)
    artifacts.write_json(directory / "config.json", config_lib.to_dict(config))
    manifest = {
        "kind": "evaluation",
        "made_by": recipe,
        "store": os.path.relpath(store.path, path),
    }
    artifacts.write_manifest(directory, manifest, mesh.shape)


def _advise(experiment: Experiment, params: trees.Params) -> str:
  """Returns what to do about a loss that is not finite."""
  beginning = finite.look_at(params, experiment.start.description)
  return finite.explain(beginning, experiment.config.model)


@contextlib.contextmanager
def _writing(path: pathlib.Path) -> Iterator[pathlib.Path]:
  """Yields a directory that becomes `path` in process 0 only."""
  if hosts.is_first():
    with artifacts.writing(path) as directory:
      yield directory
  else:
    with tempfile.TemporaryDirectory() as scratch:
      yield pathlib.Path(scratch)
