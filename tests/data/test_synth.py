"""The embedded suite: its structure, its draws, and its answers."""

import collections
import itertools
import re
import sys

import pytest

from zsgen.core import config
from zsgen.data import suite
from zsgen.data.sources.synth import (
    HELDOUT,
    HELDOUT_FAMILY,
    SPLITS,
    TASKS,
    Options,
    synth,
)
from zsgen.data.sources.synth.languages import families
from zsgen.data.sources.synth.task import Dice, family
from zsgen.data.sources.synth.words import KINDS, OPPOSITE, WORDS


def _examples(seed: int = 0, train: int = 40, heldout: int = 5) -> list:
  data = Options(train_instances=train, heldout_instances=heldout)
  return list(synth(data, seed).examples())


def _answers(name: str, count: int = 100) -> list[tuple[str, str]]:
  """Returns drawn (input, answer) pairs of a task."""
  (task,) = [task for task in TASKS if task.name == name]
  dice = Dice(3, name)
  return [task.draw(dice) for _ in range(count)]


def _ints(text: str) -> list[int]:
  return list(map(int, re.findall(r"\d+", text)))


def test_families_have_one_sibling_held_out():
  siblings = collections.defaultdict(list)
  for task in TASKS:
    assert task.name.startswith(task.family + "_")
    siblings[task.family].append(task.name)
  assert len({task.name for task in TASKS}) == len(TASKS) >= 48
  assert len({task.definition for task in TASKS}) == len(TASKS)
  assert len(siblings) >= 12
  assert len(siblings.pop(HELDOUT_FAMILY)) >= 3
  for name, tasks in siblings.items():
    assert len(set(tasks) & set(HELDOUT)) == 1, name
    assert len(tasks) >= 3, name
  assert set(HELDOUT) <= {task.name for task in TASKS}


def test_splits_counts_and_sequence():
  examples = _examples()
  counts = collections.Counter(example.task for example in examples)
  splits = {example.task: example.split for example in examples}
  assert len({(example.task, example.split) for example in examples}) == len(
      splits
  )
  for name, split in splits.items():
    assert counts[name] == (40 if split == suite.TRAIN else 5), name
  assert list(dict.fromkeys(example.split for example in examples)) == list(
      SPLITS
  )
  assert synth(Options(), 0).heldout == SPLITS[1:]
  tasks = [example.task for example in examples]
  changes = sum(a != b for a, b in itertools.pairwise(tasks))
  assert changes == len(splits) - 1


def test_the_default_pool_is_large_distinct_and_short():
  examples = list(synth(Options(), 0).examples())
  train = [example for example in examples if example.split == suite.TRAIN]
  assert len(train) >= 5 * config.build(config.Order).budget
  assert len({(example.task, example.input) for example in examples}) == len(
      examples
  )
  assert len({(example.task, example.key) for example in examples}) == len(
      examples
  )
  for example in examples:
    (answer,) = example.targets
    text = f"{example.definition}\nInput: {example.input}\nOutput: {answer}"
    assert text.isascii() and len(text) <= 190
    assert len(example.definition) <= 80 and len(example.input) <= 45
    assert 1 <= len(answer) <= 35


def test_instances_are_a_function_of_seed_and_task():
  assert _examples(seed=1) == _examples(seed=1)
  first, second = (
      [example.input for example in _examples(seed=seed)] for seed in (1, 2)
  )
  assert sum(a == b for a, b in zip(first, second, strict=True)) < 20
  # More instances continue the same stream.
  fewer = [
      example for example in _examples(train=7) if example.task == "sum_add"
  ]
  larger = [
      example for example in _examples(train=9) if example.task == "sum_add"
  ]
  assert fewer == larger[:7]


def test_a_task_that_runs_out_gives_all_it_has(monkeypatch):
  coins = family(
      "coin", ("flip", "Flip.", lambda dice: (dice.choose("ab"), "x"))
  )
  module = sys.modules["zsgen.data.sources.synth"]
  monkeypatch.setattr(module, "TASKS", coins)
  assert sorted(example.input for example in _examples()) == ["a", "b"]


def test_dice():
  dice = Dice(5, "x")
  assert {dice.below(3) for _ in range(100)} == {0, 1, 2}
  assert {dice.between(4, 5) for _ in range(100)} == {4, 5}
  assert all(len(set(dice.sample(range(4), 4))) == 4 for _ in range(50))
  first = [Dice(5, "x").below(10**9), Dice(5, "y").below(10**9)]
  assert first == [Dice(5, "x").below(10**9), Dice(5, "y").below(10**9)]
  assert first[0] != first[1]


NUMBERS = {
    "filter_even": lambda n: [number for number in n if number % 2 == 0],
    "filter_large": lambda n: [number for number in n if number >= 51],
    "filter_tens": lambda n: [
        number for number in n if str(number)[-1] in "05"
    ],
    "pick_largest": lambda n: [sorted(n)[-1]],
    "order_down": lambda n: sorted(n, reverse=True),
    "order_rotate": lambda n: [*n[1:], n[0]],
    "sum_add": lambda n: [*n, n[0] + n[1]],
    "sum_subtract": lambda n: [*n, n[0] - n[1]],
    "sum_three": lambda n: [*n, n[0] + n[1] + n[2]],
    "sum_swapped": lambda n: [n[1], n[0], n[0] + n[1]],
    "next_up": lambda n: [2 * n[-1] - n[-2]],
    "next_down": lambda n: [2 * n[-1] - n[-2]],
    "next_twice": lambda n: [2 * n[2] - n[1], 3 * n[2] - 2 * n[1]],
    "next_gap": lambda n: [(n[1] + n[2]) // 2],
    "compare_smaller": sorted,
}


@pytest.mark.parametrize("name", NUMBERS)
def test_answers_on_numbers(name):
  for text, answer in _answers(name):
    assert _ints(answer) == NUMBERS[name](_ints(text))
    assert all(0 <= number <= 99 for number in _ints(text + " " + answer))


TEXTS = {
    "pick_last": lambda x: x.split(", ").pop(),
    "style_title": lambda x: " ".join(w[0].upper() + w[1:] for w in x.split()),
    "words_reverse": lambda x: " ".join(reversed(x.split())),
    "repeat_twice": lambda x: " and ".join([x] * 2),
    "letter_third": lambda x: f"The letter {x[2]}.",
    "letter_last": lambda x: f"The letter {x[len(x) - 1]}.",
    "count_items": lambda x: f"There are {x.count(',') + 1} of them.",
    "count_words": lambda x: f"There are {x.count(' ') + 1} of them.",
    "count_letters": lambda x: f"There are {len(list(x))} of them.",
    "count_vowels": (
        lambda x: f"There are {len(re.findall('[aeiou]', x))} of them."
    ),
    "kind_food": lambda x: "yes" if x.split()[2] in KINDS["food"] else "no",
    "label_number": lambda x: "several" if " are " in x else "single",
    "label_mood": lambda x: {"?": "question", ".": "statement", "!": "command"}[
        x[-1]
    ],
    "rewrite_denied": lambda x: x.replace(" is ", " is not "),
    "rewrite_opposite": (
        lambda x: x[: x.rindex(" ") + 1] + OPPOSITE[x.split()[-1][:-1]] + "."
    ),
    "ask_where": lambda x: x.split()[-1][:-1],
    "ask_who": lambda x: x.split()[0],
}


@pytest.mark.parametrize("name", TEXTS)
def test_answers_on_texts(name):
  for text, answer in _answers(name):
    assert answer == TEXTS[name](text), text


def test_the_found_noun_is_the_only_one_of_its_kind():
  for text, answer in _answers("find_place"):
    (noun,) = set(text.split(", ")) & set(KINDS["place"])
    assert answer == f"{noun} is a place"


def test_ages():
  for text, answer in _answers("compare_older"):
    first_name, first_age, second_name, second_age = re.findall(
        r"[A-Z]\w+|\d+", text
    )
    elder = first_name if int(first_age) > int(second_age) else second_name
    assert answer == f"{elder} is older"


def test_past_and_plural():
  assert all(text != answer for text, answer in _answers("rewrite_past"))
  answers = dict(_answers("rewrite_plural", 3000))
  irregular = [v for k, v in answers.items() if k.startswith("The mouse is")]
  assert irregular and all(v.startswith("The mice are") for v in irregular)


def test_a_noun_is_of_one_kind():
  nouns = [noun for kind in KINDS.values() for noun in kind]
  assert len(set(nouns)) == len(nouns)
  assert len(set(WORDS)) == len(WORDS) and min(map(len, WORDS)) >= 3


def test_far_families_are_added_to_the_training_tasks():
  base = _examples(train=6)
  data = Options(train_instances=6, heldout_instances=5, far_families=3)
  examples = list(synth(data, 0).examples())
  assert [x for x in examples if not x.category.startswith("language")] == base
  far_examples = [x for x in examples if x.category.startswith("language")]
  assert {x.split for x in far_examples} == {suite.TRAIN}
  assert len({x.task for x in far_examples}) == 9 and len(far_examples) == 54
  assert len({x.definition for x in far_examples}) == 9
  words = [set(f"{x.input} {x.targets[0]}".split()) for x in far_examples]
  known = set(" ".join(x.input for x in base).split())
  assert not set.union(*words) & known


def test_a_far_task_has_one_answer_for_every_input():
  forward, backward, pick = families(1)
  pairs = [forward.draw(Dice(seed, "a")) for seed in range(50)]
  dictionary = {}
  for text, answer in pairs:
    for word, meaning in zip(text.split(), answer.split(), strict=True):
      assert dictionary.setdefault(word, meaning) == meaning
  for text, answer in (backward.draw(Dice(seed, "b")) for seed in range(20)):
    for word, meaning in zip(text.split(), answer.split(), strict=True):
      assert dictionary.get(meaning, word) == word
  text, answer = pick.draw(Dice(0, "c"))
  assert answer in text.split() and len(text.split()) == 3
