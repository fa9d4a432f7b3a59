"""The section `config.probe`: training examples whose losses are followed."""

import dataclasses

from zsgen.core.schema import option


@dataclasses.dataclass(frozen=True)
class Probe:
  """A fixed sample of training examples, evaluated while a run trains."""

  # Number of examples in the sample; 0: none are followed.
  examples: int = option(
      0, low=0, high=2**31 - 1, why="ids of examples are int32", newer=True
  )
  # What the sample is drawn from. order: the examples that the run trains on;
  # train: all training examples of the store, some of which it may never see.
  among: str = option("order", choices=("order", "train"), newer=True)
  # Seed of the draw; None: config.seed.
  seed: int | None = option(None, low=0, high=2**32 - 1, newer=True)
  # Steps between evaluations; step 0 and the last step are always evaluated.
  every_steps: int = option(10, low=1, newer=True)
  # Further steps before which the sample is evaluated.
  steps: tuple[int, ...] = option((), low=0, newer=True)
  # Whether the sample is also evaluated right before and right after each step
  # that consumes one of its examples.
  around: bool = option(True, newer=True)
