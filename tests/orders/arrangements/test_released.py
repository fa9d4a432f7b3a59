"""The released code's five settings, overshoot, overlap and shuffle too."""

import numpy as np
import pools
import pytest

from tests.helpers import released_code as restated
from zsgen.orders.arrangements import released

SETTINGS = {
    "NFT": restated.nft,
    "FFT": restated.fft,
    "RT": restated.rt,
}


def _arrange(pool, budget, setting, seed=0):
  return released.released(
      pool, released.Options(budget=budget, setting=setting), seed
  )


def test_worked_example():
  pool = pools.make(pools.WORKED)
  nft, fft = (_arrange(pool, 4, setting) for setting in ("NFT", "FFT"))
  assert nft.rows.tolist() == [0, 1, 3, 4]
  assert fft.rows.tolist() == [0, 3, 4, 1]
  assert nft.notes == dict(rounds=[1, 1], beyond_budget=2, in_both=2)
  assert _arrange(pool, 2, "MIN").rows.tolist() == [0, 1, 3]
  assert _arrange(pool, 4, "MIN").rows.tolist() == [0, 1, 3, 2, 4]
  assert _arrange(pool, 6, "MIN").rows.tolist() == [0, 1, 3, 2, 4, 5]
  assert _arrange(pool, 2, "MAX").rows.tolist() == [0, 3, 4]
  assert _arrange(pool, -1, "MIN").rows.tolist() == [0, 1, 3, 2, 4, 5]


@pytest.mark.parametrize("case", range(8))
def test_equals_the_released_code_on_ties(case):
  train, heldout = pools.tied(case)
  pool, distance = pools.make(train, heldout), -(train @ heldout.T)
  half = int(np.random.default_rng(case).integers(1, len(train) // 2 + 2))
  half = min(half, max(len(train) // 2, 1))
  budget = min(2 * half, len(train))
  if budget == 2 * half:
    for setting, restate in SETTINGS.items():
      actual = _arrange(pool, budget, setting)
      assert actual.rows.tolist() == restate(distance, half)
  actual = _arrange(pool, budget, "MIN").rows.tolist()
  assert actual == restated.min_(distance, budget)
  actual = _arrange(pool, budget, "MAX").rows.tolist()
  assert actual == restated.max_(distance, budget)


def test_three_settings_are_one_set():
  train, heldout = pools.tied(5)
  sets = [
      set(_arrange(pools.make(train, heldout), 40, setting).rows.tolist())
      for setting in SETTINGS
  ]
  assert sets[0] == sets[1] == sets[2]
