"""What evaluations take from rows that config.data.max_length cut."""

import json
import pathlib

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.helpers import chat_tokenizers, tiny_tokenizers
from zsgen.core import config, errors
from zsgen.data import prepare, prompts, tokenizers
from zsgen.data import store as store_lib
from zsgen.evals import api, generate, judge, subsets

pytest.importorskip("jinja2")

LONG = "the mat and the dog and the sum of the cats " * 6


class _Scored(judge.Judged):
  """Scores answers that a test gives; generates none."""

  def __call__(self, params):
    raise AssertionError("no answers are generated")


def _tokenizer(
    path: pathlib.Path, template: str = chat_tokenizers.CHATML
) -> str:
  """Answers end in <|im_end|>, texts in <|endoftext|>."""
  special = ["<|im_start|>", "<|im_end|>"]
  return tiny_tokenizers.gpt2(
      path, additional_special_tokens=special, chat_template=template
  )


def _add_special(path: str) -> None:
  """Gives the two tokens of the template an id each."""
  file = pathlib.Path(path) / "tokenizer.json"
  spec = json.loads(file.read_text())
  last = max(token["id"] for token in spec["added_tokens"])
  for number, content in enumerate(("<|im_start|>", "<|im_end|>"), last + 1):
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip"), False)
    added = {"id": number, "content": content, "normalized": False, **flags}
    spec["added_tokens"].append({**added, "special": True})
  file.write_text(json.dumps(spec))


def _talk(*texts: str) -> list[dict[str, str]]:
  roles = ("user", "assistant") * len(texts)
  return [
      {"role": role, "content": text}
      for role, text in zip(roles, texts, strict=False)
  ]


def _store(tmp_path, heldout, template=chat_tokenizers.CHATML, **options):
  """Prepares a store of conversations; rows have at most 64 tokens."""
  path = _tokenizer(tmp_path / "tokenizer", template)
  _add_special(path)
  rows = [{"split": "train", "messages": _talk("Say 3", "3")}]
  rows += [{"split": "test", "messages": _talk(*texts)} for texts in heldout]
  data = tmp_path / "chat.jsonl"
  data.write_text("".join(json.dumps(row) + "\n" for row in rows))
  return prepare.prepare(
      tmp_path / "stores",
      config.build(
          config.Data,
          source="chat",
          path=str(data),
          fields=config.Fields(split="split"),
          heldout={"heldout": config.Heldout(split="test")},
          heldout_instances=100,
          template="tokenizer",
          tokenizer="hf",
          tokenizer_path=path,
          max_length=64,
          draw="first",
          **options,
      ),
      0,
  )


def _ends(store) -> set[str]:
  """Returns the strings of the tokens that end answers to a store's prompts."""
  tokenizer = tokenizers.load(store.path / store_lib.TOKENIZER)
  strings = {i: text for text, i in tokenizer.special_ids.items()}
  return {strings[i] for i in prompts.ends(store.template, tokenizer)}


@pytest.mark.parametrize(
    "heldout",
    [
        [("Say 4", "4")],
        [("Say 4", "4"), ("Say it", LONG)],
        [("Say it", LONG)],  # Its last token is a word.
    ],
)
def test_ends_are_the_templates_and_the_tokenizers(tmp_path, heldout):
  store = _store(tmp_path, heldout)
  assert store.manifest["counts"]["heldout"]["answer_cut"] == sum(
      LONG in talk for talk in heldout
  )
  assert _ends(store) == {"<|im_end|>", "<|endoftext|>"}


def test_a_template_that_ends_nothing_adds_no_end(tmp_path):
  store = _store(tmp_path, [("Say 4", "4")], chat_tokenizers.BARE)
  assert _ends(store) == {"<|endoftext|>"}


def test_a_template_that_wants_a_system_turn_has_its_end(tmp_path):
  needs = "{% if messages[0].role != 'system' %}{{ raise_exception('no') }}"
  template = needs + "{% endif %}" + chat_tokenizers.CHATML
  path = _tokenizer(tmp_path / "tokenizer", template)
  _add_special(path)
  tokenizer = tokenizers.get(
      config.build(config.Data, tokenizer="hf", tokenizer_path=path)
  )
  end = tokenizer.special_ids["<|im_end|>"]
  assert end in prompts.ends("tokenizer", tokenizer)


@pytest.mark.parametrize("template", ["plain", "chat"])
def test_other_templates_end_in_the_tokenizers_token(template):
  tokenizer = tokenizers.get(config.build(config.Data))
  assert prompts.ends(template, tokenizer) == (tokenizer.eos_id,)


def test_prompts_are_those_of_the_last_answers(tmp_path):
  """Checks that examples without their last answer are not asked another."""
  talks = [
      ("Say 4", "4", "Say 5", "5"),
      ("Say 4", "4", LONG, "5"),
      ("Say 4", "4", "Say it", LONG),
  ]
  store = _store(tmp_path, talks)
  tokenizer = tokenizers.load(store.path / store_lib.TOKENIZER)
  spec = config.build(config.Eval, type="copy_input")
  judged = _Scored("heldout", spec, api.Context(store, None, None, 1))
  first = store.split_ids("heldout")[0]
  assert judged.ids.tolist() == [first, first + 2]
  assert judged.split_size == 3
  assert [example.references for example in judged.answered] == [
      ["5"],
      [LONG.strip()],
  ]
  requests = [
      tokenizer.decode(generate.prompt_of(store.row(i)).tolist())
      for i in judged.ids
  ]
  assert "Say 5" in requests[0]
  assert "Say it" in requests[1]


def test_exact_matches_are_of_whole_answers(tmp_path):
  store = _store(tmp_path, [("Say 4", "4"), ("Say it", LONG)])
  ids, count = subsets.select(config.Eval(), store, "answer_cut")
  assert ids.tolist() == store.split_ids("heldout")[:1].tolist()
  assert count == 2


def test_a_set_without_a_whole_answer_is_reported(tmp_path):
  store = _store(tmp_path, [("Say it", LONG)])
  with pytest.raises(
      errors.InputError, match=r"all 1 examples lost .*Raise it"
  ):
    subsets.select(config.Eval(), store, "answer_cut")


def test_stores_without_records_of_cuts(tmp_path):
  """Checks that they are read if nothing was cut, and refused otherwise."""
  store = _store(tmp_path, [("Say 4", "4"), ("Say it", LONG)])
  path = store.path / "examples.parquet"
  table = pq.read_table(path).drop_columns(["answer_cut", "last_lost"])
  pq.write_table(table, path)
  old = store_lib.Store(store.path, store.manifest)
  train = old.split_ids("train")
  np.testing.assert_array_equal(old.cut(train, "last_lost"), [False])
  with pytest.raises(errors.InputError, match="Delete the directory"):
    old.cut(old.split_ids("heldout"), "last_lost")
