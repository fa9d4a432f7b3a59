"""What every kind of start provides."""

import abc
from collections.abc import Sequence
import dataclasses
import functools

import jax

from zsgen.core import config, errors
from zsgen.core import mesh as mesh_lib
from zsgen.models import lora as lora_lib
from zsgen.models import model as model_lib
from zsgen.train.trees import Params, Shapes, Shardings


@dataclasses.dataclass(frozen=True, kw_only=True)
class Start(abc.ABC):
  """Parameters before the first step.

  Attributes:
    arch: the architecture; that of files takes precedence over the config's
      defaults.
    description: what the parameters are and why, for people.
    lora: the adapters; those of files take precedence likewise.
    adapters: SHA-256 of what the adapters are made of; "new" for new ones.
    base: the Hugging Face directory, or name on the hub, that the parameters
      were first loaded from; "" if there is none.
  """

  arch: config.Model
  description: str
  lora: config.Lora = config.NO_LORA
  adapters: str = "new"
  base: str = ""

  @functools.cached_property
  def fingerprint(self) -> str:
    """SHA-256 of what the parameters are made of, without adapters."""
    return self.compute_fingerprint()

  @abc.abstractmethod
  def compute_fingerprint(self) -> str:
    """Returns `fingerprint`, "new" for new parameters; may read all weights."""

  @abc.abstractmethod
  def load(self, shardings: Shardings) -> Params:
    """Returns the parameters that are trained, on their devices.

    Args:
      shardings: of each parameter in `shapes`.

    Raises:
      InputError: files are damaged, or are not what they were.
    """

  def load_frozen(self, shardings: Shardings) -> Params:
    """Returns the parameters that are not trained; {} without adapters.

    Args:
      shardings: of each parameter in `frozen_shapes`.

    Raises:
      InputError: see `load`.
    """
    del shardings  # There are none.
    return {}

  def recipe(self) -> dict[str, object]:
    """Returns what the parameters are made of, as JSON values.

    Artifacts that depend on the start have it in their manifests.
    """
    recipe: dict[str, object] = {"weights": self.fingerprint}
    if self.lora.rank:
      lora = config.science(self.lora)
      recipe["lora"] = {**lora, "adapters": self.adapters}
    return recipe

  @property
  def shapes(self) -> Shapes:
    """Shapes of the parameters that are trained."""
    return self._parts[0]

  @property
  def frozen_shapes(self) -> Shapes:
    """Shapes of the parameters that are not trained."""
    return self._parts[1]

  @property
  def all_shapes(self) -> Shapes:
    """Shapes of all parameters, as one tree."""
    return lora_lib.join(self.shapes, self.frozen_shapes)

  def load_all(
      self, mesh: jax.sharding.Mesh, rules: Sequence[config.Rule] = ()
  ) -> Params:
    """Returns all parameters on a mesh, as one tree.

    Args:
      mesh: the devices.
      rules: see `mesh.shardings`.
    """
    mesh_lib.check_rules(self.all_shapes, rules)
    return lora_lib.join(
        self.load(mesh_lib.shardings(self.shapes, mesh, rules)),
        self.load_frozen(mesh_lib.shardings(self.frozen_shapes, mesh, rules)),
    )

  @functools.cached_property
  def _parts(self) -> tuple[Shapes, Shapes]:
    """Shapes of what is trained, and of the rest in its own element type."""
    init = model_lib.Model.from_config(self.arch, self.lora).init
    shapes = jax.eval_shape(init, jax.random.key(0))
    trained, frozen = lora_lib.split(shapes, self.lora)
    stored = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, self.lora.base), frozen
    )
    return trained, stored


def describe(text: str, arch: config.Model) -> str:
  """Returns a description with the option that asks for it."""
  return f"{text} (config.model.init={arch.init!r})"


# What the config decides even if files decide everything else.
_FROM_CONFIG = ("init", "dtype", "vocab_multiple")


def merge(
    config_model: config.Model, files_model: config.Model, source: str
) -> config.Model:
  """Returns the architecture of files, with what the config decides.

  Positions of a rotary model are a bound, not weights: the config may move it.

  Args:
    config_model: the section `config.model`.
    files_model: the architecture of the files.
    source: what the files are, for messages.

  Raises:
    InputError: the config contradicts the files.
  """
  default = config.Model()
  fields = {name: getattr(config_model, name) for name in _FROM_CONFIG}
  moved = config_model.max_positions != default.max_positions
  if files_model.positions == "rotary" and moved:
    fields["max_positions"] = config_model.max_positions
  for field in dataclasses.fields(config.Model):
    value = getattr(config_model, field.name)
    actual = getattr(files_model, field.name)
    if field.name not in fields and value not in (
        getattr(default, field.name),
        actual,
    ):
      raise errors.InputError(
          f"config.model.{field.name} is {value!r}, but {source} has"
          f" {actual!r}: leave it away, the parameters decide; or"
          " config.model.init='new'."
      )
  return dataclasses.replace(files_model, **fields)
