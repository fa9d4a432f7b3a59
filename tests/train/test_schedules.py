"""Where schedules end."""

import numpy as np
import pytest

from zsgen.core import config, errors
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


def _shares(steps=10, **options):
  """Returns the learning rates of a run, as shares of the peak."""
  train = config.build(config.Train, learning_rate=1.0, **options)
  return [optimizer.learning_rate(train, i, steps) for i in range(steps + 1)]


def test_a_constant_rate_stays():
  assert _shares(schedule="constant") == [1.0] * 11
  rates = _shares(schedule="constant", warmup_steps=3)
  assert rates[:5] == [0.25, 0.5, 0.75, 1.0, 1.0]
  message = r"final_share is 0.5, but .*schedule is 'constant'"
  with pytest.raises(errors.InputError, match=message):
    _shares(schedule="constant", final_share=0.5)
  with pytest.raises(errors.InputError, match="schedule_end is 'released'"):
    _shares(schedule="constant", schedule_end="released")


def test_warm_up_stable_and_decay():
  options = dict(schedule="wsd", decay_share=0.5, final_share=0.2)
  falling = np.arange(6) / 5
  rates = _shares(**options, decay="linear")
  expected = [*[1.0] * 5, *(0.2 + 0.8 * (1 - falling))]
  np.testing.assert_allclose(rates, expected, rtol=1e-12)
  rates = _shares(**options, warmup_steps=1)
  expected = [0.5, *[1.0] * 4, *(0.2 + 0.8 * (1 - np.sqrt(falling)))]
  np.testing.assert_allclose(rates, expected, rtol=1e-12)
