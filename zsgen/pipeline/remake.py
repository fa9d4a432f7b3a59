"""Arranges the rest of an order anew, by the parameters of a running training.

The pool of a segment is what is left of the order that was made before
training: the examples of a run and their number never change. The arrangement,
its options and its seed are those of `config.order`, without `budget` and
`per_task`. What an arrangement reads of the model is read of its parameters at
that step: scores by losses (`model_scores`). Whatever else it may read of them
belongs into the pool of `_Remaking._arrange`, and its name into
`arrangements.reads_model`.
"""

import dataclasses
import pathlib
import shutil
from typing import Any

import jax
import numpy as np
import pyarrow as pa

from zsgen.core import artifacts, errors, hosts, storage
from zsgen.core import config as config_lib
from zsgen.data import suite
from zsgen.orders import arrangements, model_scores, segments, sources
from zsgen.orders import order as order_lib
from zsgen.pipeline import score
from zsgen.pipeline.experiment import Experiment
from zsgen.train import (
    batches,
    finite,
    layouts,
    remaking,
    run_copies,
    trees,
)

# Options that select what an order consists of; a segment takes all that is
# left.
_SELECTING = ("budget", "per_task")


def make(
    experiment: Experiment, ids: np.ndarray, mesh: jax.sharding.Mesh
) -> remaking.Remake | None:
  """Returns how the rest of a run's order is arranged anew.

  Args:
    experiment: the config.
    ids: what all steps consume by the order itself, int64 [n].
    mesh: the devices that train.

  Returns:
    None for a static order.

  Raises:
    InputError: an option does not fit what is left of the order.
  """
  if not experiment.remake_steps:
    return None
  work = _Remaking(experiment, mesh)
  work.rehearse(ids)
  config, store = experiment.config, experiment.store
  return remaking.Remake(
      steps=experiment.remake_steps,
      ids=ids,
      obtain=work.obtain,
      load=work.load,
      sizes=lambda rest: layouts.sizes_of(store, rest),
      feed=lambda planned: batches.store_feed(
          store, planned, config.train.batch_size
      ),
  )


class _Remaking:
  """Makes the segments of a run; see `make`."""

  def __init__(self, experiment: Experiment, mesh: jax.sharding.Mesh):
    self._experiment = experiment
    self._mesh = mesh

  def rehearse(self, ids: np.ndarray) -> None:
    """Arranges the last, smallest rest by scores of 0, and writes nothing.

    Raises:
      InputError: the arrangement does not fit it, or an example has no score.
    """
    experiment = self._experiment
    size = experiment.config.train.batch_size
    first, last = experiment.remake_steps[0], experiment.remake_steps[-1]
    name = arrangements.model_score(experiment.config.order)
    self._losses(ids[first * size :]).check(name)
    zeros = np.zeros(len(experiment.store.split_ids(suite.TRAIN)))
    try:
      self._arrange(ids[last * size :], zeros)
    except errors.InputError as error:
      raise errors.InputError(
          f"{error} This is what is left at step {last}, when the order is"
          " arranged anew (config.order.remake_every or remake_steps)."
      ) from error

  def load(self, step: int, rest: np.ndarray) -> segments.Segment:
    """Reads a segment; see `segments.load`."""
    run, store = self._experiment.run, self._experiment.store
    return segments.load(run.path, run.identity, step, rest, store.fingerprint)

  def obtain(
      self,
      step: int,
      rest: np.ndarray,
      params: trees.Params,
      plan: remaking.Plan,
  ) -> segments.Segment:
    """Reads a segment or, if there is none yet, makes and writes it.

    Args:
      step: its first step.
      rest: the ids that are left, int64 [n].
      params: all parameters before this step, on the mesh.
      plan: returns the shapes of the segment's steps.

    Raises:
      InputError: a loss is not finite, or the segment is damaged.
    """
    path = segments.path_of(self._experiment.run.path, step)
    log = self._experiment.console.log
    is_written = hosts.broadcast(
        f"segment {step}", hosts.is_first() and artifacts.exists(path)
    )
    if not is_written:
      log(f"remake   {len(rest):,} examples by the parameters of step {step}")
      self._make(step, rest, params, plan)
    hosts.wait(f"segment {step}")
    hosts.await_file(path)
    if hosts.is_first():
      shutil.rmtree(self._partial(step), ignore_errors=True)
    segment = self.load(step, rest)
    hosts.agree("segment", {f"segment {step}": segment.fingerprint})
    log(f"remake   {path}")
    return segment

  def _make(
      self,
      step: int,
      rest: np.ndarray,
      params: trees.Params,
      plan: remaking.Plan,
  ) -> None:
    """Scores and arranges what is left, and writes the segment."""
    run, store = self._experiment.run, self._experiment.store
    scores = self._score(step, np.sort(rest), params)
    table, notes = self._arrange(rest, scores)
    if hosts.is_first():
      shapes = plan(table["id"].to_numpy()).shapes
      run_copies.check_lease(run.path)
      segments.save(
          run.path,
          segments.recipe(run.identity, step, rest, store.fingerprint),
          store,
          table,
          dict(self._mesh.shape),
          shapes=[list(map(int, shape)) for shape in shapes],
          notes=notes,
      )

  def _score(
      self, step: int, ids: np.ndarray, params: trees.Params
  ) -> np.ndarray:
    """Returns the score of examples that the order reads, by parameters.

    Args:
      step: the step of the parameters.
      ids: the examples, int64 [n], ascending.
      params: all parameters, on the mesh.

    Returns:
      float64 [N], of all training examples; NaN of those that are not asked for.
    """
    name = arrangements.model_score(self._experiment.config.order)
    partial = self._partial(step)
    scores = self._losses(ids).compute(
        name, params, lambda _: self._advise(step), partial
    )
    scores = scores.astype(np.float32)
    if hosts.is_distributed() and not storage.find(partial):
      scores = self._exchange(scores, partial / model_scores.VALUES)
    train = self._experiment.store.split_ids(suite.TRAIN)
    values = np.full(len(train), np.nan)
    values[np.searchsorted(train, ids)] = scores
    return values

  def _exchange(self, scores: np.ndarray, file: pathlib.Path) -> np.ndarray:
    """Returns the scores of process 0 in all processes, through a file.

    The others may lack what was scored before a kill. In a bucket, nothing is
    kept for after a kill, and all processes have all scores.
    """
    if hosts.is_first():
      np.save(file, scores)
    hosts.wait("the scores")
    hosts.await_file(file)
    return artifacts.load_array(file)

  def _partial(self, step: int) -> pathlib.Path:
    """Returns the directory for scores of a segment; it survives a kill."""
    path = segments.path_of(self._experiment.run.path, step)
    return path.with_name(f".{step}.partial")

  def _arrange(
      self, rest: np.ndarray, scores: np.ndarray
  ) -> tuple[pa.Table, dict[str, Any]]:
    """Arranges what is left; see `order_lib.tabulate`.

    Args:
      rest: the ids that are left, int64 [n].
      scores: of all training examples, float64; those that are left are read.

    Raises:
      InputError: the arrangement does not fit what is left.
    """
    experiment = self._experiment
    order = _take_all(experiment.config.order)
    store, log = experiment.store, experiment.console.log
    scorer = model_scores.NO_SCORER._replace(obtain=lambda _: scores)
    pool = sources.pool(experiment.workdir, store, log, scorer)
    assert pool.facts is not None, "the pool is a store's"
    rows = np.searchsorted(pool.facts.ids, np.sort(rest))
    seed = experiment.config.order_seed
    table, notes = order_lib.tabulate(store, order, pool.take(rows), seed)
    if len(table) != len(rest):
      raise errors.InputError(
          f"config.order.arrangement={order.arrangement!r} gives {len(table)}"
          f" of {len(rest)} examples."
      )
    return table, notes

  def _losses(self, ids: np.ndarray) -> score.Losses:
    """Returns what scores examples by losses."""
    experiment = self._experiment
    return score.Losses(
        experiment.config,
        experiment.store,
        ids,
        self._mesh,
        experiment.console.log,
    )

  def _advise(self, step: int) -> str:
    """Returns what to do about a loss that is not finite."""
    origin = f"the parameters of step {step}"
    return finite.advise(
        finite.Beginning(origin), self._experiment.config, step
    )


def _take_all(order: config_lib.Order) -> config_lib.Order:
  """Returns an order that takes the whole of its pool."""
  options = {name: -1 for name in _SELECTING if hasattr(order, name)}
  return dataclasses.replace(order, **options)
