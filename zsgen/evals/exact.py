"""Exact match by one teacher-forced pass."""

from typing import Any

import jax
import numpy as np

from zsgen.core import config, registry
from zsgen.data import store as store_lib
from zsgen.data.sources import rewrites
from zsgen.evals import api, packed
from zsgen.models import model as model_lib
from zsgen.train import batches
from zsgen.train import step as step_lib


@registry.evaluator("exact")
class Exact(api.Evaluator):
  """How often greedy decoding gives the whole answer, its end token and all.

  That is so if each token of the answer is the likeliest after those before
  it, which one pass over the right answer shows (2402.10891 reports such exact
  matches). Rewrites with and without an operation are reported separately.
  """

  declaration = api.Declaration(
      api.Metric("exact_match", "share", "higher", by_part=True),
      (
          api.Metric(
              "token_accuracy",
              "share",
              "higher",
              "tokens of answers",
              by_task=False,
              drawn=True,
          ),
      ),
  )

  def __init__(self, name: str, spec: config.Eval, context: api.Context):
    # Of a cut answer nobody can say whether all of it is right.
    super().__init__(name, spec, context, without="answer_cut")
    self._lengths = self.store.loss_lengths[self.ids]
    self._kinds = _kinds(self.store, self.ids)
    self.packed = packed.Packed(self.ids, right_tokens, context)

  def __call__(self, params: Any) -> api.Evaluation:
    """Evaluates parameters."""
    return self.judged(self.packed(params))

  def judged(self, right: np.ndarray) -> api.Evaluation:
    """Returns the evaluation, given the right tokens of each answer, [E]."""
    exact = right == self._lengths
    means = self.means("exact_match", exact)
    others = {"token_accuracy": float(right.sum() / self._lengths.sum())}
    for kind, examples in self._kinds.items():
      others[f"{kind}_exact_match"] = float(exact[examples].mean())
    whole = [f"{self.name}/{name}" for name in self.headline.names]
    metrics = {
        **{path: means[path] for path in whole},
        **{f"{self.name}/{name}": value for name, value in others.items()},
        **means,  # Now those of tasks.
    }
    losses = (self._lengths - right).astype(np.float32)
    return api.Evaluation(metrics, losses)


def _kinds(store: store_lib.Store, ids: np.ndarray) -> dict[str, np.ndarray]:
  """Which of the examples are of each kind; {} for suites without kinds."""
  if store.suite != "rewrites":
    return {}
  found = np.array([rewrites.kind_of(key) for key in store.keys(ids)])
  has_op = np.char.startswith(found, "op")
  kinds = {"has_op": has_op, "no_op": ~has_op}
  kinds |= {kind: found == kind for kind in np.unique(found).tolist()}
  return {kind: of_kind for kind, of_kind in kinds.items() if of_kind.any()}


def right_tokens(
    params: Any, batch: batches.Batch, *, model: model_lib.Model
) -> jax.Array:
  """How many tokens of each answer are the likeliest ones, float32 [B]."""
  right = model.token_right(params, batch)
  slots = batch.ids.shape[0]
  return step_lib.per_example(right * batch.mask, batch.segments, slots)
