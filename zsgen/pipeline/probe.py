"""Draws the examples of `config.probe`, and when they are evaluated."""

import jax
import numpy as np

from zsgen.core import artifacts, errors
from zsgen.core import config as config_lib
from zsgen.data import suite
from zsgen.evals import probe
from zsgen.orders.arrangements import arranged
from zsgen.pipeline import contexts
from zsgen.pipeline.experiment import Experiment
from zsgen.train import batches


def make(
    experiment: Experiment, ids: np.ndarray, mesh: jax.sharding.Mesh
) -> list[probe.Probe]:
  """Returns the evaluator of the probe; [] if nothing is followed.

  Args:
    experiment: the config.
    ids: what all steps consume, int64 [n]; -1 where there is none.
    mesh: the devices.

  Raises:
    InputError: there are not as many examples, or a step is not one of the
      run's.
  """
  options = experiment.config.probe
  if not options.examples:
    return []
  size = experiment.config.train.batch_size
  total = batches.steps_of(ids, size)
  for step in options.steps:
    if step > total:
      raise errors.InputError(
          f"config.probe.steps names step {step}, but the run has {total}"
          f" steps. Name steps up to {total}."
      )
  sample = _sample(experiment, ids)
  steps = set(options.steps)
  if options.around:
    consuming = np.flatnonzero(np.isin(ids, sample)) // size
    steps.update(consuming.tolist(), (consuming + 1).tolist())
  context = contexts.make(experiment.config, experiment.store, mesh)
  evaluator = probe.Probe(sample, options.every_steps, steps, context)
  first = experiment.fork.step + 1 if experiment.fork else 0
  due = [
      step for step in range(first, total + 1) if evaluator.is_due(step, total)
  ]
  experiment.console.log(
      f"probe    {len(sample)} training examples, evaluated {len(due)} times"
  )
  return [evaluator]


def _sample(experiment: Experiment, ids: np.ndarray) -> np.ndarray:
  """Returns the ids of the sample, ascending, int64.

  A fork follows the examples of its parent.
  """
  if experiment.fork:
    path = experiment.fork.run / "evals" / config_lib.PROBE / "ids.npy"
    return artifacts.load_array(path)
  config, store = experiment.config, experiment.store
  candidates = np.unique(ids)
  if config.probe.among == "train":
    candidates = store.split_ids(suite.TRAIN)
  candidates = candidates[store.loss_lengths[candidates] > 0]
  count = config.probe.examples
  if count > len(candidates):
    raise errors.InputError(
        f"config.probe.examples is {count}, but there are {len(candidates)}"
        f" training examples with an answer (config.probe.among="
        f"{config.probe.among!r}). Lower it."
    )
  seed = config.seed if config.probe.seed is None else config.probe.seed
  permutation = arranged.permutation("probe", seed, len(candidates))[:count]
  return np.sort(candidates[permutation])
