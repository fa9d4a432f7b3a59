"""Metrics of the suite's seqio Tasks, as `seqio.Evaluator` calls them.

An answer is compared with the one that a view holds, the example's first. In
percent, means over a task's examples; `scores` says what each is.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from zsgen.data import scores


def postprocess(text: str, **unused: Any) -> str:
  """The decoded answer without white space at its ends."""
  del unused
  return text.strip()


def exact_match(
    targets: Sequence[str], predictions: Sequence[str]
) -> dict[str, float]:
  """How many are equal: as they are, and normalised."""
  return _means(scores.matches, targets, predictions)


def rouge(
    targets: Sequence[str], predictions: Sequence[str]
) -> dict[str, float]:
  """ROUGE-1 and ROUGE-L.

  Raises:
    InputError: rouge-score is not installed.
  """
  return _means(scores.rouge, targets, predictions)


METRICS = (exact_match, rouge)


def _means(
    score: Callable[[Sequence[str], str], dict[str, float]],
    targets: Sequence[str],
    predictions: Sequence[str],
) -> dict[str, float]:
  found = [
      score([target], prediction)
      for target, prediction in zip(targets, predictions, strict=True)
  ]
  return {
      name: float(np.mean([each[name] for each in found], dtype=np.float64))
      for name in found[0]
  }
