"""Metrics of the suite's seqio Tasks, as `seqio.Evaluator` calls them.

An answer is compared with the example's first reference, the only one in a
view. Results are means over a task's examples, shares from 0 to 1; see
`scores`.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from zsgen.data import scores


def postprocess(text: str, **unused: Any) -> str:
  """Returns the decoded answer without white space at its ends."""
  del unused
  return text.strip()


def exact_match(
    targets: Sequence[str], predictions: Sequence[str]
) -> dict[str, float]:
  """Returns the shares of equal answers, unchanged and normalised."""
  return _means(scores.matches, targets, predictions)


def rouge(
    targets: Sequence[str], predictions: Sequence[str]
) -> dict[str, float]:
  """Returns ROUGE-1 and ROUGE-L.

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
  """Returns the mean of each score over all predictions."""
  results = [
      score([target], prediction)
      for target, prediction in zip(targets, predictions, strict=True)
  ]
  return {
      name: float(
          np.mean([result[name] for result in results], dtype=np.float64)
      )
      for name in results[0]
  }
