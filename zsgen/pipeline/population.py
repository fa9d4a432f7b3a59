"""Several experiments of one shape, trained as one program."""

from collections.abc import Mapping, Sequence
import pathlib
from typing import Any

from zsgen.core import artifacts
from zsgen.core import mesh as mesh_lib
from zsgen.evals import together
from zsgen.pipeline import experiment
from zsgen.train import population


def train(made: Sequence[experiment.Experiment]) -> list[pathlib.Path]:
  """Trains experiments that are not finished; returns the runs of all.

  Checkpoints on the way are the population's, in populations/<hash> of the
  workdir; the same experiments go on from them.

  Args:
    made: experiments in one workdir; stages before training are run for each.

  Raises:
    InputError: they are not of one shape, or see `training.loop.train`.
  """
  due = [each for each in made if not each.finished()]
  if due:
    jobs = [each.job() for each in due]
    mesh = mesh_lib.make(due[0].config.machine.mesh)
    sharding = population.sharding(mesh, len(due))
    population.check(jobs)
    for each in due:
      each.begin()
    names = [each.path.name for each in due]
    path = due[0].workdir / "populations"
    made_by = {"members": names}
    path /= artifacts.name("population", made_by)
    _write_manifest(path, made_by)
    evaluators = zip(*(job.evaluators for job in jobs), strict=True)
    evaluate = [together.together(each, sharding) for each in evaluators]
    digests = population.train(population.Job(path, jobs, sharding, evaluate))
    for each, own in zip(due, digests, strict=True):
      each.end(own)
  return [each.path for each in made]


def _write_manifest(path: pathlib.Path, made_by: Mapping[str, Any]) -> None:
  """Writes the manifest of a population, by which its members are known."""
  if (path / artifacts.MANIFEST).exists():
    artifacts.check_made_by(path, made_by)
    return
  path.mkdir(parents=True, exist_ok=True)
  artifacts.write_manifest(path, {"kind": "population", "made_by": made_by})
