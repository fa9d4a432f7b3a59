"""Labels: which of an example's references is the answer."""

from collections.abc import Callable, Mapping
import zlib

import numpy as np

from zsgen.data import suite

Label = Callable[[suite.Example], str]
# Seeds of the training examples, of held-out sets, and of those sets, by name,
# that have their own.
Seeds = tuple[int, int, Mapping[str, int]]


def first(seeds: Seeds) -> Label:
  """Returns a label that is the first reference."""
  del seeds
  return lambda example: example.targets[0]


def random(seeds: Seeds) -> Label:
  """Returns a label that is drawn by (seed, task, key): PCG64's first raw
  number.

  It does not depend on what was read before. 2406.11721 draws with Python's
  random.choice from one stream, so that its labels depend on the reading order;
  this is not that stream.
  """
  seed, heldout_seed, own_seeds = seeds

  def label(example: suite.Example) -> str:
    """Draws one of the targets of an example."""
    # `prepare` reports text that is not Unicode.
    name = f"{example.task}\0{example.key}".encode("utf-8", "surrogatepass")
    default = seed if example.split == suite.TRAIN else heldout_seed
    split_seed = own_seeds.get(example.split, default)
    number = np.random.PCG64([split_seed, zlib.crc32(name)]).random_raw()
    return example.targets[number % len(example.targets)]

  return label


LABELS: dict[str, Callable[[Seeds], Label]] = {
    "first": first,
    "random": random,
}
