"""The device program of a step, and the shardings of its arguments."""

from collections.abc import Callable, Sequence
import functools
from typing import NamedTuple

import jax
import numpy as np
import optax

from zsgen.core import config as config_lib
from zsgen.core import hosts
from zsgen.core import mesh as mesh_lib
from zsgen.models import execution
from zsgen.models import model as model_lib
from zsgen.train import batches, memory, optimizer, starts, trees
from zsgen.train import step as step_lib

Step = Callable[..., tuple[step_lib.State, step_lib.Metrics[jax.Array]]]


class Program(NamedTuple):
  """What is compiled for each shape of a batch.

  Attributes:
    mesh: the devices.
    model: what is trained.
    shapes: of the state.
    shardings: of the state.
    frozen_shapes: of the parameters that are not trained.
    frozen_shardings: of the parameters that are not trained.
    batch_shardings: of a batch.
    first_moment: element type of Adam's first moment.
    plain_step: `step`, not compiled, for a program of several of it.
    step: (state, frozen, batch, hyper) to a new state, which takes the place
      of the old one in memory, and metrics, which every device has.
  """

  mesh: jax.sharding.Mesh
  model: model_lib.Model
  shapes: step_lib.State
  shardings: step_lib.State
  frozen_shapes: trees.Shapes
  frozen_shardings: trees.Shardings
  batch_shardings: batches.Batch[jax.sharding.NamedSharding]
  first_moment: str
  plain_step: Step
  step: jax.stages.Wrapped

  @property
  def state_bytes(self) -> int:
    """Bytes of parameters and moments on each device."""
    return memory.per_device(self.shapes, self.shardings) + memory.per_device(
        self.frozen_shapes, self.frozen_shardings
    )

  def put(
      self, batch: batches.Batch[np.ndarray]
  ) -> batches.Batch[np.ndarray] | batches.Batch[jax.Array]:
    """Returns a batch as `step` takes it; on one host, the batch itself."""
    if not hosts.is_distributed():
      return batch
    return mesh_lib.put(batch, self.batch_shardings)

  def init(self, params: trees.Params) -> step_lib.State:
    """Returns the state before the first step, of parameters on the mesh."""
    init = functools.partial(optimizer.init, first_moment=self.first_moment)
    # The parameters are not passed through: they would be there twice.
    moments = jax.jit(init, out_shardings=self.shardings.moments)(params)
    return step_lib.State(params, moments)


def make(
    config: config_lib.Config, start: starts.Start, mesh: jax.sharding.Mesh
) -> Program:
  """Builds the program of a config on a mesh, without compiling it.

  Raises:
    InputError: the rules do not match the parameters.
  """
  rules = config.machine.mesh.rules
  mesh_lib.check_rules(start.all_shapes, rules)
  machine_execution = execution.from_config(config.machine, mesh, start.arch)
  model = model_lib.Model.from_config(start.arch, start.lora, machine_execution)
  first_moment = config.train.first_moment
  init = functools.partial(step_lib.init_state, first_moment=first_moment)
  shapes = jax.eval_shape(init, start.shapes)
  shardings = state_shardings(shapes, mesh, rules, first_moment)
  frozen = mesh_lib.shardings(start.frozen_shapes, mesh, rules)
  batch = step_lib.batch_shardings(mesh)
  plain = functools.partial(
      step_lib.train_step,
      model=model,
      groups=config.train.loss_groups,
      parts=config.machine.micro_batches,
      first_moment=first_moment,
  )
  step = jax.jit(
      plain,
      in_shardings=(shardings, frozen, batch, None),
      out_shardings=(shardings, mesh_lib.replicated(mesh)),
      donate_argnums=0,
  )
  return Program(
      mesh,
      model,
      shapes,
      shardings,
      start.frozen_shapes,
      frozen,
      batch,
      first_moment,
      plain,
      step,
  )


def state_shardings(
    shapes: step_lib.State,
    mesh: jax.sharding.Mesh,
    rules: Sequence[config_lib.Rule],
    first_moment: str,
) -> step_lib.State:
  """Returns a state's shardings: moments have those of their parameters.

  Args:
    shapes: of the state.
    mesh: the devices.
    rules: see `mesh.shardings`.
    first_moment: element type of Adam's first moment.
  """
  params = mesh_lib.shardings(shapes.params, mesh, rules)
  moments = optax.tree_utils.tree_map_params(
      functools.partial(optimizer.init, first_moment=first_moment),
      lambda _, sharding: sharding,
      shapes.moments,
      params,
      transform_non_params=lambda _: mesh_lib.replicated(mesh),
  )
  return step_lib.State(params, moments)
