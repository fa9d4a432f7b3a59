"""The evaluations of a config, in the loop and without one."""

import jax
import numpy as np

from zsgen import evals
from zsgen.evals import api, packed, subsets
from zsgen.models import execution
from zsgen.pipeline import contexts
from zsgen.pipeline.experiment import Experiment


def make(
    experiment: Experiment, mesh: jax.sharding.Mesh
) -> list[api.Evaluator]:
  """Returns the evaluations; prints which do not take all examples, and which
  share prompts.

  Args:
    experiment: the config, and the store that is evaluated on.
    mesh: the devices; those that split positions take rows of their own.
  """
  config, store = experiment.config, experiment.store
  device = mesh.devices.flat[0]
  attention = execution.choose_backend(
      config.machine.attention, device, config.model
  )
  if device.platform != "cpu":  # There it is no choice.
    experiment.console.log(f"attend   {attention.backend}: {attention.reason}")
  context = contexts.make(config, store, mesh)
  evaluators = [
      evals.make(name, spec, context) for name, spec in config.evals.items()
  ]
  for evaluator in evaluators:
    tasks = store.task_index[evaluator.examples]
    has_many_tasks = len(np.unique(tasks)) > subsets.MOST_TASKS
    if has_many_tasks or len(evaluator.examples) < evaluator.split_size:
      line = subsets.describe(
          evaluator.name, evaluator.examples, evaluator.split_size, tasks
      )
      experiment.console.log(f"evals    {line}")
    if isinstance(evaluator, packed.PackedEvaluator):
      note = evaluator.packed.rows.note
      if note:
        experiment.console.log(f"evals    {evaluator.name}: {note}")
  return evaluators
