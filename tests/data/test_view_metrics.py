"""Metrics of views: the paper's definitions, as shares."""

import sys

import pytest

from zsgen.core import errors
from zsgen.data import scores, view_metrics


def test_exact_match():
  targets = ["A dog.", "the  cat", "7", "it's"]
  predictions = ["a dog", "the cat", "8", "its"]
  assert view_metrics.exact_match(targets, predictions) == {
      "exact_match": 0.0,
      "normalized_match": 0.75,
  }
  assert view_metrics.exact_match(["a", "b"], ["a", "c"]) == {
      "exact_match": 0.5,
      "normalized_match": 0.5,
  }


def test_rouge():
  """Scores three of four words in sequence, one a stem; then order alone."""
  pytest.importorskip("rouge_score")
  actual = view_metrics.rouge(
      ["the dogs ran home", "a b c d"], ["The dog ran away", "d c b a"]
  )
  assert actual == pytest.approx(
      {"rouge1": (0.75 + 1) / 2, "rougeL": (0.75 + 0.25) / 2}
  )


def test_lengths_must_agree():
  with pytest.raises(ValueError, match="shorter"):
    view_metrics.exact_match(["a", "b"], ["a"])


def test_postprocess_strips():
  assert view_metrics.postprocess(" a b\n", example={}, is_target=True) == "a b"


def test_rouge_needs_its_package(monkeypatch):
  monkeypatch.setitem(sys.modules, "rouge_score", None)
  scores._scorer.cache_clear()
  with pytest.raises(errors.InputError, match="pip install rouge-score"):
    view_metrics.rouge(["a"], ["a"])
