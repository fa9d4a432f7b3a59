"""Arrangements: from a pool and options to a sequence of rows.

An arrangement is a pure function of a pool (its tasks, and the embeddings of
its rows and of the held-out set), of its own options and of the seed. It is
registered in its module by `registry.arrangement`.
"""

import dataclasses
from typing import Any

from zsgen.core import config, errors, plugins, registry, schema
from zsgen.orders import embedders
from zsgen.orders import pool as pool_lib
from zsgen.orders.arrangements import arranged

# What an order looks at that nothing reads where no text is looked at. The
# target is not one of them: a base config may name it for other orders.
_TARGET = ("target_task", "text")


def arrange(
    order: config.Order, pool: pool_lib.Pool, seed: int
) -> arranged.Arranged:
  """Arranges a pool.

  Args:
    order: the arrangement's name and options.
    pool: the rows, [N]; its facts give the embeddings that `order` names.
    seed: of all that is drawn.

  Raises:
    InputError: the pool is smaller than the budget, or the arrangement lacks
      what it needs.
  """
  check_size(order, len(pool))
  component = _component(order)
  options = schema.options_of(order, component.options)
  sequence = component.build(pool.looking(order), options, seed)
  if not len(sequence):
    raise errors.InputError(
        f"config.order.arrangement={order.arrangement!r} gives no example at"
        " all: its options leave nothing."
    )
  return sequence


def check_size(order: config.Order, pool: int) -> None:
  """Raises InputError for a budget that a pool of that size does not have."""
  budget = getattr(order, "budget", -1)
  if budget > pool:
    raise errors.InputError(
        f"config.order.budget is {budget}, but the pool has {pool} training"
        " examples. Lower the budget (-1 is all of them), or raise"
        " config.data.train_instances if the tasks have more."
    )


def check_target(order: config.Order, location: str = "config.order") -> None:
  """Checks that something reads what an order and its parts look at.

  Raises:
    InputError: an option is set, but no text of a held-out set is read.
  """
  orders = [order, *all_parts(order)]
  if any(map(looks_at_target, orders)):
    return
  for name in _TARGET:
    value, default = getattr(order, name), getattr(config.Order, name)
    if value != default:
      raise errors.InputError(
          f"{location}.{name} is {schema.show(value)}, but {location}.embedder"
          " is '': nothing reads a held-out set. Set an embedder, such as"
          " 'ngram'."
      )
  for number, part in enumerate(parts(order)):
    check_target(part, f"{location}.parts[{number}]")


def looks_at_target(order: config.Order) -> bool:
  """Returns whether an order reads texts of the held-out set, parts apart."""
  return bool(order.embedder) or getattr(order, "reads_texts", False)


def reads_model(order: config.Order) -> bool:
  """Returns whether an order, parts apart, depends on parameters of a model.

  Only such an order is another one after some steps, and may be arranged anew.
  """
  is_embedded = reads_vectors(order) and embedders.reads_run(order)
  return is_embedded or bool(model_score(order))


def reads_vectors(order: config.Order) -> bool:
  """Returns whether an order's sequence depends on vectors, parts apart."""
  return getattr(order, "reads_vectors", False)


def may_leave_out(order: config.Order) -> bool:
  """Returns whether an order may lack examples of its pool without a budget."""
  return getattr(order, "may_leave_out", False)


def model_score(order: config.Order) -> str:
  """Returns the score by a model that an order reads; "" for none."""
  return getattr(order, "model_score", "")


def parts(order: config.Order) -> tuple[config.Order, ...]:
  """Returns the orders that an order is put together from; () for none."""
  return getattr(order, "parts", ())


def has_parts(order: config.Order) -> bool:
  """Returns whether an order is put together from others."""
  return hasattr(order, "parts")


def parameters(order: config.Order) -> dict[str, Any]:
  """Returns the arrangement's options without parts, JSON-able.

  The digest of a file replaces its path, and the digest of a plug-in's source
  is among them.

  Raises:
    InputError: there is no such file.
  """
  values: dict[str, Any] = plugins.fingerprint("arrangement", order.arrangement)
  fields = dataclasses.fields(_component(order).options)
  for field in sorted(fields, key=lambda field: field.name):
    value = getattr(order, field.name)
    if field.metadata["newer"] and value == field.default:
      continue
    if field.metadata["hashed"]:
      value = field.metadata["hashed"](value)
    if field.name != "parts":
      values[field.name] = list(value) if isinstance(value, tuple) else value
  return values


def _component(order: config.Order) -> registry.Component:
  return registry.component(
      "arrangement", order.arrangement, "config.order.arrangement"
  )


def all_parts(order: config.Order) -> list[config.Order]:
  """Returns the parts of an order, and theirs."""
  inner = [[part, *all_parts(part)] for part in parts(order)]
  return [part for group in inner for part in group]
