"""Rules, their families and how many examples they have."""

import dataclasses

import numpy as np
import pytest
import rewriting

from zsgen.core import errors
from zsgen.rewrites import source as rewrites
from zsgen.rewrites.source import (
    checks,
    counts,
    examples,
    patterns,
    rules,
    serial,
)
from zsgen.rewrites.source import options as rewrites_options

_SMALL = rewriting.small_options(rules=60, examples=240)


def _pairs(table: rules.Rules) -> list[tuple[str, str]]:
  return list(zip(serial.texts(table.x), serial.texts(table.y), strict=True))


def _letters(text: str) -> np.ndarray:
  return np.array([[ord(c) - ord("a") for c in text]], np.uint8)


@pytest.mark.parametrize(
    ("family", "k", "expected"),
    [
        ("repeat", 3, "aaabbbccc"),
        ("period", 2, "abcabc"),
        ("mirror", 3, "abccbaabc"),
        ("random", 1, "abc"),
    ],
)
def test_families(family, k, expected):
  kind = patterns.Kind(family, k)
  pattern = patterns.build(kind, _letters("abc"))
  assert serial.texts(pattern) == [expected]
  assert serial.texts(patterns.base(kind, pattern)) == ["abc"]


def test_kinds_have_k_1_once():
  kinds = patterns.kinds(("repeat", "period"), (1, 2))
  assert [kind.name for kind in kinds] == ["random", "repeat-2", "period-2"]
  assert patterns.divisors(60, 3, 12) == (3, 4, 5, 6, 10, 12)


def test_fewer_rules_are_the_first_of_more():
  for options in (rewrites_options.Rewrites(), _SMALL):
    pairs = _pairs(rules.draw(options, "train", 3, 3000))
    for count in (1, 10, 300):
      assert _pairs(rules.draw(options, "train", 3, count)) == pairs[:count]


def test_rules_differ_by_seed_and_split():
  first = _pairs(rules.draw(_SMALL, "train", 0, 50))
  assert first != _pairs(rules.draw(_SMALL, "train", 1, 50))
  assert not {*first} & {*_pairs(rules.draw(_SMALL, "unseen", 0, 50))}


def test_letters_are_even():
  options = rewrites_options.Rewrites(letters=16)
  table = rules.draw(options, "train", 0, 2000)
  for side in (table.x, table.y):
    times = np.bincount(side.ravel(), minlength=16)
    assert len(times) == 16
    assert ((times - 2500) ** 2 / 2500).sum() < 60  # 15 degrees of freedom.


def test_no_pattern_of_unseen_rules_is_in_training():
  train = _pairs(rules.draw(_SMALL, "train", 0, 5000))
  unseen = _pairs(rules.draw(_SMALL, "unseen", 0, 1000))
  assert len({*train}) == 5000 and len({*unseen}) == 1000
  assert not {*sum(train, ())} & {*sum(unseen, ())}
  assert all(x != y for x, y in train + unseen)


def test_a_share_of_the_patterns_is_withheld():
  letters = np.random.default_rng(0).integers(26, size=(20_000, 20), dtype="u1")
  key = np.array(1, np.uint64)
  assert abs(patterns.withheld(letters, 0.25, key).mean() - 0.25) < 0.015
  smaller, larger = (
      patterns.withheld(letters, share, key) for share in (0.1, 0.25)
  )
  assert smaller.any() and not (smaller & ~larger).any()


def test_kinds_have_equal_shares_until_one_is_used_up():
  options = rewrites_options.Rewrites(
      x_length=12,
      y_length=12,
      families=("repeat", "period", "mirror"),
      ks=(3, 4, 12),
      distinct="pair",
  )
  large = dataclasses.replace(options, ks=(3, 4))
  table = rules.draw(large, "train", 0, 900)
  assert np.bincount(table.kind).tolist() == [150] * 6
  table = rules.draw(options, "train", 0, 9000)
  shares = np.bincount(table.kind)
  # k = 12 is one letter: all families are one, with less than 26 x 25 pairs.
  assert [kind.k for kind in table.kinds] == [3, 3, 3, 4, 4, 4, 12, 12, 12]
  assert shares[6:].sum() < 26 * 25
  assert shares.sum() == 9000 and shares[:6].min() > 1300
  base = patterns.base(table.kinds[0], table.x[table.kind == 0])
  assert np.array_equal(table.x[table.kind == 0], np.repeat(base, 3, axis=1))


def test_unseen_rules_may_have_other_families():
  options = dataclasses.replace(
      _SMALL,
      x_length=6,
      y_length=6,
      families=("repeat",),
      ks=(3, 6),
      heldout_families=("repeat", "mirror"),
      heldout_ks=(1, 2),
  )
  train, unseen, seen_split = rewrites.splits(options, 0)
  assert [kind.name for kind in train.rules.kinds] == ["repeat-3", "repeat-6"]
  assert [kind.name for kind in unseen.rules.kinds] == [
      "random",
      "repeat-2",
      "mirror-2",
  ]
  assert seen_split.rules is train.rules


def test_rules_used_up_are_an_error_with_numbers():
  options = rewrites_options.Rewrites(
      letters=2, x_length=2, y_length=2, z_length=9
  )
  message = r"of 5 distinct rules of train \d were found .* with letters=2"
  with pytest.raises(errors.InputError, match=message):
    rules.draw(options, "train", 0, 5)


def test_all_rules_have_as_many_examples_and_the_lowest_the_rest():
  options = rewrites_options.Rewrites(rules=3, examples=11)
  assert counts.of_rules(options, 0).tolist() == [4, 4, 3]


@pytest.mark.parametrize(
    ("shape", "number", "hundred", "effective"),
    [
        (2.0, 1000, (985, 1000), (910, 950)),
        (0.5, 1000, (775, 865), (610, 690)),
        (0.2, 1000, (510, 605), (340, 430)),
        (0.03, 1000, (125, 210), (50, 106)),
        (0.2, 10_000, (2880, 3170), (3700, 4030)),
    ],
)
def test_power_laws_are_those_of_the_papers_figure(
    shape, number, hundred, effective
):
  """Checks rules with 100 or more examples, and effective ones (Fig. 3)."""
  options = rewrites_options.Rewrites(
      rules=number, examples=10**6, power_law=shape
  )
  for seed in range(3):
    sizes = counts.of_rules(options, seed)
    assert sizes.sum() == 10**6
    assert hundred[0] <= (sizes >= 100).sum() <= hundred[1]
    assert effective[0] <= counts.effective(sizes) <= effective[1]


def test_a_subsample_is_even_or_has_a_long_tail():
  half = rewrites_options.Rewrites(rules=100, examples=10_000, subsample=0.5)
  assert counts.of_rules(half, 0).tolist() == [50] * 100
  tail = dataclasses.replace(half, subsample_power_law=0.2)
  sizes = counts.of_rules(tail, 0)
  assert sizes.sum() == 5000 and sizes.max() == 100 and sizes.min() < 5
  assert counts.effective(sizes) < 80


def test_apportioned_numbers_stay_below_the_limits():
  sizes = counts.apportion(np.array([8.0, 1.0, 1.0]), 10, np.array([3, 9, 9]))
  assert sizes.tolist() == [3, 4, 3]
  assert counts.apportion(np.ones(2), 4, np.array([2, 2])).tolist() == [2, 2]


def _no_repeats(train: rules.Rules, unseen: rules.Rules):
  return train._replace(kinds=[patterns.Kind("repeat", 2)]), unseen


def _idle(train: rules.Rules, unseen: rules.Rules):
  y = np.concatenate([train.x[:1], train.y[1:]])
  return train._replace(y=y), unseen


def _twice(train: rules.Rules, unseen: rules.Rules):
  x, y = (np.concatenate([column[1:2], column[1:]]) for column in train[:2])
  return train._replace(x=x, y=y), unseen


def _fewer(train: rules.Rules, unseen: rules.Rules):
  return rules.Rules(*(column[1:] for column in train[:3]), train.kinds), unseen


def _known(train: rules.Rules, unseen: rules.Rules):
  return train, unseen._replace(y=train.x[: len(unseen.y)])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_known, "in training rules and are y of unseen"),
        (_fewer, "59 training rules, not 60"),
        (_twice, "59 distinct rules of train, not 60"),
        (_idle, "1 rules x -> x of train, not 0"),
        (_no_repeats, "patterns of train are not repeat-2"),
    ],
)
def test_checks_find_wrong_rules(spoil, message):
  train, unseen, _ = rewrites.splits(_SMALL, 0)
  checks.check_rules(train, unseen, _SMALL)
  wrong = spoil(train.rules, unseen.rules)
  train, unseen = (
      split._replace(rules=wrong_rules)
      for split, wrong_rules in zip((train, unseen), wrong, strict=True)
  )
  with pytest.raises(errors.InputError, match=message):
    checks.check_rules(train, unseen, _SMALL)


def test_checks_find_wrong_counts():
  train, unseen, _ = rewrites.splits(_SMALL, 0)
  less = examples.Split("train", train.rules, train.counts[1:], (1,))
  with pytest.raises(errors.InputError, match="236 training examples, not 240"):
    checks.check_rules(less, unseen, _SMALL)
