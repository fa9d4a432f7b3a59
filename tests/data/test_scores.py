"""Scores: the best reference, and what normalising forgives."""

import pytest

from zsgen import errors
from zsgen.data import scores

pytest.importorskip("rouge_score")


def test_the_best_over_references():
  found = scores.score(["a red fox", "The dog!"], " the dog ")
  assert found == {
      "exact_match": 0.0,
      "normalized_match": 100.0,
      "rouge1": 100.0,
      "rougeL": 100.0,
  }
  assert scores.matches(["x", "the dog"], "the dog")["exact_match"] == 100


def test_articles_count():
  assert scores.matches(["the dog"], "dog")["normalized_match"] == 0


def test_punctuation_is_right_only_as_it_stands():
  """Brackets, say: normalised, every answer of marks is right."""
  found = scores.matches(["))"], "(")
  assert found == {"exact_match": 0.0, "normalized_match": 100.0}


def test_rouge_of_one_pair():
  """3 of 4 words, in order 2: F1 of 3/4 and 3/5, of 2/4 and 2/5."""
  found = scores.rouge(["one two three four five"], "three one six two")
  assert found["rouge1"] == pytest.approx(200 * 3 / 9)
  assert found["rougeL"] == pytest.approx(200 * 2 / 9)


def test_nothing_to_compare_with():
  with pytest.raises(errors.InputError, match="without references"):
    scores.score([], "answer")
