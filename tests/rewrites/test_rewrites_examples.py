"""Inputs and targets: what is in them, and that they depend on nothing else."""

import dataclasses

import numpy as np
import pytest
import rewriting

from zsgen.core import errors
from zsgen.rewrites import source as rewrites
from zsgen.rewrites.source import examples, inputs, markov, serial, watch
from zsgen.rewrites.source import options as rewrites_options
from zsgen.rewrites.tokenizer import Rewrites

_SMALL = rewriting.small_options()
_FIELDS = examples.Block._fields


def _block(options: rewrites_options.Rewrites, split: int = 0, seed: int = 0):
  """Returns all examples of a split."""
  split_data = rewrites.splits(options, seed)[split]
  (block,) = examples.blocks(split_data, options, seed, size=10**6)
  return block


def _texts(block: examples.Block) -> list[tuple[str, ...]]:
  """Returns x, y, z and target of each example."""
  columns = [serial.texts(letters) for letters in (block.x, block.y, block.z)]
  return list(zip(*columns, serial.targets(block), strict=True))


def _count(x: str, z: str) -> int:
  return sum(z.startswith(x, position) for position in range(len(z)))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"noop_share": 0.4},
        {"noop_share": 0.5, "hard_share": 0.5, "y_length": 5},
        {"y_length": 1, "noop_share": 0.2},
        {"occurrences": (1, 2, 4), "letters": 26},
        {"x_length": 6, "y_length": 6, "families": ("repeat",), "ks": (3, 6)},
        {"letters": 2, "x_length": 4, "rules": 9, "unseen": 2},
    ],
)
def test_targets_are_those_of_the_reference(options):
  for x, y, z, target in _texts(_block(rewriting.small_options(**options))):
    assert target == markov.rewrite(x, y, z)


def test_rewriting_where_x_overlaps_itself_or_is_at_an_end():
  rows = [
      ("aa", "bac", "caaba", "cbacba"),
      ("aa", "bac", "aaaaa", "bacaaa"),
      ("aa", "bac", "bbbaa", "bbbbac"),
      ("ab", "bac", "bbbba", "bbbba"),
  ]
  x, y, z = (
      np.array([[ord(c) - ord("a") for c in row[part]] for row in rows], "u1")
      for part in range(3)
  )
  matches = inputs.find(x, z)
  assert matches.first.tolist() == [1, 0, 3, -1]
  assert matches.count.tolist() == [1, 4, 1, 0]
  target, lengths = examples.rewrite(x, y, z, matches.first)
  texts = [
      text[:length]
      for text, length in zip(serial.texts(target), lengths, strict=True)
  ]
  assert texts == [row[3] for row in rows]


def test_random_rewrites_equal_the_reference():
  """Checks short strings of two letters, in which x is anywhere, and often."""
  rng = np.random.default_rng(0)
  for size, put in ((1, 1), (2, 1), (2, 3), (3, 5)):
    x, y, z = (
        rng.integers(2, size=(3000, length), dtype=np.uint8)
        for length in (size, put, 7)
    )
    target, lengths = examples.rewrite(x, y, z, inputs.find(x, z).first)
    columns = map(serial.texts, (x, y, z, target))
    for (left, right, text, actual), length in zip(
        zip(*columns, strict=True), lengths, strict=True
    ):
      assert actual[:length] == markov.rewrite(left, right, text)


def test_an_example_depends_on_its_numbers_only():
  options = rewriting.small_options(
      noop_share=0.3, hard_share=0.5, occurrences=(1, 2)
  )
  for split in rewrites.splits(options, 1):
    (full_block,) = examples.blocks(split, options, 1, size=10**6)
    parts = [
        *examples.blocks(split, options, 1, 0, 37, size=10),
        *examples.blocks(split, options, 1, 37, size=501),
    ]
    for name in _FIELDS:
      joined = np.concatenate([getattr(part, name) for part in parts])
      assert np.array_equal(joined, getattr(full_block, name)), name


def test_examples_are_unchanged():
  """Stores that are there, and results on them, can be made again."""
  options = rewrites_options.Rewrites(rules=2, examples=4, unseen=1, seen=0)
  assert _texts(_block(options))[0] == (
      "poxchpviivwzjjkngwqu",
      "qzmdfdlujxxbypwztrto",
      "ogygsgepoxchpviivwzjjkngwquxenzanrxxanicumfigtbwot",
      "ogygsgeqzmdfdlujxxbypwztrtoxenzanrxxanicumfigtbwot",
  )


def _by_number(block: examples.Block) -> dict:
  keys = zip(block.rule.tolist(), block.number.tolist(), strict=True)
  return dict(zip(keys, _texts(block), strict=True))


@pytest.mark.parametrize(
    "changes",
    [
        {"rules": 200},  # Fewer examples of each.
        {"examples": 3000},
        {"rules": 500, "examples": 2000},
        {"subsample": 0.5, "subsample_power_law": 0.3},
    ],
)
def test_grids_are_nested(changes):
  options = rewriting.small_options(noop_share=0.3)
  smaller, larger = (
      _by_number(_block(grid))
      for grid in (options, dataclasses.replace(options, **changes))
  )
  common = smaller.keys() & larger.keys()
  assert len(common) >= 180
  assert all(smaller[key] == larger[key] for key in common)


def test_unseen_examples_do_not_depend_on_training():
  usual = _texts(_block(_SMALL, split=1))
  for changes in (
      {"rules": 700},
      {"examples": 50},
      {"power_law": 0.5},
      {"occurrences": (2,), "heldout_occurrences": (1,)},
  ):
    assert _texts(_block(rewriting.small_options(**changes), split=1)) == usual
  assert (
      _texts(_block(rewriting.small_options(unseen=20), split=1)) == usual[:20]
  )
  assert _texts(_block(_SMALL, split=1, seed=1)) != usual


def test_seen_examples_are_new_inputs_of_training_rules():
  options = rewriting.small_options(x_length=6, y_length=6, z_length=30)
  train, seen_rows = (_texts(_block(options, split)) for split in (0, 2))
  assert {row[:2] for row in seen_rows} == {row[:2] for row in train}
  assert not {*seen_rows} & {*train}


def test_shares_of_noops_hold_with_one_example_a_rule_too():
  for rules in (10, 1000):
    options = rewriting.small_options(
        rules=rules, noop_share=0.3, hard_share=0.4, letters=26, unseen=500
    )
    for split in (0, 1):
      block = _block(options, split)
      noop = block.copies <= 0
      assert abs(noop.mean() - 0.3) < 0.02
      hard = (block.copies == inputs.HARD)[noop].mean()
      assert abs(hard - 0.4) < 0.05


def test_a_hard_noop_has_all_of_x_but_a_letter():
  block = _block(rewriting.small_options(noop_share=1.0, hard_share=1.0))
  for x, _, z, target in _texts(block):
    distance = min(
        sum(
            a != b
            for a, b in zip(x, z[position : position + len(x)], strict=True)
        )
        for position in range(len(z) - len(x) + 1)
    )
    assert distance == 1 and target == z


def test_x_occurs_as_often_as_requested():
  options = rewriting.small_options(occurrences=(1, 2, 4), letters=26)
  block = _block(options)
  texts = _texts(block)
  assert (
      np.bincount(block.copies)[[1, 2, 4]].tolist()
      == [pytest.approx(333, abs=20)] * 3
  )
  for copies, (x, _, z, _) in zip(block.copies, texts, strict=True):
    exact = not inputs.overlaps(np.array([[*map(ord, x)]]))[0]
    assert _count(x, z) == copies if exact else _count(x, z) >= copies


def test_a_long_run_of_one_letter_can_be_planted_once():
  options = rewriting.small_options(
      rules=10,
      examples=200,
      unseen=3,
      letters=26,
      x_length=12,
      y_length=12,
      z_length=50,
      families=("period",),
      ks=(12,),
  )
  assert {_count(x, z) for x, _, z, _ in _texts(_block(options))} == {1}


def test_positions_are_even():
  options = rewriting.small_options(letters=26, rules=10, examples=5000)
  counts = np.bincount(_block(options).first, minlength=10)
  assert len(counts) == 10
  assert ((counts - 500) ** 2 / 500).sum() < 40  # 9 degrees of freedom.


def test_lengths_are_exact():
  options = rewriting.small_options(y_length=5, noop_share=0.5)
  block = _block(options)
  assert block.z.shape[1] == 12
  expected = np.where(block.first < 0, 12, 12 - 3 + 5)
  assert block.lengths.tolist() == expected.tolist()
  tokens, lengths = serial.tokens(block)
  assert tokens.shape == (1000, 5 + 3 + 5 + 12 + 14)
  assert lengths.tolist() == (5 + 3 + 5 + 12 + expected).tolist()


@pytest.mark.parametrize(
    ("z", "p", "length"), [(50, 20, 145), (100, 40, 285), (200, 50, 505)]
)
def test_the_papers_lengths(z, p, length):
  options = rewrites_options.Rewrites(
      rules=2, examples=4, x_length=p, y_length=p, z_length=z, unseen=1
  )
  tokens, lengths = serial.tokens(_block(options))
  assert tokens.shape == (4, length) and {*lengths.tolist()} == {length}


def test_tokens_read_as_the_example():
  block = _block(rewriting.small_options(noop_share=0.5, y_length=2))
  tokens, lengths = serial.tokens(block)
  decode = Rewrites().decode
  for row, length, (x, y, z, target) in zip(
      tokens, lengths, _texts(block), strict=True
  ):
    assert decode(row) == f"{x} -> {y}\n\n{z}\n{target}"
    assert row[0] == 2 and row[length - 1] == 1 and not row[length:].any()


def test_the_cipher_shifts_rewritten_texts():
  usual, turned = (
      _block(rewriting.small_options(cipher=c, noop_share=0.4)) for c in (0, 3)
  )
  is_rewritten = usual.first >= 0
  assert np.array_equal(turned.z, usual.z)
  assert np.array_equal(turned.target[~is_rewritten], usual.z[~is_rewritten])
  assert np.array_equal(
      turned.target[is_rewritten], (usual.target[is_rewritten] + 3) % 8
  )


def _watched(options: rewrites_options.Rewrites, **spoilt) -> watch.Watch:
  """Checks training examples of which some columns are replaced."""
  train = rewrites.splits(options, 0)[0]
  watched = watch.Watch(train, options)
  watched.add(_block(options)._replace(**spoilt))
  watched.end()
  return watched


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"noop_share": 0.5, "hard_share": 0.2},
        {"occurrences": (1, 3), "cipher": 3},
        {"y_length": 4, "power_law": 0.2},
    ],
)
def test_checks_pass_generated_examples(options):
  assert _watched(rewriting.small_options(**options))._count == _SMALL.examples


def test_checks_find_wrong_examples():
  options = rewriting.small_options(noop_share=0.5)
  block = _block(options)
  for spoilt, message in (
      ({"target": block.target[:, ::-1]}, r" makes \w+ of \w+, not "),
      ({"target": block.z[::-1]}, "no-ops of train are not z|makes"),
      ({"z": np.roll(block.z, 1, 0)}, r"x occurs 0 times, not 1, in the input"),
      ({"copies": np.maximum(block.copies, 1)}, "x occurs 0 times, not 1"),
  ):
    with pytest.raises(errors.InputError, match=message):
      _watched(options, **spoilt)


def test_checks_find_a_wrong_share_and_uneven_positions():
  options = rewriting.small_options(noop_share=0.5)
  with pytest.raises(errors.InputError, match=r"0\.0000 of the examples"):
    _checked_as(_block(rewriting.small_options()), options)
  block = _block(rewriting.small_options())
  first = np.flatnonzero(block.first == 0)
  columns = [column[np.resize(first, 1000)] for column in block]
  with pytest.raises(errors.InputError, match="chi-square"):
    _checked_as(examples.Block(*columns), rewriting.small_options())


def _checked_as(
    block: examples.Block, options: rewrites_options.Rewrites
) -> None:
  watched = watch.Watch(rewrites.splits(options, 0)[0], options)
  watched.add(block)
  watched.end()


def test_an_impossible_input_is_an_error_with_numbers():
  options = rewriting.small_options(
      letters=2, x_length=1, y_length=1, z_length=40, noop_share=1.0
  )
  x = np.zeros((1, 1), np.uint8)
  with pytest.raises(errors.InputError, match=r"z_length=40 .* x='a' 0 times"):
    inputs.draw(x, np.zeros(1, int), np.ones(1, np.uint64), options)
