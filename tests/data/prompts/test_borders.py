"""Examples whose ids differ from those of their joined text are counted."""

import itertools

import numpy as np
import pytest

from tests.helpers import tiny_tokenizers
from zsgen.data import prompts, suite, tokenizers
from zsgen.data.prompts import templates
from zsgen.data.tokenizers import hf

pytest.importorskip("tokenizers")

_REQUESTS = (
    "the cat",
    "What is the sum?\n\n  ",
    "Input: 7\nOutput: ",
    "Say it! ",
    "naïve\u3000",
    "a\n\n b",
    "the ca",
    # More words than are compared.
    "on the mat the cat sat  on the mat and on the\tmat the ca",
    "on the mat the cat sat on the mat and on the mat the cat: ",
)
_ANSWERS = ("sat on the mat", "12", "\ncafé.", " two  spaces", "Say\nit", "t")
_ANSWERS += ("t sat on the mat and the cat sat on the mat\nthe cat",)


def _segments(request, answer):
  return [
      prompts.Segment(request, loss=False),
      prompts.Segment(answer, loss=True, end=True),
  ]


def _differ(examples, tokenizer, border):
  parts = [prompts.split(segments, tokenizer, border) for segments in examples]
  ids = list(prompts.encode_pieces(parts, tokenizer))
  return prompts.differ(parts, ids, tokenizer)


def _compare(segments, tokenizer, border):
  """Returns whether the ids differ from those of the whole text."""
  (row,) = prompts.encode([segments], tokenizer, border)
  text = "".join(segment.text for segment in segments)
  (text_ids,) = tokenizer.encode_batch([text])
  return row.tokens[int(tokenizer.bos_id is not None) : -1].tolist() != (
      text_ids.tolist()
  )


@pytest.mark.parametrize("border", ["answer", "released"])
@pytest.mark.parametrize("kind", ["gpt2", "llama", "unigram"])
def test_lines_at_the_border_show_what_whole_texts_show(tmp_path, kind, border):
  tokenizer = hf.read(tiny_tokenizers.HF[kind](tmp_path / kind))
  examples = [
      _segments(request, answer)
      for request, answer in itertools.product(_REQUESTS, _ANSWERS)
  ]
  expected = [_compare(row, tokenizer, border) for row in examples]
  assert _differ(examples, tokenizer, border).tolist() == expected
  assert any(expected)  # "the ca" and "t" are one word.
  if border == "answer":
    assert not all(expected)


def test_a_space_is_a_part_of_the_word_that_follows_it(tmp_path):
  """Checks the ids of a prompt that ends in a space and of its answer."""
  tokenizer = hf.read(tiny_tokenizers.gpt2(tmp_path))
  turns = (suite.Turn("user", "the mat"), suite.Turn("assistant", "the cat"))
  segments = templates.chat(turns)
  text = "".join(segment.text for segment in segments)
  (text_ids,) = tokenizer.encode_batch([text])
  (row,) = prompts.encode([segments], tokenizer)
  (released,) = prompts.encode([segments], tokenizer, "released")
  begin = int(tokenizer.bos_id is not None)
  assert row.tokens[begin:-1].tolist() == text_ids.tolist()
  assert released.tokens[begin:-1].tolist() != text_ids.tolist()
  answer = row.tokens[row.mask.astype(bool)][:-1]
  assert tokenizer.decode(answer) == " the cat"
  answer = released.tokens[released.mask.astype(bool)][:-1]
  assert tokenizer.decode(answer) == "the cat"
  assert not _differ([segments], tokenizer, "answer").any()
  assert _differ([segments], tokenizer, "released").all()


@pytest.mark.parametrize(
    ("request_text", "expected"),
    [
        ("Say:  ", ("Say:", "  yes")),
        ("Say:\n", ("Say:\n", "yes")),
        ("Say:\n\t", ("Say:\n", "\tyes")),
        ("Say: \n", ("Say: \n", "yes")),
        ("Say", ("Say", "yes")),
        ("  ", ("  ", "yes")),
    ],
)
def test_all_white_space_but_line_breaks_moves(request_text, expected):
  pieces = prompts.split(
      _segments(request_text, "yes"), tokenizers.Bytes(), "answer"
  )
  assert tuple(piece.segment.text for piece in pieces) == expected
  assert [piece.segment.end for piece in pieces] == [False, True]


def test_nothing_moves_over_an_end_token_or_to_an_empty_answer():
  tokenizer = tokenizers.Bytes()
  ended = [
      prompts.Segment("a ", loss=False, end=True),
      prompts.Segment("b", loss=True, end=True),
  ]
  empty = [prompts.Segment("a ", False), prompts.Segment("", True, end=True)]
  for segments in (ended, empty):
    pieces = prompts.split(segments, tokenizer, "answer")
    assert [piece.segment for piece in pieces] == segments
  assert not _differ([ended, empty, []], tokenizer, "answer").any()
  assert _differ([], tokenizer, "answer").shape == (0,)


def test_every_turn_of_a_conversation_has_its_space(tmp_path):
  tokenizer = hf.read(tiny_tokenizers.gpt2(tmp_path))
  texts = ("the cat", "sat", "on", "the mat")
  roles = itertools.cycle(("user", "assistant"))
  segments = templates.chat(tuple(map(suite.Turn, roles, texts)))
  (row,) = prompts.encode([segments], tokenizer)
  begins = np.flatnonzero(np.diff(row.mask.astype(np.int8), prepend=0) == 1)
  assert [tokenizer.decode([row.tokens[i]])[0] for i in begins] == [" ", " "]
