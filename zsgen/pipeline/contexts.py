"""Where parameters are evaluated, and by which model."""

import jax

from zsgen.core import config as config_lib
from zsgen.core import mesh as mesh_lib
from zsgen.data import store as store_lib
from zsgen.evals import api
from zsgen.models import execution
from zsgen.models import model as model_lib


def make(
    config: config_lib.Config, store: store_lib.Store, mesh: jax.sharding.Mesh
) -> api.Context:
  """Returns the context of evaluations on a mesh.

  Args:
    config: the options, with the architecture of the start.
    store: what is read.
    mesh: the devices; those that split positions take rows of their own.
  """
  mesh = mesh_lib.with_whole_rows(mesh)
  method = execution.from_config(config.machine, mesh, config.model)
  return api.Context(
      store=store,
      model=model_lib.Model.from_config(config.model, config.lora, method),
      mesh=mesh,
      batch_size=config.train.batch_size,
      seed=config.seed,
  )
