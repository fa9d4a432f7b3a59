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
  """Checks that rules are distinct, as many as set, and unseen if held out.

  Raises:
    InputError: a condition does not hold; the message names it.
  """
  example_count = round(options.examples * options.subsample)
  check_equal(len(train.rules.x), options.rules, "training rules")
  check_equal(int(train.counts.sum()), example_count, "training examples")
  for split in (train, unseen):
    _check_distinct(split, options.distinct)
    _check_families(split)
  known = {*serial.texts(train.rules.x), *serial.texts(train.rules.y)}
  for side in ("x", "y"):
    new = serial.texts(getattr(unseen.rules, side))
    shared = known.intersection(new)
    if shared:
      raise make_error(
          f"{len(shared)} patterns, such as {min(shared)!r}, are in training"
          f" rules and are {side} of unseen ones"
      )


def _check_distinct(split: examples.Split, distinct: str) -> None:
  """No rule stands twice, or no x; none changes nothing."""
  x, y = serial.texts(split.rules.x), serial.texts(split.rules.y)
  compared = x if distinct == "x" else list(zip(x, y, strict=True))
  check_equal(
      len(set(compared)), len(compared), f"distinct rules of {split.name}"
  )
  idle = sum(left == right for left, right in zip(x, y, strict=True))
  check_equal(idle, 0, f"rules x -> x of {split.name}")


def _check_families(split: examples.Split) -> None:
  """Each pattern is what its family makes of its base string."""
  rules = split.rules
  for position, kind in enumerate(rules.kinds):
    for side in (rules.x, rules.y):
      drawn_patterns = side[rules.kind == position]
      rebuilt = patterns.build(kind, patterns.base(kind, drawn_patterns))
      if not np.array_equal(drawn_patterns, rebuilt):
        raise make_error(f"patterns of {split.name} are not {kind.name}")


def check_equal(actual: int, expected: int, subject: str) -> None:
  """Raises InputError if a number is not the expected one."""
  if actual != expected:
    raise make_error(f"there are {actual:,} {subject}, not {expected:,}")


def make_error(problem: str) -> errors.InputError:
  """Builds the error for data that does not match its config."""
  return errors.InputError(
      f"config.data.rewrites: {problem}. Nothing was written; change the"
      " options, or the seed."
  )
