"""Several experiments of one shape, trained as one program."""

from collections.abc import Sequence
import pathlib

from zsgen import artifacts
from zsgen import mesh as mesh_lib
from zsgen.evals import together
from zsgen.pipeline import experiment
from zsgen.training import population


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
    path /= artifacts.name("population", {"members": names})
    evaluators = zip(*(job.evaluators for job in jobs), strict=True)
    evaluate = [together.together(each, sharding) for each in evaluators]
    digests = population.train(population.Job(path, jobs, sharding, evaluate))
    for each, own in zip(due, digests, strict=True):
      each.end(own)
  return [each.path for each in made]
