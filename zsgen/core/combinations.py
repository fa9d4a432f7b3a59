"""Checks combinations of options whose values are valid one by one.

These checks run with the schema, before any component is loaded. A component
checks its own options.
"""

import dataclasses
import itertools
from typing import Any

from zsgen.core import errors, schema

# Names of evaluations whose metrics would mix with those of training.
_RESERVED = ("train", "perf", "probe")
_NAME_CHARACTERS, _NAME_BYTES = 64, 192
# When an order is arranged anew.
_REMAKE = ("remake_every", "remake_steps")


def check(config: Any) -> None:
  """Raises InputError for the first options that contradict each other.

  Args:
    config: a `zsgen.core.config.Config` whose options are in their ranges.
  """
  _check_names(config)
  _check_evals(config)
  _check_lengths(config.data)
  _check_seeds(config)
  _check_targets(config)
  _check_batch(config)
  _check_fork(config)
  _check_averages(config.train)
  _check_probe(config)
  _check_remake(config)
  _check_population(config.population)
  _check_hosts(config.machine.hosts)


def _check_names(config: Any) -> None:
  """Checks that the run and its evaluations can name directories."""
  for option, name in [
      ("config.name", config.name),
      *((f"config.evals.{name}", name) for name in config.evals),
  ]:
    if (
        not 0 < len(name) <= _NAME_CHARACTERS
        or len(name.encode("utf-8", "replace")) > _NAME_BYTES
        or name.startswith(".")
        or not all(c.isalnum() or c in "._-" for c in name)
    ):
      section = "" if option == "config.name" else "evals"
      raise errors.InputError(
          f"config{section and '.' + section}: {schema.show(name)} cannot name"
          f" a directory; use 1 to {_NAME_CHARACTERS} letters, digits, '.', '_'"
          " and '-', and no '.' at the beginning."
      )


def _check_evals(config: Any) -> None:
  """Raises InputError for evaluations whose options do not fit."""
  if not config.evals:
    raise errors.InputError(
        "config.evals is empty: name at least one evaluation, such as"
        " config.evals.heldout.split='heldout'."
    )
  for name, spec in config.evals.items():
    if name in _RESERVED:
      raise errors.InputError(
          f"config.evals.{name}: a run already has metrics named {name}/…."
          " Choose another name."
      )
    if not spec.max_examples:
      raise errors.InputError(
          f"config.evals.{name}.max_examples is 0; it must be 1 or more, or -1"
          " for all examples."
      )
    if spec.unanswered == "zero" and config.data.unanswered != "keep":
      raise errors.InputError(
          f"config.evals.{name}.unanswered is 'zero', but examples without an"
          " answer are dropped: set config.data.unanswered='keep'."
      )
    if not spec.per_task:
      raise errors.InputError(
          f"config.evals.{name}.per_task is 0; it must be 1 or more, or -1 for"
          " all examples of a task."
      )


def _check_lengths(data: Any) -> None:
  """Checks that held-out examples have room for a prompt and an answer."""
  if data.heldout_max_length == 1:
    raise errors.InputError(
        "config.data.heldout_max_length is 1; it must be 2 or more, or 0 for"
        " that of training examples."
    )


def _check_seeds(config: Any) -> None:
  """Checks that seeds are read."""
  draws = config.model.init == "new" or (
      config.lora.rank and not config.lora.init
  )
  if config.train.seed is not None and not draws:
    raise errors.InputError(
        f"config.train.seed is {config.train.seed}, but nothing is drawn: all"
        " parameters are read. Leave it out, or set config.model.init='new' or"
        " config.lora.rank."
    )
  _check_parts(config.order, "config.order")


def _check_parts(order: Any, location: str) -> None:
  """Checks that no part of an order has options of the whole order."""
  for number, part in enumerate(getattr(order, "parts", ())):
    inner = f"{location}.parts[{number}]"
    if part.seed is not None:
      raise errors.InputError(
          f"{inner}.seed is {part.seed}, but an order has one seed for all of"
          " its parts. Set config.order.seed."
      )
    for name in _REMAKE:
      if getattr(part, name):
        raise errors.InputError(
            f"{inner}.{name} is {schema.show(getattr(part, name))}, but an order"
            " with parts, and a part, cannot be arranged anew. Leave it out."
        )
    if part.trace_every:
      raise errors.InputError(
          f"{inner}.trace_every is {part.trace_every}, but only whole orders"
          " have a trace. Set config.order.trace_every."
      )
    _check_parts(part, inner)


def _check_targets(config: Any) -> None:
  """Checks that the bounds of each target can be met."""
  for name, target in config.targets.items():
    below, above = target.below, target.above
    if below is None and above is None:
      raise errors.InputError(
          f"config.targets.{name} has no bound. Set its `below` or `above`."
      )
    if below is not None and above is not None and above >= below:
      raise errors.InputError(
          f"config.targets.{name}: no value is above {above:g} and below"
          f" {below:g}. Set `above` to a value below that of `below`."
      )


def _check_batch(config: Any) -> None:
  """Checks that a step can be divided into the parts that are asked for."""
  train, machine = config.train, config.machine
  if train.batch_size % train.loss_groups:
    raise errors.InputError(
        f"config.train.loss_groups is {train.loss_groups}; it must divide"
        f" config.train.batch_size, {train.batch_size}."
    )
  if machine.micro_batches > train.batch_size:
    raise errors.InputError(
        f"config.machine.micro_batches is {machine.micro_batches}; it must be"
        f" at most config.train.batch_size, {train.batch_size}, because a step"
        " does not have more rows than examples."
    )


def _check_fork(config: Any) -> None:
  """Checks that a fork names a step, and that its options are read."""
  _, separator, step = config.fork.rpartition("@")
  if config.fork and not (separator and step.isascii() and step.isdigit()):
    raise errors.InputError(
        f"config.fork is {schema.show(config.fork)}; it must be a run's"
        " directory, @ and the number of a step: 'RUN@STEP'."
    )
  if not config.fork and config.fork_order != type(config).fork_order:
    raise errors.InputError(
        f"config.fork_order is {config.fork_order!r}, but config.fork is '':"
        " only a fork reads it."
    )


def _check_averages(train: Any) -> None:
  """Checks that snapshots are taken if their distance is set."""
  if not train.mean_of and train.mean_every != type(train).mean_every:
    raise errors.InputError(
        f"config.train.mean_every is {train.mean_every}, but"
        " config.train.mean_of is 0: no snapshots are taken. Set how many of"
        " them are averaged."
    )


def _check_probe(config: Any) -> None:
  """Checks that options of the probe are read."""
  probe = config.probe
  if probe.examples:
    return
  for field in dataclasses.fields(probe):
    value = getattr(probe, field.name)
    if value != field.default:
      raise errors.InputError(
          f"config.probe.{field.name} is {schema.show(value)}, but"
          " config.probe.examples is 0: nothing is followed. Set the number of"
          " examples."
      )


def _check_remake(config: Any) -> None:
  """Checks that an order may be arranged anew while the run trains."""
  order = config.order
  if not (order.remake_every or order.remake_steps):
    return
  if order.remake_every and order.remake_steps:
    raise errors.InputError(
        f"config.order.remake_every is {order.remake_every}, but"
        f" config.order.remake_steps is {schema.show(order.remake_steps)}. Set"
        " one of them."
    )
  steps = order.remake_steps
  if any(a >= b for a, b in itertools.pairwise(steps)):
    raise errors.InputError(
        f"config.order.remake_steps is {schema.show(steps)}; its steps must"
        " ascend."
    )
  name = "remake_steps" if steps else "remake_every"
  conflicts = {
      "config.data.feed='seqio'": (
          config.data.feed == "seqio",
          "a Mixture has the order that was made before training",
      ),
      "config.population": (
          config.population > 1,
          "each member would have shapes of its own",
      ),
      "config.probe.around": (
          config.probe.examples and config.probe.around,
          "which step consumes an example is not known beforehand; set it to"
          " False",
      ),
  }
  for option, (is_set, reason) in conflicts.items():
    if is_set:
      raise errors.InputError(
          f"config.order.{name} and {option} cannot be used together:"
          f" {reason}."
      )


def _check_population(members: int) -> None:
  """Checks that a population has members."""
  if not members:
    raise errors.InputError(
        "config.population is 0; it must be 1 or more, or -1 for as many points"
        " as the devices have room for."
    )


def _check_hosts(machines: Any) -> None:
  """Checks that the index of this process is below their count."""
  if machines.count and machines.index >= machines.count:
    raise errors.InputError(
        f"config.machine.hosts.index is {machines.index}; it must be below"
        f" config.machine.hosts.count, {machines.count}, because processes are"
        " numbered from 0."
    )
