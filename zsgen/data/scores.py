"""Scores of an answer against its references (2406.11721, section 3).

All in percent, the best over the references. Whether an answer is right is
said twice: as it stands, and normalised. Where an answer is punctuation, a
bracket or a minus sign, only the first means anything: normalised, every such
answer is right.
"""

from collections.abc import Sequence
import functools
import string
from typing import Any

from zsgen import errors

ROUGE = ("rouge1", "rougeL")
MATCHES = ("exact_match", "normalized_match")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def score(references: Sequence[str], answer: str) -> dict[str, float]:
  """All scores of an answer.

  Args:
    references: one or more.
    answer: is compared without the white space at its ends.

  Raises:
    InputError: no reference, or rouge-score is not installed.
  """
  if not references:
    raise errors.InputError(
        "an answer without references cannot be scored: leave the example out."
    )
  return {**matches(references, answer), **rouge(references, answer)}


def matches(references: Sequence[str], answer: str) -> dict[str, float]:
  """Equal to a reference as it stands, and normalised.

  Normalised: in small letters, without ASCII punctuation, with single spaces;
  articles are kept.
  """
  plain = any(answer.strip() == each.strip() for each in references)
  near = any(_normalized(answer) == _normalized(each) for each in references)
  return {"exact_match": 100.0 * plain, "normalized_match": 100.0 * near}


def rouge(references: Sequence[str], answer: str) -> dict[str, float]:
  """ROUGE-1 and ROUGE-L, F1, by rouge-score with its stemmer; English only.

  Raises:
    InputError: rouge-score is not installed.
  """
  found = [_scorer().score(each, answer) for each in references]
  return {
      name: 100.0 * max(each[name].fmeasure for each in found) for name in ROUGE
  }


@functools.cache
def _scorer() -> Any:
  try:
    from rouge_score import rouge_scorer
  except ImportError as error:
    raise errors.InputError(
        "ROUGE needs the package rouge-score: pip install rouge-score."
    ) from error
  return rouge_scorer.RougeScorer(ROUGE, use_stemmer=True)


def _normalized(text: str) -> str:
  return " ".join(text.lower().translate(_NO_PUNCTUATION).split())
