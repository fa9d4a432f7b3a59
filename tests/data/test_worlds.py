"""The pre-training texts: no instruction leaks, and what they say is so."""

import collections
import re

from zsgen.core import config
from zsgen.data import suite
from zsgen.data.sources.synth import TASKS
from zsgen.data.sources.synth.task import Dice
from zsgen.data.sources.worlds import THEMES, worlds


def _examples(seed: int = 0, train: int = 300, heldout: int = 3) -> list:
  data = config.build(
      config.Data, train_instances=train, heldout_instances=heldout
  )
  return list(worlds(data, seed).examples())


def _runs(text: str, length: int = 5) -> set[tuple[str, ...]]:
  """Returns all runs of `length` words."""
  words = re.findall(r"[a-z0-9]+", text.lower())
  return {tuple(words[i:][:length]) for i in range(len(words) - length + 1)}


def test_splits_and_counts():
  examples = _examples()
  counts = collections.Counter(
      (example.task, example.split) for example in examples
  )
  assert counts == {
      (f"worlds_{theme}{end}", split): count
      for theme in THEMES
      for end, split, count in (
          ("", suite.TRAIN, 300),
          ("_check", "heldout", 3),
      )
  }
  assert worlds(config.build(config.Data), 0).heldout == ("heldout",)
  assert {example.definition + example.input for example in examples} == {""}


def test_texts_are_a_function_of_the_seed():
  assert _examples(4, 20) == _examples(4, 20)
  first, second = ({e.targets for e in _examples(seed)} for seed in (1, 2))
  assert not first & second


def test_texts_differ_and_have_their_length():
  texts = [example.targets[0] for example in _examples()]
  assert len(set(texts)) == len(texts)
  assert all(text.isascii() and 100 <= len(text) <= 240 for text in texts)
  assert 150 <= sum(map(len, texts)) / len(texts) <= 200


def test_no_instruction_of_the_suite_occurs():
  instructions = set().union(*(_runs(task.definition) for task in TASKS))
  wordings = [
      wording
      for facts in THEMES.values()
      for fact in facts
      for wording in fact.wordings
  ]
  texts = [example.targets[0] for example in _examples()]
  for text in wordings + texts:
    assert not _runs(text) & instructions, text
    assert "input:" not in text.lower() and "output:" not in text.lower()


def test_every_wording_can_be_filled():
  dice = Dice(0, "wordings")
  for facts in THEMES.values():
    for fact in facts:
      for wording in fact.wordings:
        text = wording.format_map(fact.fields(dice))
        assert text and "{" not in text


def test_statements_are_true():
  text = "\n".join(example.targets[0] for example in _examples(train=1500))
  sums = re.findall(r"^(\d+) \+ (\d+) = (\d+)$", text, re.M)
  larger = re.findall(r"(\d+) is larger than (\d+)\.", text)
  counted = re.findall(r"^([a-z]+) has (\d+) letters", text, re.M)
  evens = re.findall(r"The numbers ([\d, ]+): of these ([\d, ]+) are", text)
  turned = re.findall(r"^([\d ]+) -> backward: ([\d ]+)$", text, re.M)
  assert min(map(len, (sums, larger, counted, evens, turned))) > 20
  assert all(int(a) + int(b) == int(c) for a, b, c in sums)
  assert all(int(a) > int(b) for a, b in larger)
  assert all(len(word) == int(count) for word, count in counted)
  for every, even in evens:
    expected = [n for n in every.split(", ") if int(n) % 2 == 0]
    assert expected == even.split(", ")
  assert all(a.split()[::-1] == b.split() for a, b in turned)
