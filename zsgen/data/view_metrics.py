"""Metrics of the suite's seqio Tasks, as `seqio.Evaluator` calls them.

An answer is compared with the one that the store holds, the example's first;
other references are not in a store. In percent, means over a task's examples.
Definitions: 2406.11721, released code.
"""

from collections.abc import Sequence
import string
from typing import Any

import numpy as np

from zsgen import errors

_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def postprocess(text: str, **unused: Any) -> str:
  """The decoded answer without white space at its ends."""
  del unused
  return text.strip()


def exact_match(
    targets: Sequence[str], predictions: Sequence[str]
) -> dict[str, float]:
  """How many are equal: as they are, and normalised.

  Normalised: in small letters, without ASCII punctuation, with single spaces.
  """
  plain, normalised = [], []
  for target, prediction in zip(targets, predictions, strict=True):
    plain.append(target == prediction)
    normalised.append(_normalised(target) == _normalised(prediction))
  return {
      "exact_match": _percent(plain),
      "normalized_match": _percent(normalised),
  }


def rouge(
    targets: Sequence[str], predictions: Sequence[str]
) -> dict[str, float]:
  """ROUGE-1 and ROUGE-L, F1, by rouge-score with its stemmer; English only.

  Raises:
    InputError: rouge-score is not installed.
  """
  try:
    from rouge_score import rouge_scorer
  except ImportError as error:
    raise errors.InputError(
        "ROUGE needs the package rouge-score: pip install rouge-score."
    ) from error
  names = ("rouge1", "rougeL")
  scorer = rouge_scorer.RougeScorer(names, use_stemmer=True)
  scores = [
      scorer.score(target, prediction)
      for target, prediction in zip(targets, predictions, strict=True)
  ]
  return {
      name: _percent([each[name].fmeasure for each in scores]) for name in names
  }


METRICS = (exact_match, rouge)


def _normalised(text: str) -> str:
  return " ".join(text.lower().translate(_NO_PUNCTUATION).split())


def _percent(values: Sequence[float]) -> float:
  return 100.0 * float(np.mean(values, dtype=np.float64))
