"""Exact match by one teacher-forced pass."""

from typing import Any

import jax
import numpy as np

from zsgen.core import config
from zsgen.data import store as store_lib
from zsgen.data.sources import rewrites
from zsgen.evals import packed, subsets
from zsgen.models import model as model_lib
from zsgen.train import batches, watch
from zsgen.train import step as step_lib


class Exact:
  """How often greedy decoding gives the whole answer, its end token and all.

  That is so if each token of the answer is the likeliest after those before
  it, which one pass over the right answer tells (2402.10891 reports such exact
  matches). Rewrites with and without an operation are also told apart.

  Args:
    name: path of its metrics.
    spec: the held-out set, and how much of it.
    place: what is read, and where it is computed.
  """

  def __init__(self, name: str, spec: config.Eval, place: packed.Place):
    store = place.store
    self.name = name
    self.every_steps = spec.every_steps
    # Of a cut answer nobody can say whether all of it is right.
    self.ids, self.of = subsets.taken(spec, store, but="answer_cut")
    self.examples = self.ids
    self._tasks = store.task_index[self.ids]
    self._names = store.tasks
    self._lengths = store.loss_lengths[self.ids]
    self._kinds = _kinds(store, self.ids)
    self.packed = packed.Packed(self.ids, right_tokens, place)

  def __call__(self, params: Any) -> watch.Evaluation:
    """Evaluates parameters."""
    return self.judged(self.packed(params))

  def judged(self, right: np.ndarray) -> watch.Evaluation:
    """The evaluation, given the right tokens of each answer, float32 [E]."""
    exact = (right == self._lengths).astype(np.float64)
    tasks = subsets.by_task(exact, self._tasks, self._names)
    metrics = {
        f"{self.name}/exact_match": float(exact.mean()),
        f"{self.name}/task_mean_exact_match": float(
            np.mean(list(tasks.values()))
        ),
        f"{self.name}/token_accuracy": float(right.sum() / self._lengths.sum()),
        **self._by_kind(exact),
        **subsets.metrics(tasks, self.name, "exact_match"),
    }
    losses = (self._lengths - right).astype(np.float32)
    return watch.Evaluation(metrics, f"{self.name}/exact_match", losses)

  def _by_kind(self, exact: np.ndarray) -> dict[str, float]:
    """The share of each kind of examples."""
    return {
        f"{self.name}/{kind}_exact_match": float(exact[of_kind].mean())
        for kind, of_kind in self._kinds.items()
    }


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
