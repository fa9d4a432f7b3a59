"""Schedules: how the learning rate falls from its peak.

A schedule is a function of the step, the number of steps and its options. It
returns the share of the way from `train.final_share` of the peak (0) to the
peak (1). It is registered by `registry.schedule`.
"""

import dataclasses
import math
from typing import Any

from zsgen.core import errors, registry
from zsgen.core.schema import option

# Options of `config.train` about how, and how far, a learning rate falls.
_OF_DECAY = ("final_share", "schedule_end")


@registry.schedule("cosine")
def cosine(step: int, steps: int, options: registry.NoOptions) -> float:
  """Returns half of a cosine wave, from 1 at step 0 to 0 at `steps`."""
  del options
  return 0.5 * (1 + math.cos(math.pi * step / steps))


@dataclasses.dataclass(frozen=True)
class Constant:
  """The options of `constant`: none, and some of others have no meaning."""

  @staticmethod
  def check(section: Any, location: str) -> None:
    """Raises InputError for options that a constant rate does not read."""
    for name in _OF_DECAY:
      value, default = getattr(section, name), getattr(type(section), name)
      if value != default:
        raise errors.InputError(
            f"{location}.{name} is {value!r}, but {location}.schedule is"
            " 'constant': the learning rate does not fall. Leave it out, or set"
            " another schedule."
        )


@registry.schedule("constant", options=Constant)
def constant(step: int, steps: int, options: Constant) -> float:
  """Returns 1: the learning rate stays at its peak."""
  del step, steps, options
  return 1.0


@dataclasses.dataclass(frozen=True)
class Wsd:
  """The options of `wsd`."""

  # Share of the steps, at the end, in which the learning rate falls.
  decay_share: float = option(0.2, above=0.0, high=1.0)
  # How the learning rate falls. sqrt: as 1 - sqrt(x), where x is the elapsed
  # share of the decay; linear: in a straight line.
  decay: str = option("sqrt", choices=("sqrt", "linear"))


@registry.schedule("wsd", options=Wsd)
def wsd(step: int, steps: int, options: Wsd) -> float:
  """Returns 1 until the decay begins, and then falls to 0 at `steps`.

  With `train.warmup_steps`, it is warm-up, stable, decay (2404.06395); the
  decay by the square root is that of 2405.18392.
  """
  done = (step / steps - 1) / options.decay_share + 1
  if done <= 0:
    return 1.0
  return 1 - (math.sqrt(done) if options.decay == "sqrt" else done)


@registry.schedule("linear")
def linear(step: int, steps: int, options: registry.NoOptions) -> float:
  """Returns a straight line, from 1 at step 0 to 0 at `steps`."""
  del options
  return 1 - step / steps
