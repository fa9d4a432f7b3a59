"""Conversations as segments, and segments as tokens."""

import numpy as np

from tests.helpers import chat_tokenizers
from zsgen.data import prompts, suite, tokenizers
from zsgen.data.prompts import templates

SYSTEM, REQUEST, ANSWER, FOLLOW_UP, LAST = (
    suite.Turn("system", "Be brief."),
    suite.Turn("user", "Hi"),
    suite.Turn("assistant", "Hello"),
    suite.Turn("user", "Bye "),
    suite.Turn("assistant", ""),
)


def test_plain_has_no_words_of_its_own():
  actual = templates.plain((SYSTEM, REQUEST, ANSWER, FOLLOW_UP, LAST))
  assert [item[:4] for item in actual] == [
      ("Be brief.\n\n", False, False, False),
      ("Hi\n", False, False, False),
      ("Hello", True, True, False),
      ("\nBye ", False, False, False),
      ("", True, True, False),
  ]


def test_chat_has_the_format_of_the_paper():
  actual = templates.chat((REQUEST, ANSWER, FOLLOW_UP, LAST))
  assert [item[:4] for item in actual] == [
      ("User: Hi", False, False, False),
      ("\nAssistant: ", False, False, False),
      ("Hello", True, True, False),
      ("\nUser: Bye ", False, False, False),
      ("\nAssistant: ", False, False, False),
      ("", True, True, False),
  ]
  assert templates.chat((SYSTEM, REQUEST))[0].text == "System: Be brief."
  assert templates.chat((SYSTEM, REQUEST))[1].text == "\nUser: Hi"


def test_one_bos_and_one_end_token_an_answer():
  tokenizer = chat_tokenizers.metaspace()
  turns = (REQUEST, ANSWER, FOLLOW_UP, LAST)
  tokens, mask = prompts.encode([templates.chat(turns)], tokenizer)[0]
  assert (tokens.dtype, mask.dtype) == (np.uint32, np.uint8)
  assert (tokens == tokenizer.bos_id).sum() == 1 and not mask[0]
  ends = tokens == tokenizer.eos_id
  assert ends.sum() == 2 and mask[ends].all()
  # The border of the loss is a token border, and the space is the answer's.
  pieces = tokenizer.encode_batch(["User: Hi\nAssistant:", " Hello"])
  first = sum(len(item) for item in pieces) + 2
  assert tokens[:first].tolist() == [
      tokenizer.bos_id,
      *np.concatenate(pieces).tolist(),
      tokenizer.eos_id,
  ]
  assert mask[:first].sum() == len(pieces[1]) + 1


def test_plain_text_has_loss_on_all_but_its_first_token():
  message = [prompts.Segment("abc", loss=True, end=True)]
  assert prompts.encode([message], tokenizers.Bytes())[0].mask.tolist() == [
      *(0, 1, 1, 1)
  ]
  with_bos = prompts.encode([message], chat_tokenizers.metaspace())[0].mask
  assert with_bos.tolist() == [0, *[1] * (len(with_bos) - 1)]


def test_examples_without_segments():
  actual = prompts.encode([[], []], tokenizers.Bytes())
  assert [len(item.tokens) for item in actual] == [0, 0]
  assert prompts.encode([], tokenizers.Bytes()) == []


def test_only_marked_segments_become_special_tokens():
  tokenizer = chat_tokenizers.byte_level()
  message = [
      prompts.Segment("<|im_start|>", False, special=True),
      prompts.Segment("<|im_start|>", False),
      prompts.Segment("<|im_end|>", True, special=True),
  ]
  tokens, mask = prompts.encode([message, message[1:2]], tokenizer)[0]
  special = tokenizer.special_ids
  assert tokens[0] == special["<|im_start|>"]
  assert tokens[-1] == special["<|im_end|>"]
  assert len(tokens) > 4 and set(tokens[1:-1]).isdisjoint(special.values())
  assert mask.tolist() == [0] * (len(tokens) - 1) + [1]
