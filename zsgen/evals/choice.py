"""Choices ranked by their likelihood, and how often the first one is right."""

from typing import Any

import jax
import numpy as np

from zsgen.core import config
from zsgen.evals import packed, subsets
from zsgen.models import model as model_lib
from zsgen.train import batches, watch
from zsgen.train import step as step_lib

# How the tokens of a choice make its score, and what the metric's name ends
# in.
_SUFFIXES = {"mean": "", "sum": "_sum"}


class Choice:
  """Accuracy of picking the likeliest answer, over examples and over tasks.

  Every choice is an answer to its example's prompt, end token and all. Picked
  is the lowest loss by mean over its tokens and, beside it, by their sum,
  which favours short answers; the first one of equals.

  Args:
    name: path of its metrics.
    spec: the held-out set, and how much of it.
    place: what is read, and where it is computed.

  Raises:
    InputError: no example of the set has choices.
  """

  def __init__(self, name: str, spec: config.Eval, place: packed.Place):
    store = place.store
    self.name = name
    self.every_steps = spec.every_steps
    found = store.choices(spec.split)
    known = np.unique(found.examples)
    tasks = store.task_index[known]
    self.examples = subsets.chosen(known, tasks, spec.max_examples)
    self.of = len(known)
    kept = np.isin(found.examples, self.examples)
    self.ids = found.rows[kept]
    self._right = found.right[kept]
    self._of = found.examples[kept]
    self._lengths = store.loss_lengths[self.ids]
    self._tasks = store.task_index[self.examples]
    self._names = store.tasks
    self.packed = packed.Packed(self.ids, answer_sums, place)

  def __call__(self, params: Any) -> watch.Evaluation:
    """Evaluates parameters."""
    return self.judged(self.packed(params))

  def judged(self, sums: np.ndarray) -> watch.Evaluation:
    """The evaluation, given the loss of each choice, float32 [E]."""
    scores = {"mean": sums.astype(np.float64) / self._lengths, "sum": sums}
    metrics = {}
    for kind, losses in scores.items():
      right = self._right[picks(losses, self._of)].astype(np.float64)
      metrics |= self._accuracy(right, _SUFFIXES[kind])
    return watch.Evaluation(metrics, f"{self.name}/accuracy", sums)

  def _accuracy(self, right: np.ndarray, suffix: str) -> dict[str, float]:
    """Shares over examples, over tasks and of each task."""
    tasks = subsets.by_task(right, self._tasks, self._names)
    mean = float(np.mean(list(tasks.values())))
    return {
        f"{self.name}/accuracy{suffix}": float(right.mean()),
        f"{self.name}/task_mean_accuracy{suffix}": mean,
        **subsets.metrics(tasks, self.name, f"accuracy{suffix}"),
    }


def picks(losses: np.ndarray, examples: np.ndarray) -> np.ndarray:
  """The choice with the lowest loss of each example; of equals the first.

  Args:
    losses: of each choice, [C].
    examples: the example that it is of, int64 [C], ascending.

  Returns:
    Positions in `losses`, int64 [E], in the sequence of the examples.
  """
  lowest_first = np.lexsort((losses, examples))  # Stable.
  _, firsts = np.unique(examples, return_index=True)
  return lowest_first[firsts]


def answer_sums(
    params: Any, batch: batches.Batch, *, model: model_lib.Model
) -> jax.Array:
  """Sum of the loss over the answer tokens of each row, float32 [B]."""
  nll = model.token_nll(params, batch)
  slots = batch.ids.shape[0]
  return step_lib.per_example(nll * batch.mask, batch.segments, slots)
