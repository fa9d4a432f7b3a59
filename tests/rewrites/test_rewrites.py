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
def store(tmp_path_factory):
  return prepare.prepare(tmp_path_factory.mktemp("stores"), _data(), seed=0)


def test_a_store_has_every_rule_as_a_task(store):
  counts = store.manifest["counts"]
  sizes = {name: split["examples"] for name, split in counts.items()}
  assert sizes == {"train": 300, "unseen": 40, "seen": 60}
  tasks = {name: split["tasks"] for name, split in counts.items()}
  assert tasks == {"train": 30, "unseen": 40, "seen": 30}
  assert not any(split["cut"] for split in counts.values())
  assert store.tasks[0] == "rule-000000" and store.tasks[30] == "unseen-000000"
  assert store.tasks[-1] == "rule-000029.seen"
  assert {*store.categories} == {"random"}


def test_rows_are_the_tokens_of_the_blocks(store):
  rows = iter(range(len(store)))
  for split in rewrites.splits(_OPTIONS, 0):
    for block in examples.blocks(split, _OPTIONS, 0, size=77):
      for tokens, length in zip(*serial.tokens(block), strict=True):
        row = store.row(next(rows))
        assert row.tokens.tolist() == tokens[:length].tolist()
        # The loss is on the target and its end.
        target = length - (5 + 3 + 4 + 12 - 1)
        assert row.mask.tolist() == [0] * (length - target) + [1] * target
  assert next(rows, None) is None


def test_texts_read_as_the_reference_rewrites_them(store):
  ids = np.arange(len(store))
  kinds = collections.Counter()
  for key, (prompt, answer) in zip(
      store.keys(ids), store.texts(ids), strict=True
  ):
    rule, z = prompt.split("\n\n")
    x, y = rule.split(" -> ")
    assert answer == markov.rewrite(x, y, z)
    kind = rewrites.kind_of(key)
    kinds[kind] += 1
    assert (x in z) == (kind == "op1")
  assert {*kinds} == {"op1", "noop", "hard"}
  assert kinds["noop"] + kinds["hard"] == pytest.approx(120, abs=8)


def test_held_out_answers_are_judged_with_their_input(store):
  unseen = store.split_ids("unseen")
  for example, (prompt, answer) in zip(
      store.answered(unseen), store.texts(unseen), strict=True
  ):
    assert example.references == [answer]
    assert example.input == prompt.split("\n")[2]


def test_the_manifest_describes_the_rules(store):
  source = store.manifest["source"]
  assert source["rules"] == source["rules_with_examples"] == 30
  assert source["effective_rules"] == 30.0
  keys = store.keys(store.split_ids("train"))
  noops = sum(rewrites.kind_of(key) != "op1" for key in keys)
  assert source["noops"] == noops


def test_other_prompts_and_tokenizers_read_examples_as_text(tmp_path):
  data = _data(prompt="plain", tokenizer="bytes")
  prompt, answer = prepare.prepare(tmp_path, data, seed=0).texts([0])[0]
  rule, input_line, output_line = prompt.split("\n")
  assert (
      " -> " in rule
      and input_line.startswith("Input: ")
      and output_line == "Output: "
  )
  assert len(answer) in (12, 13)


def test_the_tokenizer_names_the_prompt_it_needs(tmp_path):
  with pytest.raises(errors.InputError, match=r"not 'I' .*prompt='joined'"):
    prepare.prepare(tmp_path, _data(prompt="plain"), seed=0)


def test_wrong_examples_are_not_written(tmp_path, monkeypatch):
  def wrong(x, y, z, first):
    return z, np.full(len(z), z.shape[1])

  monkeypatch.setattr(examples, "rewrite", wrong)
  with pytest.raises(errors.InputError, match="Nothing was written"):
    prepare.prepare(tmp_path, _data(), seed=0)
  assert not [*tmp_path.iterdir()]


def test_no_seen_set_without_seen_examples():
  options = rewrites_options.Rewrites(rules=5, examples=10, unseen=3, seen=0)
  small_suite = rewrites.rewrites(_data(options), 0)
  assert small_suite.heldout == ("unseen",)
  splits = collections.Counter(
      example.split for example in small_suite.examples()
  )
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
  rows = [*rewrites.rewrites(_data(options), 0).examples()]
  assert [row.category for row in rows][:4] == [
      "repeat-2",
      "mirror-2",
      "repeat-4",
      "mirror-4",
  ]
  assert rows[-1].category == "random"
