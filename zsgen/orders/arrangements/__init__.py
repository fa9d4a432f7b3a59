"""Arrangements by name: from a pool and a budget to a sequence of rows.

An arrangement is a pure function of a pool (its tasks, and the embeddings of
its rows and of the held-out set) and, as keyword-only arguments, of those
fields of `config.Order` that it reads, and of the seed if it draws.
"""

from collections.abc import Callable, Iterator
import dataclasses
import functools
import inspect
from typing import Any

from zsgen.core import config, errors, schema
from zsgen.orders import embedders
from zsgen.orders import pool as pool_lib
from zsgen.orders.arrangements import (
    arranged,
    cluster,
    compose,
    file,
    random,
    released,
    round_robin,
    similarity,
    tmt,
    transport,
)

# Measures that read texts without an embedder.
_BIGRAMS = ("bigram_kl", "bigram_kl_multiset")
# How the target is looked at. The target itself may be named for others: a
# base config names the held-out set, and experiments the embedder.
_TARGET = ("target_task", "text")
# The embedders that read an option.
_EMBEDDERS = {"encoder": ("encoder",), "encoder_dtype": ("encoder", "minilm")}

ARRANGEMENTS: dict[str, Callable[..., arranged.Arranged]] = {
    "by_task": compose.by_task,
    "cluster": cluster.arrange,
    "concatenate": compose.concatenate,
    "file": file.arrange,
    "interleave": compose.interleave,
    "random": random.arrange,
    "released": released.arrange,
    "repeat": compose.repeat,
    "reverse": compose.reverse,
    "round_robin": round_robin.arrange,
    "similarity": similarity.arrange,
    "take": compose.take,
    "tmt": tmt.arrange,
    "transport": transport.arrange,
    "within": compose.within,
}


def arrange(
    order: config.Order, pool: pool_lib.Pool, seed: int
) -> arranged.Arranged:
  """Arranges a pool.

  Args:
    order: the arrangement's name and parameters.
    pool: the rows, [N]; its facts give the embeddings that `order` names.
    seed: of all that is drawn.

  Raises:
    InputError: as `check`, or the arrangement lacks what it needs.
  """
  _check_size(order, len(pool))
  given = dict(
      seed=seed,
      parts=tuple(functools.partial(arrange, part) for part in order.parts),
  )
  known = {
      name: given[name] if name in given else getattr(order, name)
      for name in _reads(order)
  }
  found = ARRANGEMENTS[order.arrangement](pool.looking(order), **known)
  if not len(found):
    raise errors.InputError(
        f"config.order.arrangement={order.arrangement!r} gives no example at"
        " all: its options leave nothing."
    )
  return found


def check(order: config.Order, pool: int) -> None:
  """Raises InputError if a pool of that size cannot be arranged."""
  check_options(order)
  _check_size(order, pool)


def _check_size(order: config.Order, pool: int) -> None:
  """Raises InputError for a budget that the pool does not have."""
  if order.budget > pool:
    raise errors.InputError(
        f"config.order.budget is {order.budget}, but the pool has {pool}"
        " training examples. Lower the budget, or raise"
        " config.data.train_instances if the tasks have more."
    )


def check_options(
    order: config.Order, where: str = "config.order", inherited: bool = False
) -> None:
  """Checks an order and its parts, before there is anything to arrange.

  Args:
    order: the section.
    where: its name, for messages.
    inherited: whether what it looks at is that of the order it is a part of.

  Raises:
    InputError: there is no such arrangement or embedder, an option is set that
      nothing reads, or options leave nothing.
  """
  _check_unread(order, where)
  _check_conditions(order, where)
  if order.embedder:
    errors.choose(embedders.EMBEDDERS, order.embedder, f"{where}.embedder")
  if not inherited:
    _check_looking(order, where)
  if order.budget == 0:
    raise errors.InputError(
        f"{where}.budget is 0. Set the number of training examples, or -1 for"
        " all that the arrangement yields."
    )
  if has_parts(order):
    for number, part in enumerate(order.parts):
      same = all(
          getattr(part, name) == getattr(order, name) for name in config.LOOKING
      )
      check_options(part, f"{where}.parts[{number}]", same)


def looks_at_target(order: config.Order) -> bool:
  """Whether an order, its parts apart, reads texts of the held-out set."""
  if order.embedder:
    return True
  return "measure" in _reads(order) and order.measure in _BIGRAMS


def parameters(order: config.Order) -> dict[str, Any]:
  """The fields that the arrangement of `order` reads, JSON-able.

  The seed and the parts are left out; a file stands for its content.

  Raises:
    InputError: there is no such arrangement, or no such file.
  """
  names = set(_reads(order)) - {"seed", "parts"}
  known = {name: getattr(order, name) for name in sorted(names)}
  if "path" in known:
    known["path"] = file.digest(order.path)
  return {
      name: list(value) if isinstance(value, tuple) else value
      for name, value in known.items()
  }


def _check_unread(order: config.Order, where: str) -> None:
  """Raises InputError for an option that the arrangement does not read."""
  read = {*_reads(order, where), *config.LOOKING, "arrangement"}
  for field in dataclasses.fields(order):
    value = getattr(order, field.name)
    if field.name not in read and value != field.default:
      raise errors.InputError(
          f"{where}.{field.name} is {schema.show(value)}, but"
          f" {order.arrangement!r} does not read it. It reads:"
          f" {', '.join(sorted(read - {'arrangement', 'seed'}))}."
      )


def _check_conditions(order: config.Order, where: str) -> None:
  """Raises InputError for an option that another one makes meaningless."""
  read, default = _reads(order), config.Order()
  if "by" in read and order.by != "kmeans":
    if order.clusters != default.clusters:
      raise errors.InputError(
          f"{where}.clusters is {order.clusters}, but {where}.by is"
          f" {order.by!r}: only by='kmeans' reads it."
      )
  if "stop" in read and 0 <= order.stop <= order.start:
    raise errors.InputError(
        f"{where}.stop is {order.stop}, but the range is empty; it must be"
        f" above {where}.start, {order.start}, or -1 for the end."
    )
  if "rounds" in read:
    tmt.check_rounds(order.rounds, where)
  if order.arrangement == "tmt":
    tmt.check_pick(order.pick, where)


def _check_looking(order: config.Order, where: str) -> None:
  """Raises InputError for what is looked at where nothing looks."""
  tree, default = list(_tree(order)), config.Order()
  looks = any(map(looks_at_target, tree))
  named = {each.embedder for each in tree}
  for name in config.LOOKING:
    value = getattr(order, name)
    if name == "embedder" or value == getattr(default, name):
      continue
    if name in _TARGET and not looks:
      raise errors.InputError(
          f"{where}.{name} is {schema.show(value)}, but {where}.embedder is '':"
          " nothing reads a held-out set. Set an embedder, such as 'ngram'."
      )
    readers = _EMBEDDERS.get(name, ())
    if readers and not named & {*readers}:
      raise errors.InputError(
          f"{where}.{name} is {schema.show(value)}, but {where}.embedder is"
          f" {order.embedder!r}: only {' and '.join(map(repr, readers))} read"
          f"{'s' * (len(readers) == 1)} it."
      )


def _tree(order: config.Order) -> Iterator[config.Order]:
  """An order and all of its parts."""
  yield order
  for part in order.parts if has_parts(order) else ():
    yield from _tree(part)


def has_parts(order: config.Order) -> bool:
  """Whether the arrangement of `order` reads its parts."""
  return "parts" in _reads(order)


def _reads(order: config.Order, where: str = "config.order") -> list[str]:
  """Names of the keyword-only arguments of an order's arrangement."""
  function = errors.choose(
      ARRANGEMENTS, order.arrangement, f"{where}.arrangement"
  )
  arguments = inspect.signature(function).parameters.values()
  return [a.name for a in arguments if a.kind is a.KEYWORD_ONLY]
