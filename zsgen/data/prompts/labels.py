"""Labels: which of an example's references is the answer."""

from collections.abc import Callable, Mapping
import zlib

import numpy as np

from zsgen.data import suite

Label = Callable[[suite.Example], str]


def first(seed: int, seeds: Mapping[str, int]) -> Label:
  """The first reference."""
  del seed, seeds
  return lambda example: example.targets[0]


def random(seed: int, seeds: Mapping[str, int]) -> Label:
  """One reference, drawn by (seed, task, key): PCG64's first raw number.

  It does not depend on what was read before. 2406.11721 draws by Python's
  random.choice from one stream, so that its labels hold for one sequence of
  reading only; this is not that stream.

  Args:
    seed: of all splits that have none of their own.
    seeds: of held-out sets that have.
  """

  def label(example: suite.Example) -> str:
    # What is not Unicode is for prepare to tell.
    name = f"{example.task}\0{example.key}".encode("utf-8", "surrogatepass")
    own = seeds.get(example.split, seed)
    drawn = np.random.PCG64([own, zlib.crc32(name)]).random_raw()
    return example.targets[drawn % len(example.targets)]

  return label


LABELS: dict[str, Callable[[int, Mapping[str, int]], Label]] = {
    "first": first,
    "random": random,
}
