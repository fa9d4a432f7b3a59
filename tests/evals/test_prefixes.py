"""Prefixes save as many tokens as any cut of the sorted examples."""

import numpy as np
import pytest

from zsgen.data import store as store_lib
from zsgen.evals import prefixes


def _row(prompt, answer=2) -> store_lib.TokenRow:
  """Returns a row whose prompt ends with a token that no prefix has."""
  tokens = np.array([*prompt, 7, *[8] * answer], np.uint32)
  mask = np.array([0] * (len(prompt) + 1) + [1] * answer, np.uint8)
  return store_lib.TokenRow(tokens, mask)


def _cut(items):
  """Yields all ways to cut a sequence."""
  if not items:
    yield []
  for size in range(1, len(items) + 1):
    for rest in _cut(items[size:]):
      yield [items[:size], *rest]


def _saved(prompts, groups) -> int:
  """Counts tokens that prefixes save; those under 16 tokens save none."""
  total = 0
  for members in groups:
    columns = zip(*(prompts[i] for i in members), strict=False)
    is_common = [len(set(column)) == 1 for column in columns]
    common = is_common.index(False) if False in is_common else len(is_common)
    total += (len(members) - 1) * (common if common >= 16 else 0)
  return total


@pytest.mark.parametrize("seed", range(8))
def test_no_other_cut_saves_more(seed):
  rng = np.random.default_rng(seed)
  # Branches of a tree: prompts have beginnings of many lengths in common.
  trunks = rng.integers(1, 3, (6, 12))
  prompts = [
      np.concatenate(
          [trunks[: rng.integers(1, 5)].ravel(), rng.integers(1, 5, 4)]
      )
      for _ in range(6)
  ]
  prompts = [prompt.tolist() for prompt in prompts]
  groups = prefixes.find_groups(map(_row, prompts))
  lengths = np.array([len(prompt) + 3 for prompt in prompts])
  assert sorted(i for group in groups for i in group.members) == list(range(6))
  saved = lengths.sum() - sum(group.tokens(lengths) for group in groups)
  order = sorted(range(6), key=lambda i: prompts[i])
  best = max(_saved(prompts, partition) for partition in _cut(order))
  assert saved == best


def test_a_prefix_ends_before_the_token_that_predicts_the_answer():
  rows = [_row([1] * 30), _row([1] * 30, answer=3)]
  (group,) = prefixes.find_groups(rows)
  assert group == prefixes.Group(30, (0, 1))
  for row in rows:
    assert not row.mask[: group.prefix + 1].any()


def test_short_prefixes_and_bare_answers_are_not_shared():
  short = [_row([1] * 15), _row([1] * 15)]
  assert prefixes.find_groups(short) == prefixes.singles(2)
  answers = [store_lib.TokenRow(np.ones(40, np.uint32), np.ones(40, np.uint8))]
  assert prefixes.find_groups(answers * 2) == prefixes.singles(2)
  assert prefixes.find_groups(answers) == prefixes.singles(1)


def test_the_sequence_of_examples_does_not_matter():
  rng = np.random.default_rng(0)
  prompts = [
      [i % 3 + 1] * 20 + rng.integers(1, 9, 9).tolist() for i in range(9)
  ]
  order = rng.permutation(9)
  groups = prefixes.find_groups(_row(prompt) for prompt in prompts)
  permuted = prefixes.find_groups(_row(prompts[i]) for i in order)
  renamed = [
      (group.prefix, tuple(sorted(order[list(group.members)].tolist())))
      for group in permuted
  ]
  assert sorted(renamed) == sorted(map(tuple, groups))
  assert len(groups) == 3


def test_groups_are_split_to_fit():
  lengths = np.array([50, 60, 70, 80, 30])
  groups = [prefixes.Group(40, (0, 1, 2, 3)), prefixes.Group(0, (4,))]
  for limit in (80, 100, 160, 300):
    parts = prefixes.split_groups(groups, lengths, limit)
    assert max(part.tokens(lengths) for part in parts) <= limit
    members = sorted(i for part in parts for i in part.members)
    assert members == list(range(5))
    # A member by itself is an example without a prefix.
    assert all((part.prefix == 0) == (len(part.members) == 1) for part in parts)
  assert len(prefixes.split_groups(groups, lengths, 300)) == 2
