"""Models for embedders: the run's own parameters, or a checkpoint of any run.

A run's own parameters are those that it starts from and, when its order is
arranged anew, those of that step.
"""

from collections.abc import Iterator
import dataclasses
import functools
from typing import Any

import jax
import numpy as np
import optax

from zsgen.core import config as config_lib
from zsgen.core import mesh as mesh_lib
from zsgen.models import execution
from zsgen.models import model as model_lib
from zsgen.orders import arrangements, embedders
from zsgen.orders.embedders import by_model
from zsgen.train import finite, optimizer, remaking, snapshots, starts, trees

# An order can have parts, and each an embedder: no option is named.
_LOCATION = "config.order: a checkpoint of the embedder"


def make_models(
    config: config_lib.Config, start: starts.Start
) -> by_model.Models:
  """Returns what gives embedders the models of a config.

  Nothing is read before it is needed.

  Args:
    config: the options, with the architecture of the start.
    start: the parameters that the run starts from.
  """
  models = _Models(config, start)
  return by_model.Models(models.recipe, models.shapes, models.load)


def make_models_of_step(
    config: config_lib.Config,
    start: starts.Start,
    run_state: remaking.RunState,
    learning_rate: float,
) -> by_model.Models:
  """Returns the same while a run trains: its own parameters are those it has.

  Args:
    config: the options, with the architecture of the start.
    start: the parameters that the run starts from.
    run_state: what the run has before a step, on the mesh of the config.
    learning_rate: that of the update before.
  """
  models = _ModelsOfStep(config, start, run_state, learning_rate)
  return by_model.Models(models.recipe, models.shapes, models.load)


def check(config: config_lib.Config, start: starts.Start) -> None:
  """Raises InputError for embedders that do not fit their models.

  Args:
    config: the options, with the architecture of the start.
    start: the parameters that the run starts from.
  """
  models = make_models(config, start)
  for order in _orders(config.order):
    embedder = embedders.make(order) if order.embedder else None
    if isinstance(embedder, by_model.ModelEmbedder):
      embedder.check(models)


def _orders(order: config_lib.Order) -> Iterator[config_lib.Order]:
  """Yields an order and all its parts."""
  yield order
  for part in arrangements.parts(order):
    yield from _orders(part)


class _Models:
  """The models of a config; see `make_models` for the arguments."""

  def __init__(self, config: config_lib.Config, start: starts.Start):
    self._config = config
    self._start = start
    self._open = functools.cache(self._open_snapshot)

  def recipe(self, name: str) -> dict[str, Any]:
    """Returns all that decides the parameters; weights by their content."""
    if name:
      return self._open(name).recipe
    science = config_lib.science(self._config)
    for field in ("init", "dtype"):
      del science["model"][field]
    return {
        "seed": self._config.init_seed,  # Draws new parameters.
        "model": science["model"],
        **self._start.recipe(),
    }

  def shapes(self, name: str) -> tuple[config_lib.Model, trees.Shapes]:
    """Returns the architecture, and the shapes of the trained parameters."""
    start = self._open(name).run_start if name else self._start
    return start.arch, start.shapes

  def load(self, name: str, dtype: str, with_moments: bool) -> by_model.Loaded:
    """Reads parameters onto the mesh.

    Args:
      name: see `by_model.Models`.
      dtype: element type of activations.
      with_moments: whether the optimizer's moments are read, if there are any.

    Raises:
      InputError: files are damaged, or do not fit the devices.
    """
    if not name:
      return self._load_own(dtype, with_moments)
    snapshot = self._open(name)
    rules = self._config.machine.mesh.rules
    state = snapshot.load(self._mesh, rules, with_moments)
    loaded = by_model.Loaded(
        model=self._model(snapshot.run_start, dtype),
        trained=state.trained,
        frozen=state.frozen,
        mesh=self._mesh,
        description=f"the checkpoint of step {snapshot.step} of {snapshot.run}",
    )
    if state.moments is None:
      return loaded
    rate = snapshot.learning_rate
    return _add_moments(loaded, state.moments, snapshot.train, rate)

  def _load_own(self, dtype: str, with_moments: bool) -> by_model.Loaded:
    """Reads the parameters that the run starts from, onto the mesh."""
    del with_moments  # There are none yet.
    start, mesh = self._start, self._mesh
    rules = self._config.machine.mesh.rules
    mesh_lib.check_rules(start.all_shapes, rules)
    return by_model.Loaded(
        model=self._model(start, dtype),
        trained=start.load(mesh_lib.shardings(start.shapes, mesh, rules)),
        frozen=start.load_frozen(
            mesh_lib.shardings(start.frozen_shapes, mesh, rules)
        ),
        mesh=mesh,
        description=start.description,
    )

  def _model(self, start: starts.Start, dtype: str) -> model_lib.Model:
    """Returns the model of a start, which computes on the mesh."""
    arch = dataclasses.replace(start.arch, dtype=dtype)
    method = execution.from_config(self._config.machine, self._mesh, arch)
    return model_lib.Model.from_config(arch, start.lora, method)

  def _open_snapshot(self, name: str) -> snapshots.Snapshot:
    return snapshots.open_snapshot(name, _LOCATION)

  @functools.cached_property
  def _mesh(self) -> jax.sharding.Mesh:
    mesh = mesh_lib.make(self._config.machine.mesh)
    return mesh_lib.with_whole_rows(mesh)


class _ModelsOfStep(_Models):
  """The same while a run trains; see `make_models_of_step`."""

  def __init__(
      self,
      config: config_lib.Config,
      start: starts.Start,
      run_state: remaking.RunState,
      learning_rate: float,
  ):
    super().__init__(config, start)
    self._run_state = run_state
    self._learning_rate = learning_rate

  def _load_own(self, dtype: str, with_moments: bool) -> by_model.Loaded:
    """Returns the parameters of the step, which are on the devices."""
    config, run_state = self._config, self._run_state
    origin = f"the parameters of step {run_state.step}"
    loaded = by_model.Loaded(
        model=self._model(self._start, dtype),
        trained=run_state.state.params,
        frozen=run_state.frozen,
        mesh=self._mesh,
        description=origin,
        advice=finite.advise(finite.Beginning(origin), config, run_state.step),
    )
    if not with_moments:
      return loaded
    adam = optimizer.adam_state(run_state.state.moments)
    return _add_moments(loaded, adam, config.train, self._learning_rate)


def _add_moments(
    loaded: by_model.Loaded,
    moments: optax.ScaleByAdamState,
    train: config_lib.Train,
    learning_rate: float,
) -> by_model.Loaded:
  """Returns a model with the moments and the constants of its optimizer."""
  adam = by_model.Adam(
      count=int(np.asarray(moments.count)),
      b1=train.b1,
      b2=train.b2,
      eps=train.eps,
      learning_rate=learning_rate,
  )
  return loaded._replace(moments=(moments.mu, moments.nu), adam=adam)
