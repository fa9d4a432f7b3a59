"""String rewrites: "replace x by y in z", a rule a task.

A controlled experiment on the diversity of instructions (2402.10891; later
version 2410.04717): with the number of examples fixed, generalization to
unseen rules appears as the number of distinct rules grows. The authors
released no code; what their papers leave open is decided here and listed in
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

UNSEEN, SEEN_SPLIT = "unseen", "seen"
# How keys call inputs that have no x.
_KINDS = {0: "noop", inputs.HARD: "hard"}


@registry.source("rewrites", options=options_lib.Options)
def rewrites(
    data: options_lib.Options, seed: int, scratch: pathlib.Path | None = None
) -> suite.Suite:
  """Builds the suite of `config.data.rewrites`.

  An example's key begins with the kind of its input: see `kind_of`. A task's
  category is the family of its rule.

  Args:
    data: the config's section.
    seed: draws rules and inputs.
    scratch: unused; nothing is kept on disk.

  Raises:
    InputError: the options contradict each other, or were not met.
  """
  del scratch
  limits.check(data)
  options = data.rewrites
  all_splits = splits(options, seed)
  checks.check_rules(all_splits[0], all_splits[1], options)

  def all_examples() -> Iterator[suite.Example]:
    """Yields the examples of one split after another."""
    for split in all_splits:
      yield from _examples(split, options, seed)

  heldout = tuple(split.name for split in all_splits[1:])
  notes = _describe(all_splits[0], options, seed)
  return suite.Suite("rewrites", heldout, all_examples, notes=notes)


def splits(options: options_lib.Rewrites, seed: int) -> list[examples.Split]:
  """Draws training, unseen and, if the options have them, seen rules.

  Raises:
    InputError: the alphabet does not give so many rules.
  """
  known = rules.draw(options, suite.TRAIN, seed, options.rules)
  rule_counts = counts.of_rules(options, seed)
  number = limits.unseen_rules(options)
  new = rules.draw(options, UNSEEN, seed, number)
  fresh = counts.apportion(np.ones(number), options.unseen)
  heldout = options.heldout_occurrences or options.occurrences
  all_splits = [
      examples.Split(suite.TRAIN, known, rule_counts, options.occurrences),
      examples.Split(UNSEEN, new, fresh, heldout),
  ]
  if options.seen:
    has_examples = (rule_counts > 0).astype(np.float64)
    repeated = counts.apportion(has_examples, options.seen)
    all_splits.append(
        examples.Split(SEEN_SPLIT, known, repeated, options.occurrences)
    )
  return all_splits


def kind_of(key: str) -> str:
  """Returns the kind of an example's input, by its key.

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
  """Yields the examples of a block."""
  columns = (
      block.rule.tolist(),
      block.number.tolist(),
      block.copies.tolist(),
      *map(serial.texts, (block.x, block.y, block.z)),
      serial.targets(block),
  )
  names, kinds = _names(split), [
      kind_named.name for kind_named in split.rules.kinds
  ]
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


def _describe(
    train: examples.Split, options: options_lib.Rewrites, seed: int
) -> dict[str, Any]:
  """Describes the training rules for the manifest."""
  numbers = np.arange(options.rules)
  noops = examples.noops(options, seed, numbers, train.counts)
  return {
      "rules": options.rules,
      "rules_with_examples": int((train.counts > 0).sum()),
      "effective_rules": round(counts.effective(train.counts), 3),
      "noops": int(noops.sum()),
  }
