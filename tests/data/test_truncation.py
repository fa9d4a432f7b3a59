"""What a cut leaves of an example."""

import numpy as np
import pytest

from zsgen.data import truncation


def _cut(mask, max_length, policy):
  """Returns the positions that remain, and the flags."""
  mask = np.array(mask, np.uint8)
  result = truncation.cut(
      np.arange(len(mask), dtype=np.uint32), mask, max_length, policy
  )
  assert (result.tokens.dtype, result.mask.dtype) == (np.uint32, np.uint8)
  assert result.mask.tolist() == mask[result.tokens].tolist()
  return result.tokens.tolist(), (result.cut, result.answer_cut, result.lost)


CUT, ANSWER_CUT = (True, False, False), (True, True, False)


@pytest.mark.parametrize(
    ("policy", "max_length", "positions", "flags"),
    [
        ("tail", 9, range(9), (False, False, False)),
        ("tail", 8, range(8), ANSWER_CUT),
        ("tail", 6, range(6), (True, True, True)),
        ("prompt", 9, range(9), (False, False, False)),
        ("prompt", 8, (0, 1, 2, 4, 5, 6, 7, 8), CUT),
        ("prompt", 7, (0, 1, 4, 5, 6, 7, 8), CUT),
        ("prompt", 4, (0, 6, 7, 8), CUT),
        ("prompt", 3, (0, 6, 7), ANSWER_CUT),
        ("prompt", 1, (0,), (True, True, True)),
    ],
)
def test_six_tokens_of_prompt_and_three_of_answer(
    policy, max_length, positions, flags
):
  actual = _cut([0] * 6 + [1] * 3, max_length, policy)
  assert actual == (list(positions), flags)


def test_only_the_first_prompt_of_a_conversation_is_cut():
  mask = [0, 0, 0, 0, 1, 1, 0, 0, 1, 1]
  assert _cut(mask, 8, "prompt") == ([0, 3, *range(4, 10)], CUT)
  assert _cut(mask, 6, "prompt") == ([0, *range(4, 9)], ANSWER_CUT)


def test_rows_without_loss_are_cut_but_not_lost():
  for policy in ("tail", "prompt"):
    assert _cut([0] * 5, 3, policy) == ([0, 1, 2], CUT)


@pytest.mark.parametrize("seed", range(4))
def test_any_lengths(seed):
  rng = np.random.default_rng(seed)
  for _ in range(300):
    turns = rng.integers(1, 4)
    lengths = rng.integers(0, 12, 2 * turns)
    mask = np.repeat(np.tile([0, 1], turns), lengths)
    mask[:1] = 0
    limit = int(rng.integers(1, 40))
    for policy in ("tail", "prompt"):
      positions, (cut, answer_cut, lost) = _cut(mask, limit, policy)
      assert len(positions) == min(limit, len(mask))
      assert (
          positions == sorted(set(positions))
          and positions[:1] == [0][: len(mask)]
      )
      assert cut == (len(positions) < len(mask))
      assert answer_cut == (mask[positions].sum() < mask.sum())
      assert lost == (mask.any() and not mask[positions].any())
      if policy == "prompt" and mask.any():
        prompt = int(mask.argmax())
        rest = len(mask) - prompt
        # The answers stay whole where one token of prompt and they fit.
        if rest < limit:
          assert positions[len(positions) - rest :] == list(
              range(prompt, len(mask))
          )
          assert not answer_cut
        # What goes from the prompt is one stretch in its middle.
        prompt_positions = [i for i in positions if i < prompt]
        head = (len(prompt_positions) + 1) // 2
        tail = len(prompt_positions) - head
        assert prompt_positions == [*range(head), *range(prompt - tail, prompt)]
