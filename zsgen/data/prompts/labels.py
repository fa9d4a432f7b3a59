"""Labels: which of an example's references is the answer."""

from collections.abc import Callable, Mapping
import zlib

import numpy as np

from zsgen.data import suite

Label = Callable[[suite.Example], str]


def first(seed: int, seeds: Mapping[str, int]) -> Label:
  """Returns a label that is the first reference."""
  del seed, seeds
  return lambda example: example.targets[0]


def random(seed: int, seeds: Mapping[str, int]) -> Label:
  """Returns a label that is drawn by (seed, task, key): PCG64's first raw
  number.

  It does not depend on what was read before. 2406.11721 draws with Python's
  random.choice from one stream, so that its labels depend on the reading order;
  this is not that stream.

  Args:
    seed: the seed of splits without their own seed.
    seeds: the seeds of held-out sets with their own seed.
  """

  def label(example: suite.Example) -> str:
    # `prepare` reports text that is not Unicode.
    name = f"{example.task}\0{example.key}".encode("utf-8", "surrogatepass")
    split_seed = seeds.get(example.split, seed)
    number = np.random.PCG64([split_seed, zlib.crc32(name)]).random_raw()
    return example.targets[number % len(example.targets)]

  return label


LABELS: dict[str, Callable[[int, Mapping[str, int]], Label]] = {
    "first": first,
    "random": random,
}
