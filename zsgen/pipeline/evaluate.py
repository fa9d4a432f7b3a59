"""The stage evaluate: what parameters show without training."""

from collections.abc import Iterator
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
from zsgen.pipeline import experiment
from zsgen.reports import evaluation_table, grids
from zsgen.train import finite


def evaluate(made: experiment.Experiment) -> pathlib.Path:
  """All evaluations of the parameters that `config.model.init` names."""
  config, store = made.config, made.store
  science = config_lib.science(config)
  del science["model"]["init"]
  made_by = {
      "seed": config.seed,  # Draws new parameters.
      "model": science["model"],
      **made.weights(),
      **once.made_by(config.evals, store),
  }
  # Each process reads the weights, and what they bring along, by itself.
  hosts.agree("weights", {"evaluation": made_by})
  root = made.workdir / "evaluations"
  path = root / artifacts.name(config.name, made_by)
  if not hosts.broadcast("evaluation", path.exists()):
    mesh = mesh_lib.make(config.machine.mesh)
    evaluators = made.evaluators(mesh)
    made.check_longest([each.ids for each in evaluators])
    made.say(f"evaluate {made.start.said}")
    params = made.start.load_all(mesh, config.machine.mesh.rules)
    advise = functools.partial(_advise, made, params)
    with _writing(path) as beside:
      once.write(beside, evaluators, params, store, advise)
      artifacts.write_json(beside / "config.json", config_lib.to_dict(config))
      manifest = {
          "kind": "evaluation",
          "made_by": made_by,
          "store": os.path.relpath(store.path, path),
          "files": artifacts.describe_files(beside),
      }
      artifacts.write_manifest(beside, manifest)
  hosts.wait("the evaluation")
  hosts.await_file(path)
  manifest = artifacts.check_made_by(path, made_by)
  artifacts.check_files(path, manifest["files"])
  table = evaluation_table.grid(path, config)
  made.console.print(grids.to_rich(table))
  made.say(f"evaluate {path}")
  return path


def _advise(made: experiment.Experiment, params: Any) -> str:
  """What to do about parameters that give a loss that is not finite."""
  beginning = finite.look_at(params, made.start.said)
  return finite.explain(beginning, made.config.model)


@contextlib.contextmanager
def _writing(path: pathlib.Path) -> Iterator[pathlib.Path]:
  """What process 0 writes becomes `path`; the others' is thrown away."""
  if hosts.is_first():
    with artifacts.writing(path) as beside:
      yield beside
  else:
    with tempfile.TemporaryDirectory() as nothing:
      yield pathlib.Path(nothing)
