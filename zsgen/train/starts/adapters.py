"""`config.lora`: adapters on a base that is not trained."""

import dataclasses
import pathlib
from typing import Any

from flax import traverse_util
import jax

from zsgen.core import config
from zsgen.models import hugging_face
from zsgen.models import lora as lora_lib
from zsgen.models import model as model_lib
from zsgen.train import trees
from zsgen.train.starts import api


@dataclasses.dataclass(frozen=True, kw_only=True)
class Adapted(api.Start):
  """A base that is not trained, with new adapters.

  Attributes:
    parent: the start of the base.
    seed: draws new adapters.
  """

  parent: api.Start
  seed: int

  def compute_fingerprint(self) -> str:
    """Returns the base's fingerprint."""
    return self.parent.fingerprint

  def load(self, shardings: trees.Shardings) -> trees.Params:
    """Draws the adapters, on the mesh."""
    init = model_lib.Model.from_config(self.arch, self.lora).init

    def adapters(key: jax.Array) -> trees.Params:
      """Draws the adapters from a key."""
      # The base is never computed.
      return lora_lib.split(init(key), self.lora)[0]

    # Not the key of a base that is new itself.
    key = jax.random.fold_in(jax.random.key(self.seed), 1)
    return jax.jit(adapters, out_shardings=shardings)(key)

  def load_frozen(self, shardings: trees.Shardings) -> trees.Params:
    """Loads the base, on the mesh, in the element type `lora.base`."""
    # One parameter after the other changes its element type.
    flat: dict[Any, Any] = dict(
        traverse_util.flatten_dict(self.parent.load(shardings))
    )
    for path, leaf in flat.items():
      flat[path] = leaf.astype(self.lora.base)
    return traverse_util.unflatten_dict(flat)


@dataclasses.dataclass(frozen=True, kw_only=True)
class AdaptedByFiles(Adapted):
  """A base that is not trained, with the adapters of a PEFT directory.

  Attributes:
    path: the directory.
  """

  path: pathlib.Path

  def load(self, shardings: trees.Shardings) -> trees.Params:
    """Reads the adapters, onto the mesh.

    Raises:
      InputError: a file is damaged.
    """
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
  arch, base = parent.arch, parent.base
  text = f"{parent.description}, which stays; adapters: "
  if lora.init:
    path = pathlib.Path(lora.init).expanduser()
    lora = hugging_face.adapters_of(path, arch, lora)
    start = AdaptedByFiles(
        arch=arch,
        description=f"{text}{path}",
        lora=lora,
        adapters=hugging_face.adapters_digest(path),
        base=base,
        parent=parent,
        seed=seed,
        path=path,
    )
  else:
    start = Adapted(
        arch=arch,
        description=f"{text}new, drawn from the seed {seed}",
        lora=lora,
        base=base,
        parent=parent,
        seed=seed,
    )
  model_lib.Model.from_config(arch, lora)  # Checks that they fit.
  return start
