"""String rewrites: "replace x by y in z", a rule a task.

A controlled experiment on the diversity of instructions (2402.10891; later
version 2410.04717): with the number of examples fixed, generalization to
unseen rules appears as the number of distinct rules grows. The authors
released no code; what their papers leave open is decided here and told in
docs/data.md. A split's examples are a pure function of options, split, number
and seed.

  unseen  rules whose x and y occur in no training rule
  seen    training rules on new inputs
"""

from collections.abc import Iterator
import pathlib
from typing import Any

import numpy as np

from zsgen.core import registry
from zsgen.data import suite
from zsgen.rewrites.source import (
    checks,
    counts,
    examples,
    inputs,
    limits,
    rules,
    serial,
    watch,
)
from zsgen.rewrites.source import options as options_lib

UNSEEN, SEEN = "unseen", "seen"
# How keys call inputs that have no x.
_KINDS = {0: "noop", inputs.HARD: "hard"}


@registry.source("rewrites", options=options_lib.Options)
def rewrites(
    data: options_lib.Options, seed: int, scratch: pathlib.Path | None = None
) -> suite.Suite:
  """The suite of `config.data.rewrites`.

  An example's key begins with what its input is: see `kind_of`. A task's
  category is the family of its rule.

  Args:
    data: the config's section.
    seed: draws rules and inputs.
    scratch: unused; nothing is kept on disk.

  Raises:
    InputError: what the options ask for cannot be, or was not made.
  """
  del scratch
  limits.check(data)
  options = data.rewrites
  made = splits(options, seed)
  checks.check_rules(made[0], made[1], options)

  def all_examples() -> Iterator[suite.Example]:
    for split in made:
      yield from _examples(split, options, seed)

  heldout = tuple(split.name for split in made[1:])
  notes = _notes(made[0], options, seed)
  return suite.Suite("rewrites", heldout, all_examples, notes=notes)


def splits(options: options_lib.Rewrites, seed: int) -> list[examples.Split]:
  """Training, unseen rules and, if any are asked for, seen rules.

  Raises:
    InputError: the alphabet does not give so many rules.
  """
  known = rules.draw(options, suite.TRAIN, seed, options.rules)
  each = counts.of_rules(options, seed)
  number = limits.unseen_rules(options)
  new = rules.draw(options, UNSEEN, seed, number)
  fresh = counts.apportion(np.ones(number), options.unseen)
  heldout = options.heldout_occurrences or options.occurrences
  made = [
      examples.Split(suite.TRAIN, known, each, options.occurrences),
      examples.Split(UNSEEN, new, fresh, heldout),
  ]
  if options.seen:
    asked = (each > 0).astype(np.float64)
    again = counts.apportion(asked, options.seen)
    made.append(examples.Split(SEEN, known, again, options.occurrences))
  return made


def kind_of(key: str) -> str:
  """What the input of an example is, by its key.

  Returns:
    "noop" (x is not in it), "hard" (nor there, but for one letter), or "op"
    and how often x is in it: "op1".
  """
  return key.partition("-")[0]


def _examples(
    split: examples.Split, options: options_lib.Rewrites, seed: int
) -> Iterator[suite.Example]:
  """The examples of a split, checked as they come."""
  watched = watch.Watch(split, options)
  for block in examples.blocks(split, options, seed):
    watched.add(block)
    yield from _of_block(split, block)
  watched.end()


def _of_block(
    split: examples.Split, block: examples.Block
) -> Iterator[suite.Example]:
  columns = (
      block.rule.tolist(),
      block.number.tolist(),
      block.copies.tolist(),
      *map(serial.texts, (block.x, block.y, block.z)),
      serial.targets(block),
  )
  names, kinds = _names(split), [each.name for each in split.rules.kinds]
  family = split.rules.kind
  for rule, number, copies, x, y, z, target in zip(*columns, strict=True):
    yield suite.Example(
        task=names.format(rule),
        category=kinds[family[rule]],
        split=split.name,
        definition=f"{x} -> {y}",
        input=z,
        targets=(target,),
        key=f"{_KINDS.get(copies, f'op{copies}')}-{number}",
    )


def _names(split: examples.Split) -> str:
  """How tasks are called: a format of the rule's number."""
  if split.name == UNSEEN:
    return "unseen-{:06d}"
  return "rule-{:06d}" if split.name == suite.TRAIN else "rule-{:06d}.seen"


def _notes(
    train: examples.Split, options: options_lib.Rewrites, seed: int
) -> dict[str, Any]:
  """What the manifest says of the training rules."""
  numbers = np.arange(options.rules)
  noops = examples.noops(options, seed, numbers, train.counts)
  return {
      "rules": options.rules,
      "rules_with_examples": int((train.counts > 0).sum()),
      "effective_rules": round(counts.effective(train.counts), 3),
      "noops": int(noops.sum()),
  }
