"""What a cut leaves of an example."""

import numpy as np
import pytest

from zsgen.data import truncation


def _cut(mask, max_length, policy):
  """The places that are kept, and the flags."""
  mask = np.array(mask, np.uint8)
  made = truncation.cut(
      np.arange(len(mask), dtype=np.uint32), mask, max_length, policy
  )
  assert (made.tokens.dtype, made.mask.dtype) == (np.uint32, np.uint8)
  assert made.mask.tolist() == mask[made.tokens].tolist()
  return made.tokens.tolist(), (made.cut, made.answer_cut, made.lost)


CUT, ANSWER_CUT = (True, False, False), (True, True, False)


@pytest.mark.parametrize(
    ("policy", "max_length", "kept", "flags"),
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
    policy, max_length, kept, flags
):
  found = _cut([0] * 6 + [1] * 3, max_length, policy)
  assert found == (list(kept), flags)


def test_only_the_first_prompt_of_a_conversation_is_cut():
  mask = [0, 0, 0, 0, 1, 1, 0, 0, 1, 1]
  assert _cut(mask, 8, "prompt") == ([0, 3, *range(4, 10)], CUT)
  assert _cut(mask, 6, "prompt") == ([0, *range(4, 9)], ANSWER_CUT)


def test_what_never_had_loss_is_cut_but_not_lost():
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
      kept, (cut, answer_cut, lost) = _cut(mask, limit, policy)
      assert len(kept) == min(limit, len(mask))
      assert kept == sorted(set(kept)) and kept[:1] == [0][: len(mask)]
      assert cut == (len(kept) < len(mask))
      assert answer_cut == (mask[kept].sum() < mask.sum())
      assert lost == (mask.any() and not mask[kept].any())
      if policy == "prompt" and mask.any():
        prompt = int(mask.argmax())
        rest = len(mask) - prompt
        # The answers stay whole where one token of prompt and they fit.
        if rest < limit:
          assert kept[len(kept) - rest :] == list(range(prompt, len(mask)))
          assert not answer_cut
        # What goes from the prompt is one stretch in its middle.
        ours = [i for i in kept if i < prompt]
        head = (len(ours) + 1) // 2
        tail = len(ours) - head
        assert ours == [*range(head), *range(prompt - tail, prompt)]
