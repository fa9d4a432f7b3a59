"""Where schedules end."""

import numpy as np
import pytest

from zsgen.core import config
from zsgen.train import optimizer


@pytest.mark.parametrize(
    ("examples", "ends"), [(31, (2, 2)), (32, (2, 3)), (33, (3, 3))]
)
def test_the_released_schedule_is_one_step_longer_after_a_full_step(
    examples, ends
):
  train = [
      config.build(config.Train, schedule_end=end)
      for end in ("steps", "released")
  ]
  assert (
      tuple(optimizer.schedule_steps(options, examples) for options in train)
      == ends
  )


def test_rates_of_the_released_code():
  """Checks max(0.1, 0.1 + 0.45 (1 + cos(pi n / T))) of the peak (spec 3.4)."""
  size, batch = 64, 16
  train = config.build(
      config.Train,
      batch_size=batch,
      learning_rate=1e-6,
      schedule_end="released",
  )
  end = size // batch + 1
  assert optimizer.schedule_steps(train, size) == end
  for step in range(size // batch):
    rate = optimizer.learning_rate(train, step, end)
    expected = 0.1 + 0.45 * (1 + np.cos(np.pi * step / end))
    assert rate == pytest.approx(expected * 1e-6, rel=1e-6)
