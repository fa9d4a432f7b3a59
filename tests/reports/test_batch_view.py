"""Batches as text."""

import types

import numpy as np
import pytest

from tests.helpers import chat_tokenizers
from zsgen.data import prompts, store, suite, tokenizers
from zsgen.data.prompts import templates
from zsgen.reports import batch_view
from zsgen.train import batches

TURNS = (
    suite.Turn("user", "Grüße 猫"),
    suite.Turn("assistant", "Hi 🙂"),
    suite.Turn("user", "Bye"),
    suite.Turn("assistant", "See you"),
)


def _row(turns, tokenizer, template=templates.chat):
  return store.TokenRow(*prompts.encode([template(turns)], tokenizer)[0])


def test_every_turn_has_its_marks():
  tokenizer = tokenizers.Bytes()
  assert batch_view.marked(_row(TURNS, tokenizer), tokenizer).plain == (
      "User: Grüße 猫\nAssistant:⟦ Hi 🙂⏹⟧\nUser: Bye\nAssistant:⟦ See you⏹⟧"
  )


def test_tokens_of_several_bytes_and_special_tokens():
  pytest.importorskip("jinja2")
  tokenizer = chat_tokenizers.byte_level()
  template = templates.build("tokenizer", tokenizer)
  actual = batch_view.marked(_row(TURNS, tokenizer, template), tokenizer)
  assert actual.plain == (
      "<|im_start|>user\nGrüße 猫⏹\n<|im_start|>assistant\n⟦Hi 🙂⏹⟧\n"
      "<|im_start|>user\nBye⏹\n<|im_start|>assistant\n⟦See you⏹⟧\n"
  )


def test_spaces_at_the_borders_are_shown():
  tokenizer = chat_tokenizers.metaspace()
  turns = [suite.Turn("user", "yes"), suite.Turn("assistant", "no")]
  actual = batch_view.marked(_row(turns, tokenizer, templates.plain), tokenizer)
  # The piece of the answer begins with the mark of a space.
  assert actual.plain == "<s>yes<unk>⟦ no⏹⟧"


def test_two_end_tokens_are_marked_in_place():
  tokenizer = tokenizers.Bytes()
  row = store.TokenRow(
      np.array([100, 1, 101, 1], np.uint32), np.array([0, 1, 1, 1], np.uint8)
  )
  assert batch_view.marked(row, tokenizer).plain == "a⟦⏹b⏹⟧"


def test_a_batch_names_tasks_and_counts():
  tokenizer = tokenizers.Bytes()
  row = _row(TURNS[:2], tokenizer)
  examples = batches.Examples(
      np.array([3, batches.NO_EXAMPLE]), [row, batches.NO_ROW]
  )
  tasks = types.SimpleNamespace(
      tasks=["greet", "part"], task_index=np.array([0, 0, 0, 1])
  )
  actual = batch_view.view(examples, tasks, tokenizer).plain
  size = len("User: Grüße 猫\nAssistant: Hi 🙂".encode()) + 1
  assert actual == (
      f"id 3  part  {size} tokens, 9 with loss\n"
      "User: Grüße 猫\nAssistant:⟦ Hi 🙂⏹⟧\n\n(padding)\n"
  )
