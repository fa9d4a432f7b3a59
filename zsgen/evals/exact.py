"""Exact match by one teacher-forced pass."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from zsgen.core import config, registry
from zsgen.evals import api, majority, packed
from zsgen.models import model as model_lib
from zsgen.train import batches
from zsgen.train import step as step_lib


@registry.evaluator("exact")
class Exact(packed.PackedEvaluator):
  """How often greedy decoding gives the whole answer, its end token and all.

  That is so if each token of the answer is the likeliest after those before
  it, which one pass over the right answer shows (2402.10891 reports such exact
  matches).
  """

  declaration = api.Declaration(
      api.Metric("exact_match", "share", "higher"),
      (
          api.Metric(
              "token_accuracy",
              "share",
              "higher",
              "tokens of answers",
              by_task=False,
              has_figure=True,
          ),
      ),
  )

  def __init__(self, name: str, spec: config.Eval, context: api.Context):
    # Of a cut answer nobody can say whether all of it is right.
    super().__init__(name, spec, context, excluded_cut="answer_cut")
    self._lengths = self.store.loss_lengths[self.ids]
    self._parts = self.parts()
    self.packed = packed.Packed(self.ids, right_tokens, context)

  def parts(self) -> Mapping[str, np.ndarray]:
    """Returns parts of the examples that are reported too, by name.

    Returns:
      Which examples are in a part, bool [E]; {} for none. A subclass that
      returns some declares a headline with `by_part`.
    """
    return {}

  @classmethod
  def example_values(
      cls, ids: np.ndarray, losses: np.ndarray, open_store: api.OpenStore
  ) -> api.Values:
    """Returns 1 for each answer of which no token is wrong, otherwise 0."""
    del open_store
    return api.Values(
        ids, {cls.declaration.headline.name: (losses == 0).astype(np.float64)}
    )

  @classmethod
  def baselines(
      cls, ids: np.ndarray, open_store: api.OpenStore
  ) -> dict[str, api.Baseline]:
    """Returns the share of the most frequent answer of each task."""
    share = majority.share(open_store(), ids, ids)
    return {cls.declaration.headline.name: api.Baseline(None, share)}

  def judged(self, values: np.ndarray) -> api.Evaluation:
    """Returns the evaluation, given the right tokens of each answer, [E]."""
    exact = values == self._lengths
    means = self.means("exact_match", exact)
    scores = {"token_accuracy": float(values.sum() / self._lengths.sum())}
    for name, part in self._parts.items():
      scores[f"{name}_{self.headline.name}"] = float(exact[part].mean())
    paths = [f"{self.name}/{name}" for name in self.headline.names]
    metrics = {
        **{path: means[path] for path in paths},
        **{f"{self.name}/{name}": value for name, value in scores.items()},
        **means,  # Now those of tasks.
    }
    losses = (self._lengths - values).astype(np.float32)
    return api.Evaluation(metrics, losses)


def right_tokens(
    params: Any, batch: batches.Batch[jax.Array], *, model: model_lib.Model
) -> jax.Array:
  """Counts the tokens of each answer that are the likeliest, float32 [B]."""
  return step_lib.sum_losses(model.token_right(params, batch), batch)
