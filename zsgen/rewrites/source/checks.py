"""What must hold of rules, whatever made them.

Each check raises InputError with the numbers: what is not as its config says
must not be trained on. These run before the first example is made, those of
`watch` while examples are.
"""

import numpy as np

from zsgen.core import errors
from zsgen.rewrites.source import examples, patterns, serial
from zsgen.rewrites.source import options as options_lib


def check_rules(
    train: examples.Split, unseen: examples.Split, options: options_lib.Rewrites
) -> None:
  """Rules are distinct, as many as asked, and unseen where they are to be.

  Raises:
    InputError: says what does not hold.
  """
  kept = round(options.examples * options.subsample)
  same(len(train.rules.x), options.rules, "training rules")
  same(int(train.counts.sum()), kept, "training examples")
  for split in (train, unseen):
    _check_distinct(split, options.distinct)
    _check_families(split)
  known = {*serial.texts(train.rules.x), *serial.texts(train.rules.y)}
  for side in ("x", "y"):
    new = serial.texts(getattr(unseen.rules, side))
    shared = known.intersection(new)
    if shared:
      raise broken(
          f"{len(shared)} patterns, such as {min(shared)!r}, are in training"
          f" rules and are {side} of unseen ones"
      )


def _check_distinct(split: examples.Split, distinct: str) -> None:
  """No rule stands twice, or no x; none changes nothing."""
  x, y = serial.texts(split.rules.x), serial.texts(split.rules.y)
  each = x if distinct == "x" else list(zip(x, y, strict=True))
  same(len(set(each)), len(each), f"distinct rules of {split.name}")
  idle = sum(left == right for left, right in zip(x, y, strict=True))
  same(idle, 0, f"rules x -> x of {split.name}")


def _check_families(split: examples.Split) -> None:
  """Each pattern is what its family makes of its base string."""
  rules = split.rules
  for position, kind in enumerate(rules.kinds):
    for side in (rules.x, rules.y):
      found = side[rules.kind == position]
      again = patterns.build(kind, patterns.base(kind, found))
      if not np.array_equal(found, again):
        raise broken(f"patterns of {split.name} are not {kind.name}")


def same(found: int, wanted: int, what: str) -> None:
  """Raises an InputError where a number is another than it should be."""
  if found != wanted:
    raise broken(f"there are {found:,} {what}, not {wanted:,}")


def broken(what: str) -> errors.InputError:
  """The error of data that is not what its config says."""
  return errors.InputError(
      f"config.data.rewrites: {what}. Nothing was written; change the options,"
      " or the seed."
  )
