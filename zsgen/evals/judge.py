"""The base class of evaluators that score written answers."""

from collections.abc import Mapping, Sequence
import dataclasses
from typing import Any

import numpy as np

from zsgen.core import config, schema
from zsgen.core.schema import option
from zsgen.data import scores
from zsgen.evals import api, majority


@dataclasses.dataclass(frozen=True)
class JudgedOptions:
  """The options of evaluators that score written answers."""

  # What ROUGE takes for words. any_script: words of any script; rouge_score: runs
  # of the letters a to z and digits, as in rouge-score.
  rouge_words: str = option("any_script", choices=scores.WORDS, newer=True)


# The score that represents the others.
_HEADLINE = "rougeL"


class Judged(api.Evaluator):
  """Scores of the answers to some examples of a held-out set.

  ROUGE-1, ROUGE-L and whether an answer is right, as written and normalised
  (`scores`), as shares.
  """

  declaration = api.Declaration(
      api.Metric(_HEADLINE, "share", "higher", "ROUGE-L"),
      (
          api.Metric("rouge1", "share", "higher", "ROUGE-1"),
          api.Metric("exact_match", "share", "higher", has_figure=True),
          api.Metric(
              "normalized_match",
              "share",
              "higher",
              "normalised exact match",
              has_figure=True,
          ),
      ),
      version=1,  # Scores were in percent.
  )

  def __init__(self, name: str, spec: config.Eval, context: api.Context):
    # What is before a lost answer asks for an earlier one.
    super().__init__(name, spec, context, excluded_cut="last_lost")
    self.answered = self.store.answered(self.ids)
    self._words = schema.options_of(spec, JudgedOptions).rouge_words

  @classmethod
  def baselines(
      cls, ids: np.ndarray, open_store: api.OpenStore
  ) -> dict[str, api.Baseline]:
    """Returns the matches of the most frequent reference of each task."""
    store = open_store()
    references = [example.references for example in store.answered(ids)]
    answers = majority.most_frequent(
        [texts[0].strip() for texts in references], store.task_index[ids]
    )
    matches = [
        scores.matches(texts, answer)
        for texts, answer in zip(references, answers, strict=True)
    ]
    return {
        name: api.Baseline(None, float(np.mean([m[name] for m in matches])))
        for name in scores.MATCHES
    }

  def judge(self, answers: Sequence[str]) -> api.Evaluation:
    """Returns the evaluation, given an answer to each example."""
    scored = [
        scores.score(example.references, answer, self._words)
        for example, answer in zip(self.answered, answers, strict=True)
    ]
    metrics: dict[str, float] = {}
    for metric in (*scores.ROUGE, *scores.MATCHES):
      values = np.array([score[metric] for score in scored])
      metrics |= self.means(metric, values)
    headlines = [score[_HEADLINE] for score in scored]
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
