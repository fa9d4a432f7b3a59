"""Arranges the rest of an order anew, by the parameters of a running training.

The pool of a segment is what is left of the order that was made before
training: the examples of a run and their number never change. The arrangement,
its options and its seed are those of `config.order`, without `budget`,
`per_task` and `rounds`. What an arrangement reads of the model is read of its
parameters at that step: scores by losses (`model_scores`); and vectors of the
examples that are left and of the held-out ones, by an embedder that reads the
run's own parameters (`embedders.reads_run`). `arrangements.reads_model` says
whether it reads any of these.
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
from zsgen.orders import (
    arrangements,
    embedders,
    embeddings,
    model_scores,
    segments,
    sources,
)
from zsgen.orders import order as order_lib
from zsgen.pipeline import features, score
from zsgen.pipeline.experiment import Experiment
from zsgen.train import (
    batches,
    finite,
    layouts,
    optimizer,
    remaking,
    run_copies,
)

# Options that select what an order consists of, with values that take all that
# is left.
_SELECTING = {"budget": -1, "per_task": -1, "rounds": ()}


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
  work = _Remaking(experiment, mesh, ids)
  work.rehearse()
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
  """Makes the segments of a run; see `make` for the arguments."""

  def __init__(
      self, experiment: Experiment, mesh: jax.sharding.Mesh, ids: np.ndarray
  ):
    self._experiment = experiment
    self._mesh = mesh
    self._ids = ids
    self._score_name = arrangements.model_score(experiment.config.order)

  def rehearse(self) -> None:
    """Arranges the last, smallest rest, and writes no segment.

    Scores are 0, and vectors are those of the order before training.

    Raises:
      InputError: the arrangement does not fit it, or an example has no score.
    """
    experiment = self._experiment
    size = experiment.config.train.batch_size
    first, last = experiment.remake_steps[0], experiment.remake_steps[-1]
    if self._score_name:
      self._losses(self._ids[first * size :]).check(self._score_name)
    zeros = np.zeros(len(experiment.store.split_ids(suite.TRAIN)))
    try:
      self._arrange(self._ids[last * size :], zeros, None)
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
      self, run_state: remaking.RunState, rest: np.ndarray, plan: remaking.Plan
  ) -> segments.Segment:
    """Reads a segment or, if there is none yet, makes and writes it.

    Args:
      run_state: what the run has before the first step of the segment.
      rest: the ids that are left, int64 [n].
      plan: returns the shapes of the segment's steps.

    Raises:
      InputError: a loss or a vector is not finite, or the segment is damaged.
    """
    step = run_state.step
    path = segments.path_of(self._experiment.run.path, step)
    log = self._experiment.console.log
    is_written = hosts.broadcast(
        f"segment {step}", hosts.is_first() and artifacts.exists(path)
    )
    if not is_written:
      log(f"remake   {len(rest):,} examples by the parameters of step {step}")
      self._make(run_state, rest, plan)
    hosts.wait(f"segment {step}")
    hosts.await_file(path)
    if hosts.is_first():
      shutil.rmtree(self._partial(step), ignore_errors=True)
    segment = self.load(step, rest)
    hosts.agree("segment", {f"segment {step}": segment.fingerprint})
    log(f"remake   {path}")
    return segment

  def _make(
      self, run_state: remaking.RunState, rest: np.ndarray, plan: remaking.Plan
  ) -> None:
    """Scores, embeds and arranges what is left, and writes the segment."""
    run, store = self._experiment.run, self._experiment.store
    ids = np.sort(rest)
    scores = self._score(run_state, ids) if self._score_name else None
    vectors = None
    if embedders.reads_run(self._experiment.config.order):
      vectors = self._embed(run_state, ids)
    table, notes = self._arrange(rest, scores, vectors)
    if hosts.is_first():
      shapes = plan(table["id"].to_numpy()).shapes
      step, fingerprint = run_state.step, store.fingerprint
      run_copies.check_lease(run.path)
      segments.save(
          run.path,
          segments.recipe(run.identity, step, rest, fingerprint),
          store,
          table,
          dict(self._mesh.shape),
          shapes=[list(map(int, shape)) for shape in shapes],
          notes=notes,
      )

  def _score(self, run_state: remaking.RunState, ids: np.ndarray) -> np.ndarray:
    """Returns the score of examples that the order reads, by parameters.

    Args:
      run_state: has the parameters.
      ids: the examples, int64 [n], ascending.

    Returns:
      float64 [N], of all training examples; NaN of those that are not asked for.
    """
    partial = self._partial(run_state.step)
    scores = self._losses(ids).compute(
        self._score_name,
        run_state.params,
        lambda _: self._advise(run_state.step),
        partial,
    )
    scores = scores.astype(np.float32)
    if hosts.is_distributed() and not storage.find(partial):
      scores = self._exchange(scores, partial / model_scores.VALUES)
    train = self._experiment.store.split_ids(suite.TRAIN)
    values = np.full(len(train), np.nan)
    values[np.searchsorted(train, ids)] = scores
    return values

  def _embed(
      self, run_state: remaking.RunState, ids: np.ndarray
  ) -> embeddings.Embeddings:
    """Returns vectors of training examples and the target, by example id.

    Args:
      run_state: has the parameters that embed.
      ids: the training examples, int64 [n], ascending.
    """
    experiment, store = self._experiment, self._experiment.store
    config = experiment.config
    count = int((self._ids != batches.NO_EXAMPLE).sum())
    end = optimizer.schedule_steps(config.train, count)
    rate = optimizer.learning_rate(config.train, run_state.step - 1, end)
    return embeddings.compute(
        store,
        config.order,
        np.union1d(ids, sources.target_ids(store, config.order)),
        features.make_models_of_step(config, experiment.start, run_state, rate),
        self._partial(run_state.step) / "vectors",
        experiment.console.log,
    )

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
      self,
      rest: np.ndarray,
      scores: np.ndarray | None,
      vectors: embeddings.Embeddings | None,
  ) -> tuple[pa.Table, dict[str, Any]]:
    """Arranges what is left; see `order_lib.tabulate`.

    Args:
      rest: the ids that are left, int64 [n].
      scores: of all training examples, float64; those that are left are read.
        None if the order reads none.
      vectors: by example id; None for those of the order before training.

    Raises:
      InputError: the arrangement does not fit what is left.
    """
    experiment = self._experiment
    order = _take_all(experiment.config.order)
    store, log = experiment.store, experiment.console.log
    scorer = model_scores.NO_SCORER._replace(
        models=features.make_models(experiment.config, experiment.start)
    )
    if scores is not None:
      scorer = scorer._replace(obtain=lambda _: scores)
    pool = sources.pool(experiment.workdir, store, log, scorer, vectors)
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
  options = {k: v for k, v in _SELECTING.items() if hasattr(order, k)}
  return dataclasses.replace(order, **options)
