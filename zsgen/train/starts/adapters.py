"""`config.lora`: adapters on a base that is not trained."""

import dataclasses
import functools
import pathlib

from flax import traverse_util
import jax

from zsgen.core import config
from zsgen.models import hugging_face
from zsgen.models import lora as lora_lib
from zsgen.models import model as model_lib
from zsgen.train import trees
from zsgen.train.starts import api


@dataclasses.dataclass(frozen=True)
class Adapted(api.Start):
  """A base that is not trained, with new adapters.

  Attributes:
    parent: the start of the base.
    lora: the section `config.lora`.
    seed: draws new adapters.
  """

  parent: api.Start
  lora: config.Lora = dataclasses.field()  # Without the default of `api.Start`.
  seed: int

  def __post_init__(self) -> None:
    model_lib.Model.from_config(self.arch, self.lora)  # Checks that they fit.

  @property
  def arch(self) -> config.Model:
    return self.parent.arch

  @property
  def base(self) -> str:
    return self.parent.base

  @property
  def description(self) -> str:
    return f"{self.parent.description}, which stays; adapters: {self._origin}"

  @property
  def _origin(self) -> str:
    return f"new, drawn from the seed {self.seed}"

  def compute_fingerprint(self) -> str:
    return self.parent.fingerprint

  def load(self, shardings: trees.Shardings) -> trees.Params:
    init = model_lib.Model.from_config(self.arch, self.lora).init

    def adapters(key: jax.Array) -> trees.Params:
      # The base is never computed.
      return lora_lib.split(init(key), self.lora)[0]

    # Not the key of a base that is new itself.
    key = jax.random.fold_in(jax.random.key(self.seed), 1)
    return jax.jit(adapters, out_shardings=shardings)(key)

  def load_frozen(self, shardings: trees.Shardings) -> trees.Params:
    # One parameter after the other changes its element type.
    flat = traverse_util.flatten_dict(self.parent.load(shardings))
    for path in flat:
      flat[path] = flat[path].astype(self.lora.base)
    return traverse_util.unflatten_dict(flat)


@dataclasses.dataclass(frozen=True)
class AdaptedByFiles(Adapted):
  """A base that is not trained, with the adapters of a PEFT directory.

  Attributes:
    path: the directory.
  """

  path: pathlib.Path

  @property
  def _origin(self) -> str:
    return str(self.path)

  @functools.cached_property
  def adapters(self) -> str:
    return hugging_face.adapters_digest(self.path)

  def load(self, shardings: trees.Shardings) -> trees.Params:
    return hugging_face.load_adapters(
        self.path, self.arch, self.lora, shardings
    )


def adapt(parent: api.Start, lora: config.Lora, seed: int) -> Adapted:
  """Returns a start with adapters on another start.

  Args:
    parent: the start of the base.
    lora: the section `config.lora`.
    seed: draws new adapters.

  Raises:
    InputError: the adapters do not fit the base, or their files are damaged.
  """
  lora_lib.check(lora)
  if not lora.init:
    return Adapted(parent, lora, seed)
  path = pathlib.Path(lora.init).expanduser()
  lora = hugging_face.adapters_of(path, parent.arch, lora)
  adapted = AdaptedByFiles(parent, lora, seed, path)
  _ = adapted.adapters  # Reads the files, so that damage is reported early.
  return adapted
