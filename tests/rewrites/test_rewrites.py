"""Rewrites as a source: what prepare makes of them."""

import collections

import numpy as np
import pytest

from zsgen.core import config, errors
from zsgen.data import prepare, suite
from zsgen.rewrites import source as rewrites
from zsgen.rewrites.source import examples, markov, serial
from zsgen.rewrites.source import options as rewrites_options

_OPTIONS = rewrites_options.Rewrites(
    rules=30,
    examples=300,
    letters=16,
    x_length=3,
    y_length=4,
    z_length=12,
    noop_share=0.3,
    hard_share=0.5,
    families=("repeat", "period"),
    ks=(1,),
    unseen=40,
    seen=60,
)


def _data(options: rewrites_options.Rewrites = _OPTIONS, **data) -> config.Data:
  usual = {"prompt": "joined", "tokenizer": "rewrites"} | data
  return config.build(config.Data, source="rewrites", rewrites=options, **usual)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
  return prepare.prepare(tmp_path_factory.mktemp("stores"), _data(), seed=0)


def test_a_store_has_every_rule_as_a_task(made):
  counts = made.manifest["counts"]
  told = {name: each["examples"] for name, each in counts.items()}
  assert told == {"train": 300, "unseen": 40, "seen": 60}
  tasks = {name: each["tasks"] for name, each in counts.items()}
  assert tasks == {"train": 30, "unseen": 40, "seen": 30}
  assert not any(each["cut"] for each in counts.values())
  assert made.tasks[0] == "rule-000000" and made.tasks[30] == "unseen-000000"
  assert made.tasks[-1] == "rule-000029.seen"
  assert {*made.categories} == {"random"}


def test_rows_are_the_tokens_of_the_blocks(made):
  rows = iter(range(len(made)))
  for split in rewrites.splits(_OPTIONS, 0):
    for block in examples.blocks(split, _OPTIONS, 0, size=77):
      for tokens, length in zip(*serial.tokens(block), strict=True):
        row = made.row(next(rows))
        assert row.tokens.tolist() == tokens[:length].tolist()
        # The loss is on the target and its end.
        target = length - (5 + 3 + 4 + 12 - 1)
        assert row.mask.tolist() == [0] * (length - target) + [1] * target
  assert next(rows, None) is None


def test_texts_read_as_the_reference_rewrites_them(made):
  ids = np.arange(len(made))
  kinds = collections.Counter()
  for key, (prompt, answer) in zip(
      made.keys(ids), made.texts(ids), strict=True
  ):
    rule, z = prompt.split("\n\n")
    x, y = rule.split(" -> ")
    assert answer == markov.rewrite(x, y, z)
    kind = rewrites.kind_of(key)
    kinds[kind] += 1
    assert (x in z) == (kind == "op1")
  assert {*kinds} == {"op1", "noop", "hard"}
  assert kinds["noop"] + kinds["hard"] == pytest.approx(120, abs=8)


def test_held_out_answers_are_judged_with_their_input(made):
  unseen = made.split_ids("unseen")
  for each, (prompt, answer) in zip(
      made.answered(unseen), made.texts(unseen), strict=True
  ):
    assert each.references == [answer]
    assert each.input == prompt.split("\n")[2]


def test_the_manifest_tells_of_the_rules(made):
  told = made.manifest["source"]
  assert told["rules"] == told["rules_with_examples"] == 30
  assert told["effective_rules"] == 30.0
  keys = made.keys(made.split_ids("train"))
  noops = sum(rewrites.kind_of(key) != "op1" for key in keys)
  assert told["noops"] == noops


def test_other_prompts_and_tokenizers_take_them_as_text(tmp_path):
  data = _data(prompt="plain", tokenizer="bytes")
  prompt, answer = prepare.prepare(tmp_path, data, seed=0).texts([0])[0]
  rule, asked, said = prompt.split("\n")
  assert " -> " in rule and asked.startswith("Input: ") and said == "Output: "
  assert len(answer) in (12, 13)


def test_the_tokenizer_says_which_prompt_it_wants(tmp_path):
  with pytest.raises(errors.InputError, match=r"not 'I' .*prompt='joined'"):
    prepare.prepare(tmp_path, _data(prompt="plain"), seed=0)


def test_what_is_not_as_it_should_be_is_not_written(tmp_path, monkeypatch):
  def wrong(x, y, z, first):
    return z, np.full(len(z), z.shape[1])

  monkeypatch.setattr(examples, "rewrite", wrong)
  with pytest.raises(errors.InputError, match="Nothing was written"):
    prepare.prepare(tmp_path, _data(), seed=0)
  assert not [*tmp_path.iterdir()]


def test_no_seen_set_where_none_is_asked_for():
  options = rewrites_options.Rewrites(rules=5, examples=10, unseen=3, seen=0)
  found = rewrites.rewrites(_data(options), 0)
  assert found.heldout == ("unseen",)
  splits = collections.Counter(each.split for each in found.examples())
  assert splits == {suite.TRAIN: 10, "unseen": 3}


def test_categories_are_families():
  options = rewrites_options.Rewrites(
      rules=9,
      examples=9,
      unseen=2,
      seen=0,
      families=("repeat", "mirror"),
      ks=(2, 4),
      heldout_ks=(1,),
  )
  found = [*rewrites.rewrites(_data(options), 0).examples()]
  assert [each.category for each in found][:4] == [
      "repeat-2",
      "mirror-2",
      "repeat-4",
      "mirror-4",
  ]
  assert found[-1].category == "random"
