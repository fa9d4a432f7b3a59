"""Choices ranked by their likelihood, and how often the first one is right."""

from typing import Any

import jax
import numpy as np

from zsgen.core import config, registry
from zsgen.evals import api, majority, packed, subsets
from zsgen.models import model as model_lib
from zsgen.train import batches
from zsgen.train import step as step_lib


@registry.evaluator("choice")
class Choice(packed.PackedEvaluator):
  """Accuracy of picking the likeliest answer.

  Every choice is an answer to its example's prompt, end token and all. Picked
  is the lowest loss by mean over its tokens and, next to it, by their sum,
  which favours short answers; the first one of equals.

  Raises:
    InputError: no example of the set has choices.
  """

  declaration = api.Declaration(
      api.Metric("accuracy", "share", "higher"),
      (
          api.Metric(
              "accuracy_sum",
              "share",
              "higher",
              "accuracy by sum",
              has_figure=True,
          ),
      ),
      rows=api.CHOICES,
  )

  def __init__(self, name: str, spec: config.Eval, context: api.Context):
    store = context.store
    self.name, self.store = name, store
    self.every_steps = spec.every_steps
    choices = store.choices(spec.split)
    known = np.unique(choices.examples)
    tasks = store.task_index[known]
    self.examples = subsets.draw(known, tasks, spec)
    self.split_size = len(known)
    is_selected = np.isin(choices.examples, self.examples)
    self.ids = choices.rows[is_selected]
    self._right = choices.right[is_selected]
    self._row_examples = choices.examples[is_selected]
    self._lengths = store.loss_lengths[self.ids]
    self.packed = packed.Packed(self.ids, answer_sums, context)

  @classmethod
  def example_values(
      cls, ids: np.ndarray, losses: np.ndarray, open_store: api.OpenStore
  ) -> api.Values:
    """Returns whether the choice that is picked is right, by both means."""
    store = open_store()
    examples, right = store.choices_of(ids)
    by_sum = losses.astype(np.float32)
    by_mean = by_sum.astype(np.float64) / store.loss_lengths[ids]
    return api.Values(
        np.unique(examples),
        {
            name: (
                np.array(
                    [right[picks(row, examples)] for row in values], np.float64
                ).reshape(len(values), len(np.unique(examples)))
            )
            for name, values in (
                ("accuracy", by_mean),
                ("accuracy_sum", by_sum),
            )
        },
    )

  @classmethod
  def baselines(
      cls, ids: np.ndarray, open_store: api.OpenStore
  ) -> dict[str, api.Baseline]:
    """Returns the accuracies of a guess and of each task's majority answer."""
    store = open_store()
    examples, right = store.choices_of(ids)
    _, slots, counts = np.unique(
        examples, return_inverse=True, return_counts=True
    )
    chance = np.bincount(slots, weights=right) / counts
    share = majority.share(store, ids[right], examples[right])
    baseline = api.Baseline(float(chance.mean()), share)
    return {metric.name: baseline for metric in cls.declaration.metrics}

  def judged(self, values: np.ndarray) -> api.Evaluation:
    """Returns the evaluation, given the loss of each choice, float32 [E]."""
    means = values.astype(np.float64) / self._lengths
    metrics = self.means(
        "accuracy", self._right[picks(means, self._row_examples)]
    )
    by_sum = self._right[picks(values, self._row_examples)]
    return api.Evaluation(metrics | self.means("accuracy_sum", by_sum), values)


def picks(losses: np.ndarray, examples: np.ndarray) -> np.ndarray:
  """Returns each example's choice with the lowest loss; ties go to the first.

  Args:
    losses: of each choice, [C].
    examples: the example of each choice, int64 [C], ascending.

  Returns:
    Positions in `losses`, int64 [E], in the sequence of the examples.
  """
  lowest_first = np.lexsort((losses, examples))  # Stable.
  _, firsts = np.unique(examples, return_index=True)
  return lowest_first[firsts]


def answer_sums(
    params: Any, batch: batches.Batch[jax.Array], *, model: model_lib.Model
) -> jax.Array:
  """Returns the loss of each row's answer, in nats, float32 [B]."""
  return step_lib.sum_losses(model.token_nll(params, batch), batch)
