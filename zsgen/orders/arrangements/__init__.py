"""Arrangements by name: from a pool and a budget to a sequence of rows.

An arrangement is a pure function of a pool (its tasks, and the embeddings of
its rows and of the held-out set) and, as keyword-only arguments, of those
fields of `config.Order` that it reads, and of the seed if it draws.
"""

from collections.abc import Callable
import dataclasses
import functools
import inspect
from typing import Any

from zsgen import config, errors
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
  check(order, len(pool))
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
  _check_unread(order)
  if order.budget == 0:
    raise errors.InputError(
        "config.order.budget is 0: give the number of training examples, or -1"
        " for all that the arrangement gives."
    )
  if order.budget > pool:
    raise errors.InputError(
        f"config.order.budget is {order.budget}, but the pool has {pool}"
        " training examples. Lower the budget, or raise"
        " config.data.train_instances if the tasks have more."
    )


def check_known(order: config.Order) -> None:
  """Raises InputError if there is no arrangement of that name."""
  _reads(order)


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


def _check_unread(order: config.Order) -> None:
  """Raises InputError for an option that is set and that nothing reads."""
  read = {*_reads(order), *config.LOOKING, "arrangement"}
  for field in dataclasses.fields(order):
    value = getattr(order, field.name)
    if field.name not in read and value != field.default:
      raise errors.InputError(
          f"config.order.{field.name} is {value!r}, but"
          f" {order.arrangement!r} does not read it. It reads:"
          f" {', '.join(sorted(read - {'arrangement', 'seed'}))}."
      )


def has_parts(order: config.Order) -> bool:
  """Whether the arrangement of `order` reads its parts."""
  return "parts" in _reads(order)


def _reads(order: config.Order) -> list[str]:
  """Names of the keyword-only arguments of an order's arrangement."""
  function = errors.choose(
      ARRANGEMENTS, order.arrangement, "config.order.arrangement"
  )
  arguments = inspect.signature(function).parameters.values()
  return [a.name for a in arguments if a.kind is a.KEYWORD_ONLY]
