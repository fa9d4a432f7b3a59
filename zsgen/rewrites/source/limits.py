"""What `config.data.rewrites` can be: checked before anything is made."""

from collections.abc import Sequence

from zsgen.core import errors
from zsgen.data import suite
from zsgen.rewrites.source import options as options_lib
from zsgen.rewrites.source import patterns
from zsgen.rewrites.source import rules as rules_lib

_LOCATION = "config.data.rewrites"
# 26 letters to the power of it are a float; no more are ever asked for.
_EXPONENT = 200
_CAPS = ("train_instances", "heldout_instances")


def check(data: options_lib.Options) -> None:
  """Checks what the numbers say before any is drawn.

  Raises:
    InputError: names the option, the numbers, and what they may be.
  """
  options = data.rewrites
  _check_counts(options)
  _check_copies(options)
  for split in (suite.TRAIN, "unseen"):
    _check_kinds(options, split)
    _check_pool(options, split)
  _check_others(data)


def tokens(options: options_lib.Rewrites) -> int:
  """Returns the tokens of the longest example."""
  x, y, z = options.x_length, options.y_length, options.z_length
  has_op = z - x + y
  longest = max(has_op, z) if options.noop_share else has_op
  return 5 + x + y + z + longest


def unseen_rules(options: options_lib.Rewrites) -> int:
  """Returns the number of rules of the unseen set."""
  return -(-options.unseen // options.unseen_each)


def _check_counts(options: options_lib.Rewrites) -> None:
  """Raises InputError for counts of examples that contradict each other."""
  example_count = round(options.examples * options.subsample)
  even = not options.power_law and not options.subsample_power_law
  if options.rules > example_count >= 1 and even:
    raise errors.InputError(
        f"{_LOCATION}.examples is {options.examples:,}, of which"
        f" {example_count:,} are kept, but there are {options.rules:,} rules,"
        " and each has one example or more. Have fewer rules or more examples."
    )
  if example_count < 1:
    raise errors.InputError(
        f"{_LOCATION}.subsample is {options.subsample}: of {options.examples:,}"
        " examples none is left. Keep more."
    )
  if options.subsample_power_law and options.subsample == 1.0:
    raise errors.InputError(
        f"{_LOCATION}.subsample_power_law is {options.subsample_power_law}, but"
        " all examples are kept. Set subsample to the share that is kept, such"
        " as 0.5."
    )
  if options.hard_share and not options.noop_share:
    raise errors.InputError(
        f"{_LOCATION}.hard_share is {options.hard_share}, but noop_share is 0:"
        " there are no no-ops. Set noop_share too."
    )
  if options.cipher and not options.cipher % options.letters:
    raise errors.InputError(
        f"{_LOCATION}.cipher is {options.cipher}, whole turns of"
        f" {options.letters} letters: it changes none. Take another."
    )


def _check_copies(options: options_lib.Rewrites) -> None:
  """Patterns fit into inputs, as often as they are to occur."""
  x, z = options.x_length, options.z_length
  if x > z:
    raise errors.InputError(
        f"{_LOCATION}.x_length is {x}, longer than the input, z_length={z}."
        " Have shorter patterns or a longer input."
    )
  for name in ("occurrences", "heldout_occurrences"):
    for copies in getattr(options, name):
      if copies * x > z:
        raise errors.InputError(
            f"{_LOCATION}.{name} has {copies}, but {copies} times x_length={x}"
            f" is {copies * x} letters, and the input has z_length={z}. At most"
            f" {z // x} fit."
        )
  if not options.occurrences:
    raise errors.InputError(
        f"{_LOCATION}.occurrences is empty: say how often x occurs in z, (1,)"
        " for once."
    )


def _check_kinds(options: options_lib.Rewrites, split: str) -> None:
  """Families have a k, and each k divides the patterns' lengths."""
  before = "" if split == suite.TRAIN else "heldout_"
  families = getattr(options, f"{before}families")
  ks = getattr(options, f"{before}ks")
  known = families or (before and options.families)
  if bool(known) != bool(ks or (before and options.ks)):
    present, missing = ("families", "ks") if known else ("ks", "families")
    raise errors.InputError(
        f"{_LOCATION}.{before}{present} is set, but no {before}{missing}: a"
        f" family needs both. Set {before}{missing} too."
    )
  for k in ks:
    for name in ("x_length", "y_length"):
      length = getattr(options, name)
      if length % k:
        raise errors.InputError(
            f"{_LOCATION}.{before}ks has {k}, which does not divide"
            f" {name}={length}. It may be: {_join(patterns.divisors(length))}."
        )


def _check_pool(options: options_lib.Rewrites, split: str) -> None:
  """The alphabet has enough patterns for all rules."""
  is_train = split == suite.TRAIN
  count = options.rules if is_train else unseen_rules(options)
  share = 1 - options.withheld if is_train else options.withheld
  pairs, xs = 0.0, 0.0
  for kind in rules_lib.kinds(options, split):
    x, y = (
        share * float(options.letters) ** min(length // kind.k, _EXPONENT)
        for length in (options.x_length, options.y_length)
    )
    pairs, xs = pairs + x * y, xs + x
  available = xs if options.distinct == "x" else pairs
  # What is withheld is drawn: there may be some more than the share.
  if count > available + 6 * available**0.5:
    number = "rules" if is_train else "unseen"
    raise errors.InputError(
        f"{_LOCATION}.{number}: {count:,} distinct rules of {split} are asked"
        f" for, more than the alphabet gives: there are about {available:,.0f},"
        f" {rules_lib.pool(options, split)}"
    )


def _check_others(data: options_lib.Options) -> None:
  """Options outside of the section that would change what is asked for."""
  default = options_lib.Options()
  for name in _CAPS:
    if getattr(data, name) != getattr(default, name):
      raise errors.InputError(
          f"config.data.{name} is {getattr(data, name)}: the source rewrites"
          f" does not read it. Set {_LOCATION}.examples, unseen and seen."
      )
  longest = tokens(data.rewrites)
  if data.tokenizer == "rewrites" and longest > data.max_length:
    raise errors.InputError(
        f"config.data.max_length is {data.max_length}, but examples have"
        f" {longest} tokens: answers would be cut. Set it to {longest} or more."
    )


def _join(values: Sequence[int]) -> str:
  return ", ".join(map(str, values))
