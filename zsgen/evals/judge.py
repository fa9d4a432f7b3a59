"""The base class of evaluators that score written answers."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from zsgen.core import config
from zsgen.data import scores
from zsgen.evals import api


class Judged(api.Evaluator):
  """Scores of the answers to some examples of a held-out set.

  ROUGE-1, ROUGE-L and whether an answer is right, as written and normalised
  (`scores`), in percent.
  """

  declaration = api.Declaration(
      api.Metric("rougeL", "percent", "higher", "ROUGE-L"),
      (
          api.Metric("rouge1", "percent", "higher", "ROUGE-1"),
          api.Metric("exact_match", "percent", "higher", has_figure=True),
          api.Metric(
              "normalized_match",
              "percent",
              "higher",
              "normalised exact match",
              has_figure=True,
          ),
      ),
  )

  def __init__(self, name: str, spec: config.Eval, context: api.Context):
    # What is before a lost answer asks for an earlier one.
    super().__init__(name, spec, context, excluded_cut="last_lost")
    self.answered = self.store.answered(self.ids)

  def judge(self, answers: Sequence[str]) -> api.Evaluation:
    """Returns the evaluation, given an answer to each example."""
    scored = [
        scores.score(example.references, answer)
        for example, answer in zip(self.answered, answers, strict=True)
    ]
    metrics: dict[str, float] = {}
    for metric in (*scores.ROUGE, *scores.MATCHES):
      values = np.array([score[metric] for score in scored])
      metrics |= self.means(metric, values)
    headlines = [score[self.headline.name] for score in scored]
    return api.Evaluation(
        metrics,
        np.array(headlines, np.float32),
        self._predictions(answers, scored),
    )

  def _predictions(
      self, answers: Sequence[str], scored: Sequence[Mapping[str, float]]
  ) -> list[dict[str, Any]]:
    """Returns the lines of predictions.jsonl."""
    tasks = self.store.task_index[self.ids]
    return [
        {
            "id": int(i),
            "task": self.store.tasks[task],
            "prediction": answer,
            "references": example.references,
            **score,
        }
        for i, task, answer, example, score in zip(
            self.ids, tasks, answers, self.answered, scored, strict=True
        )
    ]
