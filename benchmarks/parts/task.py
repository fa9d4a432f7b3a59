"""What a part of the device check is given and what it yields.

Needs the standard library only.
"""

from collections.abc import Mapping
import pathlib
from typing import Any, NamedTuple

# Fields of a row: `case`; `rate` in the unit of the part, if it measures one;
# `model`, if a part measures several; `figures`, other values by name;
# `failed`, the reason if nothing was measured.
Row = dict[str, Any]

# Fields of config.model; "preset" names one of zsgen.models.presets.
Fields = Mapping[str, Any]


class Sizes(NamedTuple):
  """How much the parts compute.

  Attributes:
    small: the model that is compared between devices.
    small_batch: examples of its steps.
    attention: shapes for the kernels: rows, tokens, query heads, key heads and
      width of a head.
    segment: tokens of a segment of these rows.
    large: the model that is trained and that generates.
    batch: examples of a step.
    steps: steps to train.
    first: first steps, which are not counted.
    remats: values of config.machine.remat to measure.
    largest: the model that is trained with adapters and in full.
    prompts: prompts, their tokens, and new tokens of each.
    tier: the model of the populations.
    members: sizes of the populations.
    laps: steps of a lap of a population.
    rewrites: the tier of the experiment on rewrites.
    rules: its numbers of rules, which are trained as one population.
    product: rows of a square matrix, to measure the rate of products.
  """

  small: Fields
  small_batch: int
  attention: tuple[tuple[int, int, int, int, int], ...]
  segment: int
  large: Fields
  batch: int
  steps: int
  first: int
  remats: tuple[str, ...]
  largest: Fields
  prompts: tuple[int, int, int]
  tier: str
  members: tuple[int, ...]
  laps: int
  rewrites: str
  rules: tuple[int, ...]
  product: int


class Task(NamedTuple):
  """What a part is given.

  Attributes:
    paths: directories of the `store` and of the `order`.
    scratch: a directory that the parts of a run share.
    sizes: how much to compute.
    seconds: time until the part is killed.
  """

  paths: Mapping[str, str]
  scratch: pathlib.Path
  sizes: Sizes
  seconds: float


# 48 examples of Natural Instructions are about 15,000 tokens, in 15 or 16 rows
# of 1,024.
FULL = Sizes(
    small={"preset": "TINY", "vocab_size": 8192, "width": 256, "kv_heads": 1},
    small_batch=16,
    attention=((16, 1024, 32, 8, 64), (16, 1024, 32, 32, 128)),
    segment=300,
    large={"preset": "LLAMA32_1B"},
    batch=48,
    steps=12,
    first=4,
    remats=("cheap", "none"),
    largest={"preset": "LLAMA2_7B"},
    prompts=(16, 290, 64),
    tier="nano",
    members=(1, 4, 16),
    laps=20,
    rewrites="mini",
    rules=(10, 300, 2000),
    product=8192,
)
_TINY = {
    "preset": "TINY",
    "vocab_size": 8192,
    "layers": 2,
    "width": 32,
    "mlp_width": 64,
}
REHEARSAL = Sizes(
    small={**_TINY, "heads": 1, "kv_heads": 1},
    small_batch=2,
    attention=((1, 64, 2, 1, 16),),
    segment=40,
    large=_TINY,
    batch=2,
    steps=3,
    first=1,
    remats=("cheap",),
    largest=_TINY,
    prompts=(2, 8, 2),
    tier="nano",
    members=(1, 2),
    laps=1,
    rewrites="smoke",
    rules=(10,),
    product=128,
)
