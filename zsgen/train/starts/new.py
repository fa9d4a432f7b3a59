"""`config.model.init='new'`: parameters that are drawn from the seed."""

import dataclasses

import jax

from zsgen.core import config
from zsgen.models import model as model_lib
from zsgen.train import trees
from zsgen.train.starts import api


@dataclasses.dataclass(frozen=True, kw_only=True)
class New(api.Start):
  """New parameters.

  Attributes:
    seed: draws them.
  """

  seed: int

  def compute_fingerprint(self) -> str:
    """Returns "new", whatever the seed."""
    return "new"

  def load(self, shardings: trees.Shardings) -> trees.Params:
    """Draws the parameters, on the mesh."""
    init = model_lib.Model.from_config(self.arch).init
    return jax.jit(init, out_shardings=shardings)(jax.random.key(self.seed))


def make(model: config.Model, seed: int) -> New:
  """Returns the start from new parameters.

  Args:
    model: the section `config.model`.
    seed: draws them.

  Raises:
    InputError: the architecture is not computed.
  """
  model_lib.check_unread(model)
  model_lib.Model.from_config(model)
  text = f"new parameters, drawn from the seed {seed}"
  return New(arch=model, description=api.describe(text, model), seed=seed)
