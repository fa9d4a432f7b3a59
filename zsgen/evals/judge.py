"""Answers that were written, held against their references."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from zsgen.core import config, errors
from zsgen.data import scores
from zsgen.data import store as store_lib
from zsgen.evals import subsets
from zsgen.train import watch

NAMES = (*scores.ROUGE, *scores.MATCHES)
# The score that stands for the others.
HEADLINE = "rougeL"


class Judge:
  """Scores of the answers to some examples of a held-out set.

  ROUGE-1, ROUGE-L and whether an answer is right, as it stands and normalised
  (`scores`), in percent: means over examples, over tasks, and of each task.

  Args:
    name: path of the metrics.
    spec: the held-out set, and how much of it.
    store: where the examples are.
  """

  def __init__(self, name: str, spec: config.Eval, store: store_lib.Store):
    # What stands before a lost answer asks for an earlier one.
    self.ids, self.of = subsets.taken(spec, store, but="last_lost")
    self.examples = store.answered(self.ids)
    self._name = name
    self._tasks = store.task_index[self.ids]
    self._names = store.tasks

  def __call__(self, answers: Sequence[str]) -> watch.Evaluation:
    """Judges one answer an example."""
    found = [
        scores.score(example.references, answer)
        for example, answer in zip(self.examples, answers, strict=True)
    ]
    metrics: dict[str, float] = {}
    for kind in NAMES:
      values = np.array([each[kind] for each in found])
      by_task = subsets.by_task(values, self._tasks, self._names)
      metrics[f"{self._name}/{kind}"] = float(values.mean())
      task_mean = float(np.mean(list(by_task.values())))
      metrics[f"{self._name}/task_mean_{kind}"] = task_mean
      metrics |= subsets.metrics(by_task, self._name, kind)
    return watch.Evaluation(
        metrics,
        f"{self._name}/{HEADLINE}",
        np.array([each[HEADLINE] for each in found], np.float32),
        self._predictions(answers, found),
    )

  def _predictions(
      self, answers: Sequence[str], found: Sequence[dict[str, float]]
  ) -> list[dict[str, Any]]:
    """A line of predictions.jsonl each."""
    return [
        {
            "id": int(i),
            "task": self._names[task],
            "prediction": answer,
            "references": example.references,
            **each,
        }
        for i, task, answer, example, each in zip(
            self.ids, self._tasks, answers, self.examples, found, strict=True
        )
    ]


class Copy:
  """A predictor without a model: says a part of the example itself.

  Published beside models' scores (2204.07705, heuristics), it checks prompts,
  references and scorer from outside.

  Args:
    name: path of its metrics.
    spec: of type "copy_input", or "copy_first_example" for the answer of the
      first solved example.
    store: where the examples are.

  Raises:
    InputError: no example of the set has a solved one.
  """

  def __init__(self, name: str, spec: config.Eval, store: store_lib.Store):
    self.name = name
    self.every_steps = spec.every_steps
    self._judge = Judge(name, spec, store)
    self.ids = self.examples = self._judge.ids
    self.of = self._judge.of
    of = spec.type.removeprefix("copy_")
    parts = [getattr(each, of) for each in self._judge.examples]
    if not any(parts):
      raise errors.InputError(
          f"config.evals.{name}: no example of {spec.split!r} has a solved one"
          " to copy from; only the source niv2 has."
      )
    self._answers = [part or "" for part in parts]

  def __call__(self, params: Any) -> watch.Evaluation:
    """The same, whatever the parameters."""
    del params
    return self._judge(self._answers)
