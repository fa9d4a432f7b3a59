"""The probe: losses of a fixed sample of training examples."""

from collections.abc import Collection

import numpy as np

from zsgen.core import config
from zsgen.evals import api, loss, packed


class Probe(packed.PackedEvaluator):
  """Loss of each example of a sample (`config.probe`).

  Args:
    ids: training examples, int64 [E], ascending.
    every_steps: steps between evaluations.
    steps: further steps before which the sample is evaluated.
    context: what is read, and where it is computed.
  """

  declaration = api.Declaration(api.Metric("loss", "nats", "lower"), figures=())

  def __init__(
      self,
      ids: np.ndarray,
      every_steps: int,
      steps: Collection[int],
      context: api.Context,
  ):
    self.name, self.store = config.PROBE, context.store
    self.every_steps = every_steps
    self.ids = self.examples = ids
    self.split_size = len(ids)
    self._steps = frozenset(steps)
    self.packed = packed.Packed(ids, loss.example_losses, context)

  def is_due(self, step: int, steps: int) -> bool:
    """Returns whether the sample is evaluated before a step of `steps`."""
    return step in self._steps or super().is_due(step, steps)

  def judged(self, values: np.ndarray) -> api.Evaluation:
    """Returns the evaluation, given the loss of each example, float32 [E]."""
    mean = float(values.mean(dtype=np.float64))
    return api.Evaluation({f"{self.name}/loss": mean}, values)
