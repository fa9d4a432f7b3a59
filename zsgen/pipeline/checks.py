"""Checks of a config before, and with, the artifacts that it needs."""

from collections.abc import Collection, Sequence

import numpy as np

from zsgen import evals
from zsgen.core import config as config_lib
from zsgen.core import errors, hosts
from zsgen.data import sources, tokenizers
from zsgen.data import store as store_lib
from zsgen.data.sources import options
from zsgen.evals import api, metrics
from zsgen.models import model as model_lib
from zsgen.orders import arrangements, embedders
from zsgen.orders.embedders import by_model
from zsgen.train import writers


def check_config(config: config_lib.Config) -> None:
  """Raises InputError for what the config alone shows to be wrong.

  It is called before any work is done, and whether or not artifacts exist.

  Args:
    config: with the architecture and the adapters of the start.
  """
  sources.check(config.data)
  metrics.check_targets(config.evaluations, config.targets)
  for name, spec in config.evals.items():
    if spec.unanswered == "zero":
      _check_counts_unanswered(name, spec)
  if heldout := options.heldout(config.data):
    check_splits(config, heldout)
  arrangements.check_target(config.order)
  _check_remake(config.order)
  if hosts.is_first():
    writers.check(config.machine)
  model_lib.Model.from_config(config.model, config.lora)
  if config.machine.export == "adapter" and not config.lora.rank:
    raise errors.InputError(
        "config.machine.export is 'adapter', but config.lora.rank is 0: there"
        " are no adapters. Set a rank, or config.machine.export='merged'."
    )


def check_evaluators(config: config_lib.Config) -> None:
  """Raises InputError for an evaluation that a run cannot do while it trains."""
  for name, spec in config.evals.items():
    if not evals.declaration(spec).in_training:
      raise errors.InputError(
          f"config.evals.{name}: evaluations of type {spec.type!r} are not done"
          " during training. Leave it out, train with --stage=train, and"
          " evaluate with --stage=evaluate and config.model.init='run:DIR' (the"
          " last step) or 'run:DIR@STEP'."
      )


def _check_remake(order: config_lib.Order) -> None:
  """Raises InputError if an order cannot be arranged anew, or has no reason."""
  name = "remake_steps" if order.remake_steps else "remake_every"
  value = getattr(order, name)
  if not value:
    return
  if arrangements.has_parts(order):
    raise errors.InputError(
        f"config.order.{name} is {value}, but config.order.arrangement is"
        f" {order.arrangement!r}, which combines the orders of"
        " config.order.parts: an order with parts cannot be arranged anew. Set"
        " an arrangement without parts, such as 'scored' or 'tmt', or leave it"
        " out."
    )
  if not arrangements.reads_model(order):
    raise errors.InputError(
        f"config.order.{name} is {value}, but {_describe_constant(order)}: it"
        " would be arranged by the same values again. Set"
        " config.order.arrangement='scored' with config.order.score='loss' or"
        " 'ifd'; an arrangement by vectors, such as 'tmt', with"
        " config.order.embedder='hidden' or 'gradient' and no checkpoint; or"
        " leave it out."
    )
  if arrangements.may_leave_out(order):
    raise errors.InputError(
        f"config.order.{name} is {value}, but the arrangement"
        f" {order.arrangement!r} with these options may leave out some of the"
        " examples that remain, and the run must consume all of them. Use"
        " another arrangement, or leave it out."
    )


def _describe_constant(order: config_lib.Order) -> str:
  """Returns why an order is the same for all parameters of a run."""
  if not arrangements.reads_vectors(order) or not order.embedder:
    return (
        f"the arrangement {order.arrangement!r} with these options reads"
        " nothing of the model"
    )
  embedder = embedders.make(order)
  if isinstance(embedder, by_model.ModelEmbedder):
    listing = ", ".join(embedder.checkpoints)
    return (
        f"the vectors of config.order.embedder={order.embedder!r} are those of"
        f" checkpoints, which training does not change ({listing})"
    )
  return f"config.order.embedder={order.embedder!r} reads nothing of the model"


def _check_counts_unanswered(name: str, spec: config_lib.Eval) -> None:
  """Raises InputError if the evaluation needs answers."""
  if not evals.declaration(spec).counts_unanswered:
    raise errors.InputError(
        f"config.evals.{name}.unanswered is 'zero', but evaluations of type"
        f" {spec.type!r} cannot count examples without an answer. Set it to"
        " 'exclude'."
    )


def check_order(config: config_lib.Config) -> None:
  """Raises InputError if the order cannot be made, for want of its file.

  Preparing does without, so that the file can be written from the store's ids.
  """
  arrangements.parameters(config.order)


def check_vocabulary(config: config_lib.Config) -> None:
  """Raises InputError if the model has no row for some token."""
  rows = config.model.vocab_size
  tokenizer = tokenizers.get(config.data)
  content = {"what config.data.tokenizer_path holds": tokenizer.fingerprint}
  hosts.agree("tokenizer", content)
  needed = tokenizer.vocab_size
  if needed <= rows:
    return
  hint = ""
  if config.model.init != "new":
    hint = (
        f" The parameters of config.model.init={config.model.init!r} are of"
        " another vocabulary: set it to 'new' too."
    )
  raise errors.InputError(
      f"config.model.vocab_size is {rows}, but the tokenizer has {needed} ids:"
      f" set it to {needed} or more.{hint}"
  )


def check_splits(config: config_lib.Config, heldout: Collection[str]) -> None:
  """Raises InputError if an evaluation's held-out set is not known.

  Args:
    config: names the sets.
    heldout: the names of all held-out sets.
  """
  for name, spec in config.evals.items():
    if spec.split not in heldout:
      raise errors.InputError(
          f"config.evals.{name}.split: there is no held-out set"
          f" {spec.split!r}.{errors.did_you_mean(spec.split, heldout)}"
          f" {config.data.source} has: {', '.join(heldout)}."
      )


def check_store(config: config_lib.Config, store: store_lib.Store) -> None:
  """Raises InputError if a store lacks what the config evaluates.

  That is a held-out set, answers to choose from, or the task of a target.
  """
  check_splits(config, store.manifest["heldout"])
  for name, spec in config.evals.items():
    if evals.declaration(spec).rows == api.CHOICES:
      try:
        store.choices(spec.split)
      except errors.InputError as error:
        raise errors.InputError(f"config.evals.{name}: {error}") from error
  evaluated = {
      split: [store.tasks[task] for task in store.split_tasks(split)]
      for split in store.manifest["heldout"]
  }
  metrics.check_targets(config.evaluations, config.targets, evaluated)


def check_lengths(
    config: config_lib.Config,
    store: store_lib.Store,
    ids: Sequence[np.ndarray],
) -> None:
  """Raises InputError for rows that the model has no positions for.

  Args:
    config: bounds the positions.
    store: the rows.
    ids: of all rows that are used, int64 [n] each.
  """
  rows = np.concatenate(ids)
  if not len(rows):
    return  # Evaluations of examples that the store does not have.
  longest = int(store.lengths[rows].max())
  if longest > config.model.max_positions:
    raise errors.InputError(
        f"config.model.max_positions is {config.model.max_positions}, but the"
        f" longest example has {longest} tokens: lower config.data.max_length."
    )
