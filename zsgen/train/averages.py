"""Averages of the parameters, evaluated beside them.

  ema    an exponential moving average over all steps (`train.ema`)
  mean   the mean of the newest snapshots (`train.mean_of`, `train.mean_every`)

They are updated by programs of their own, before the next step replaces the
parameters. So the program of a step, and what it computes, is the same with and
without them. Both begin with the parameters before the first step.
"""

from collections.abc import Callable, Sequence
import functools
from typing import Any, NamedTuple

import jax
from jax import numpy as jnp
import numpy as np
import optax

from zsgen.core import config as config_lib
from zsgen.train import memory, trees
from zsgen.train import metrics as metrics_lib
from zsgen.train import step as step_lib

EMA, MEAN = config_lib.EMA, config_lib.MEAN


class Averaged(NamedTuple):
  """What the checkpoint of a run with averages holds."""

  params: trees.Params
  moments: optax.OptState
  averages: dict[str, trees.Params]


class Evaluator:
  """Evaluates an average as another evaluator does the parameters.

  Args:
    evaluator: evaluates parameters.
    average: the name of the average.

  Attributes:
    evaluator: evaluates parameters.
    average: the name of the average.
    name: the first part of the paths of its metrics, such as "heldout@ema".
    every_steps: steps between evaluations.
    ids: rows of the store that it reads, int64 [E].
  """

  def __init__(self, evaluator: metrics_lib.Evaluator, average: str):
    self.evaluator = evaluator
    self.average = average
    self.name = config_lib.averaged_name(evaluator.name, average)
    self.every_steps = evaluator.every_steps
    self.ids = evaluator.ids

  @property
  def headline(self) -> metrics_lib.Metric:
    """The metric that represents the others."""
    return self.evaluator.headline

  def is_due(self, step: int, steps: int) -> bool:
    """Returns whether it is called before a step, as for the parameters."""
    return self.evaluator.is_due(step, steps)

  def __call__(self, params: Any) -> metrics_lib.Evaluation:
    """Evaluates the parameters of the average."""
    return self.rename(self.evaluator(params))

  def rename(self, result: metrics_lib.Evaluation) -> metrics_lib.Evaluation:
    """Returns a result with the name of this evaluation in its metrics."""
    begin = len(self.evaluator.name)
    renamed = {
        f"{self.name}{path[begin:]}": value
        for path, value in result.metrics.items()
    }
    return result._replace(metrics=renamed)


def make_evaluators(
    train: config_lib.Train, evaluators: Sequence[metrics_lib.Evaluator]
) -> list[Evaluator]:
  """Returns evaluators of all averages, for evaluators of the parameters."""
  return [
      Evaluator(evaluator, average)
      for evaluator in evaluators
      for average in config_lib.averages(train)
  ]


class Averages:
  """The averages of a job's parameters, on the devices.

  Args:
    train: the options.
    shardings: of the parameters.
    members: the number of members; parameters of several are stacked.
  """

  def __init__(
      self, train: config_lib.Train, shardings: trees.Shardings, members: int
  ):
    self._train = train
    self._shardings = shardings
    # The members are the first axis of all arrays.
    self._axis = 1 if members > 1 else 0
    self._values: dict[str, Any] = {}
    of_snapshots = self._snapshot_shardings(shardings)
    keep = functools.partial(_keep, axis=self._axis)
    mean = functools.partial(_mean, axis=self._axis)
    self._copy = jax.jit(_copy, out_shardings=shardings)
    self._move = jax.jit(_move, donate_argnums=0, out_shardings=shardings)
    self._repeat = jax.jit(self._repeated, out_shardings=of_snapshots)
    self._keep = jax.jit(keep, donate_argnums=0, out_shardings=of_snapshots)
    self._mean = jax.jit(mean, out_shardings=shardings)

  def update(self, step: int, params: trees.Params) -> None:
    """Updates all averages; nothing waits for the devices.

    Args:
      step: the number of updates that the parameters had.
      params: on the devices; they may be donated afterwards.
    """
    train, values = self._train, self._values
    if train.ema:
      if EMA in values:
        decay = np.float32(train.ema)
        values[EMA] = self._move(values[EMA], params, decay)
      else:
        values[EMA] = self._copy(params)
    if train.mean_of and step % train.mean_every == 0:
      if MEAN not in values:
        values[MEAN] = self._repeat(params)
      slot = np.int32(step // train.mean_every % train.mean_of)
      values[MEAN] = self._keep(values[MEAN], params, slot)

  def params(self, average: str, step: int) -> trees.Params:
    """Returns the parameters of an average.

    Args:
      average: its name.
      step: the number of updates that the parameters had.
    """
    if average == EMA:
      return self._values[EMA]
    count = step // self._train.mean_every + 1
    is_used = np.arange(self._train.mean_of) < count
    return self._mean(self._values[MEAN], is_used)

  def bytes_per_device(self, shapes: trees.Shapes) -> int:
    """Returns the bytes of all averages on each device, given the shapes."""
    return memory.per_device(
        self._by_name(shapes, self._snapshot_shapes),
        self._by_name(self._shardings, self._snapshot_shardings),
    )

  def pack(self, state: step_lib.State) -> step_lib.State | Averaged:
    """Returns what a checkpoint holds: the state, and averages if any."""
    return Averaged(*state, self._values) if self._values else state

  def unpack(self, saved: step_lib.State | Averaged) -> step_lib.State:
    """Takes the averages of a checkpoint; returns the state."""
    if isinstance(saved, Averaged):
      self._values = dict(saved.averages)
    return step_lib.State(saved.params, saved.moments)

  def shapes(self, state: step_lib.State) -> step_lib.State | Averaged:
    """Returns the shapes of what a checkpoint holds, given those of a state."""
    shapes = self._by_name(state.params, self._snapshot_shapes)
    return Averaged(*state, shapes) if shapes else state

  def shardings(self, state: step_lib.State) -> step_lib.State | Averaged:
    """Returns the shardings of what a checkpoint holds."""
    shardings = self._by_name(state.params, self._snapshot_shardings)
    return Averaged(*state, shardings) if shardings else state

  def _by_name(
      self, params: Any, repeat: Callable[[Any], Any]
  ) -> dict[str, Any]:
    """Returns facts about the arrays of all averages, by name.

    Args:
      params: the facts about the parameters.
      repeat: returns the facts about snapshots, given those.
    """
    facts = {}
    if self._train.ema:
      facts[EMA] = params
    if self._train.mean_of:
      facts[MEAN] = repeat(params)
    return facts

  def _snapshot_shardings(self, shardings: trees.Shardings) -> trees.Shardings:
    """Returns the shardings of snapshots."""
    return jax.tree.map(self._sharding, shardings)

  def _snapshot_shapes(self, shapes: trees.Shapes) -> trees.Shapes:
    """Returns the shapes of snapshots."""
    return jax.eval_shape(self._repeated, shapes)

  def _sharding(
      self, sharding: jax.sharding.NamedSharding
  ) -> jax.sharding.NamedSharding:
    """Returns the sharding of the snapshots of an array."""
    spec = [*sharding.spec]
    spec += [None] * (self._axis - len(spec))
    spec.insert(self._axis, None)
    return sharding.update(spec=jax.sharding.PartitionSpec(*spec))

  def _repeated(self, params: trees.Params) -> trees.Params:
    """Returns the parameters, once for every snapshot."""
    return jax.tree.map(
        lambda leaf: jnp.stack([leaf] * self._train.mean_of, self._axis),
        params,
    )


def _copy(params: trees.Params) -> trees.Params:
  """Copies parameters, so that the original may be donated."""
  return jax.tree.map(jnp.copy, params)


def _move(average: Any, params: trees.Params, decay: jax.Array) -> Any:
  """Returns an exponential moving average after another step."""
  return jax.tree.map(
      lambda before, leaf: decay * before + (1 - decay) * leaf, average, params
  )


def _keep(
    snapshots: Any, params: trees.Params, slot: jax.Array, axis: int
) -> Any:
  """Replaces one of the snapshots, along their axis."""
  return jax.tree.map(
      lambda before, leaf: jax.lax.dynamic_update_index_in_dim(
          before, leaf, slot, axis
      ),
      snapshots,
      params,
  )


def _mean(snapshots: Any, is_used: jax.Array, axis: int) -> Any:
  """Returns the mean of the snapshots that are used, bool [k]."""

  def mean(leaf: jax.Array) -> jax.Array:
    """Returns the mean of the used snapshots of a leaf, over `axis`."""
    used = is_used.reshape((-1,) + (1,) * (leaf.ndim - axis - 1))
    return jnp.where(used, leaf, 0).sum(axis) / is_used.sum()

  return jax.tree.map(mean, snapshots)
