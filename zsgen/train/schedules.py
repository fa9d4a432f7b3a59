"""Schedules: how the learning rate falls from its peak.

A schedule is a function of the step, the number of steps and its options. It
returns the share of the way from `train.final_share` of the peak (0) to the
peak (1). It is registered by `registry.schedule`.
"""

import math

from zsgen.core import registry


@registry.schedule("cosine")
def cosine(step: int, steps: int, options: registry.NoOptions) -> float:
  """Returns half of a cosine wave, from 1 at step 0 to 0 at `steps`."""
  del options
  return 0.5 * (1 + math.cos(math.pi * step / steps))


@registry.schedule("linear")
def linear(step: int, steps: int, options: registry.NoOptions) -> float:
  """Returns a straight line, from 1 at step 0 to 0 at `steps`."""
  del options
  return 1 - step / steps
