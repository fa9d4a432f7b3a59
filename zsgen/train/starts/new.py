"""`config.model.init='new'`: parameters that are drawn from the seed."""

import dataclasses

import jax

from zsgen.core import config
from zsgen.models import model as model_lib
from zsgen.train import trees
from zsgen.train.starts import api


@dataclasses.dataclass(frozen=True)
class New(api.Start):
  """New parameters.

  Args:
    arch: the section `config.model`.
    seed: draws them.

  Raises:
    InputError: the architecture is not computed.
  """

  arch: config.Model
  seed: int

  def __post_init__(self) -> None:
    model_lib.check_unread(self.arch)
    model_lib.Model.from_config(self.arch)

  @property
  def description(self) -> str:
    text = f"new parameters, drawn from the seed {self.seed}"
    return api.describe(text, self.arch)

  def compute_fingerprint(self) -> str:
    return "new"

  def load(self, shardings: trees.Shardings) -> trees.Params:
    init = model_lib.Model.from_config(self.arch).init
    return jax.jit(init, out_shardings=shardings)(jax.random.key(self.seed))
