"""Scores of an answer against its references (2406.11721, section 3).

All are shares, from 0 to 1: the best over the references. Answers are compared
twice: unchanged and normalised. Where an answer is punctuation, a
bracket or a minus sign, only the first means anything: normalised, every such
answer is right.
"""

from collections.abc import Sequence
import functools
from typing import Any

from zsgen.core import errors
from zsgen.data import words

ROUGE = ("rouge1", "rougeL")
MATCHES = ("exact_match", "normalized_match")
# How ROUGE splits texts into words: those of any script; or as rouge-score
# does, which knows only the letters a to z and the digits.
WORDS = ("any_script", "rouge_score")


def score(
    references: Sequence[str], answer: str, split: str = WORDS[0]
) -> dict[str, float]:
  """Returns all scores of an answer.

  Args:
    references: one or more.
    answer: is compared without the white space at its ends.
    split: how ROUGE splits texts into words, one of `WORDS`.

  Raises:
    InputError: no reference, or rouge-score is not installed.
  """
  if not references:
    raise errors.InputError(
        "an answer without references cannot be scored: leave the example out."
    )
  return {**matches(references, answer), **rouge(references, answer, split)}


def matches(references: Sequence[str], answer: str) -> dict[str, float]:
  """Returns whether an answer equals a reference, unchanged and normalised.

  Normalised: in small letters, without the punctuation of any script, with
  single spaces, characters composed (NFC); articles are kept.
  """
  plain = any(answer.strip() == reference.strip() for reference in references)
  normalized = words.normalize(answer)
  is_normalized_match = any(
      normalized == words.normalize(reference) for reference in references
  )
  return {
      "exact_match": float(plain),
      "normalized_match": float(is_normalized_match),
  }


def rouge(
    references: Sequence[str], answer: str, split: str = WORDS[0]
) -> dict[str, float]:
  """Returns ROUGE-1 and ROUGE-L, F1, by rouge-score with its stemmer.

  ASCII text is scored as rouge-score does. Other text is split into the words
  of its scripts (`words.split_words`); English words in it are stemmed. Text
  without a letter or a digit has no words and scores 0.

  Args:
    references: one or more.
    answer: the text that is scored.
    split: "any_script", as above; or "rouge_score": any text is scored as
      rouge-score does.

  Raises:
    InputError: rouge-score is not installed.
  """
  scorer = _scorer(split)
  results = [scorer.score(reference, answer) for reference in references]
  return {
      name: max(result[name].fmeasure for result in results) for name in ROUGE
  }


@functools.cache
def _scorer(split: str) -> Any:
  """Returns a scorer of ROUGE that splits texts as `split` says."""
  try:
    from rouge_score import rouge_scorer, tokenizers
  except ImportError as error:
    raise errors.InputError(
        "ROUGE needs the package rouge-score: pip install rouge-score."
    ) from error
  english = tokenizers.DefaultTokenizer(use_stemmer=True)
  tokenizer = english if split == "rouge_score" else _Words(english)
  return rouge_scorer.RougeScorer(ROUGE, tokenizer=tokenizer)


class _Words:
  """Splits text into words of any script, as a tokenizer of rouge-score."""

  def __init__(self, english: Any):
    """Takes rouge-score's own tokenizer, for ASCII."""
    self._english = english

  def tokenize(self, text: str) -> list[str]:
    """Returns the words of a text."""
    if text.isascii():
      return self._english.tokenize(text)
    tokens = []
    for word in words.split_words(text):
      tokens += self._english.tokenize(word) if word.isascii() else [word]
    return tokens
