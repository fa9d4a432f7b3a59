"""Scores: the best reference, and what normalising forgives."""

import string

import pytest

from zsgen.core import errors
from zsgen.data import scores, words

pytest.importorskip("rouge_score")


def test_the_best_over_references():
  actual = scores.score(["a red fox", "The dog!"], " the dog ")
  assert actual == {
      "exact_match": 0.0,
      "normalized_match": 1.0,
      "rouge1": 1.0,
      "rougeL": 1.0,
  }
  assert scores.matches(["x", "the dog"], "the dog")["exact_match"] == 1


def test_articles_count():
  assert scores.matches(["the dog"], "dog")["normalized_match"] == 0


def test_punctuation_must_match_exactly():
  """Brackets, say: normalised, every answer of marks is right."""
  actual = scores.matches(["))"], "(")
  assert actual == {"exact_match": 0.0, "normalized_match": 1.0}


def test_rouge_of_one_pair():
  """Scores 3 of 4 words, 2 in order: F1 of 3/4 and 3/5, of 2/4 and 2/5."""
  actual = scores.rouge(["one two three four five"], "three one six two")
  assert actual["rouge1"] == pytest.approx(2 * 3 / 9)
  assert actual["rougeL"] == pytest.approx(2 * 2 / 9)


def test_scores_need_references():
  with pytest.raises(errors.InputError, match="without references"):
    scores.score([], "answer")


ENGLISH = [
    "The dog's tails were running, quickly; under_scored words!",
    "3.14 and 1,000 (about $5) -- e-mail: a.b@c.d\tTabs\n\nlines",
    "flies dies mules denied died agreed owned humbled sized meeting",
    "",
    "?!... ()",
    "A B C d 1 2 3 x1y2 ___",
    # Marks that are not ASCII are no words to rouge-score either.
    "\u201cDon\u2019t\u201d \u2013 he said\u2026 ½ of it™ ✓ 🙂 ❤️ 1️⃣ done²",
]


def test_english_scores_are_those_of_rouge_score():
  from rouge_score import rouge_scorer

  scorer = rouge_scorer.RougeScorer(scores.ROUGE, use_stemmer=True)
  for reference in ENGLISH:
    for answer in (*ENGLISH, reference[: len(reference) // 2]):
      actual = scores.rouge([reference], answer)
      expected = scorer.score(reference, answer)
      assert actual == {k: v.fmeasure for k, v in expected.items()}


@pytest.mark.parametrize(
    "text",
    [
        "金地山日",
        "これはペンです",
        "สวัสดีครับ",
        "niño",
        "Привет мир",
        "한국어 문장",
        "नमस्ते दुनिया",
        "مرحبا بالعالم",
        "١٢٣",
    ],
)
def test_a_copy_is_perfect_in_every_script(text):
  assert set(scores.score([text], text).values()) == {1}
  assert scores.rouge([text], "x")["rougeL"] == 0


@pytest.mark.parametrize(
    ("reference", "answer", "rouge1"),
    [
        # Three of four characters, as of words.
        ("金地山日", "金地山木", 0.75),
        ("niño", "nio", 0),
        ("niño", "ni o", 0),
        ("el niño come", "el niño duerme", 2 / 3),
        # Composed and decomposed characters are the same.
        ("nin\u0303o", "ni\u00f1o", 1),
        # English words in other text are stemmed, as in English text.
        ("跑 running", "跑 runs", 1),
        # Vowel signs are part of a word.
        ("नमस्ते दुनिया", "नमस्ते", 2 / 3),
    ],
)
def test_words_of_other_scripts(reference, answer, rouge1):
  actual = scores.rouge([reference], answer)["rouge1"]
  assert actual == pytest.approx(rouge1)


@pytest.mark.parametrize(
    ("reference", "answer"),
    [("是。", "是"), ("¿Qué?", "qué"), ("«oui»", "oui"), ("e\u0301", "\u00e9")],
)
def test_punctuation_of_every_script_is_normalised(reference, answer):
  actual = scores.matches([reference], answer)
  assert actual == {"exact_match": 0, "normalized_match": 1}


def test_ascii_is_normalised_as_string_punctuation_says():
  text = "".join(map(chr, range(128)))
  stripped = text.lower().translate(str.maketrans("", "", string.punctuation))
  assert words.normalize(text) == " ".join(stripped.split())


def test_words_as_rouge_score_splits_them():
  """Asks for rouge-score's own words: "niño" is "ni" and "o"."""
  from rouge_score import rouge_scorer

  scorer = rouge_scorer.RougeScorer(scores.ROUGE, use_stemmer=True)
  for reference, answer in (("niño", "ni o"), ("是", "是"), ("a b", "a")):
    expected = scorer.score(reference, answer)
    actual = scores.rouge([reference], answer, "rouge_score")
    assert actual == {name: expected[name].fmeasure for name in scores.ROUGE}
  assert scores.rouge(["niño"], "ni o", "rouge_score")["rougeL"] == 1
