"""Where a run's parameters come from: `config.model.init`, and only that.

  new             drawn from the seed
  tiny            the embedded base
  hf:DIR_OR_NAME  a Hugging Face directory, or a name on the hub
  run:DIR         the newest checkpoint of a run; run:DIR@STEP another

What is read brings its architecture along; fields of `config.model` that say
otherwise are errors, never ignored.
"""

from collections.abc import Callable
import dataclasses
import functools
import pathlib
from typing import Any

import jax

from zsgen import artifacts, config, errors
from zsgen.models import hugging_face, presets
from zsgen.models import model as model_lib
from zsgen.training import checkpoints

# Bases that are shipped: their architecture and directory.
_ASSETS = pathlib.Path(__file__).parents[1] / "assets"
_EMBEDDED = {"tiny": (presets.TINY, _ASSETS / "tiny")}
# What the config decides even where all else is read.
_OWN = ("init", "dtype", "vocab_multiple")
_KINDS = "'new', 'tiny', 'hf:DIRECTORY_OR_NAME' or 'run:DIRECTORY'"


@dataclasses.dataclass(frozen=True)
class Start:
  """Parameters before the first step.

  Attributes:
    arch: the architecture; what was read goes before the config's defaults.
    said: what they are and why, for people.
    shapes: of the parameters.
    load: parameters on the mesh, given the sharding of each.
    digest: SHA-256 of what they are made of; "new" for new ones. May read
      the weights.
  """

  arch: config.Model
  said: str
  load: Callable[[Any], Any]
  digest: Callable[[], str]

  @functools.cached_property
  def fingerprint(self) -> str:
    """`digest`, once."""
    return self.digest()

  @functools.cached_property
  def shapes(self) -> Any:
    """Shapes of the parameters."""
    init = model_lib.Model.from_config(self.arch).init
    return jax.eval_shape(init, jax.random.key(0))


def of(arch: config.Model, seed: int) -> Start:
  """The start that `config.model.init` asks for.

  Args:
    arch: the section `config.model`.
    seed: draws new parameters.

  Raises:
    InputError: an unknown kind, a place where nothing is, an architecture
      that is not computed, or fields that say otherwise than what is read.
  """
  kind, _, place = arch.init.partition(":")
  if arch.init == "new":
    return _new(arch, seed)
  if arch.init in _EMBEDDED:
    fields, directory = _EMBEDDED[arch.init]
    found = config.Model(**fields)
    return _directory(arch, found, directory, "the embedded base 'tiny'")
  if kind == "hf" and place:
    directory = hugging_face.locate(place)
    found = hugging_face.arch_of(directory)
    said = f"the Hugging Face directory {directory}"
    return _directory(arch, found, directory, said)
  if kind == "run" and place:
    return _run(arch, place)
  hint = ""
  if pathlib.Path(arch.init).expanduser().is_dir():
    hint = f" {arch.init} is a directory: say of which kind, before a colon."
  raise errors.InputError(
      f"config.model.init is {arch.init!r}; it must be {_KINDS}.{hint}"
  )


def _new(arch: config.Model, seed: int) -> Start:
  init = model_lib.Model.from_config(arch).init

  def load(shardings: Any) -> Any:
    return jax.jit(init, out_shardings=shardings)(jax.random.key(seed))

  said = f"new parameters, drawn from the seed {seed}"
  return Start(arch, _why(said, arch), load, lambda: "new")


def _directory(
    asked: config.Model,
    found: config.Model,
    directory: pathlib.Path,
    said: str,
) -> Start:
  arch = _agreed(asked, found, said)
  return Start(
      arch,
      _why(said, arch),
      functools.partial(hugging_face.load, directory, arch),
      functools.partial(hugging_face.digest, directory),
  )


def _run(asked: config.Model, place: str) -> Start:
  name, at, step = place.rpartition("@")
  path = pathlib.Path(name if at else place).expanduser()
  if at and not step.isdecimal():
    raise errors.InputError(
        f"config.model.init is {asked.init!r}: what follows @ must be the"
        " number of a step."
    )
  made_by = artifacts.read_manifest(path, "run")["made_by"]
  saved = artifacts.read_json(path / "config.json")
  found = config.check_section(
      config.Model, saved.get("model"), f"{path / 'config.json'}: model"
  )
  with checkpoints.Finished(path) as there:
    steps = there.steps()
  if not steps or (at and int(step) not in steps):
    raise errors.InputError(
        f"config.model.init is {asked.init!r}: there is no such checkpoint;"
        f" {path} has those of steps {', '.join(map(str, steps)) or '(none)'}."
    )
  chosen = int(step) if at else steps[-1]
  arch = _agreed(asked, found, f"the run {path}")
  shapes = Start(arch, "", dict, str).shapes

  def load(shardings: Any) -> Any:
    with checkpoints.Finished(path) as there:
      return there.params(chosen, checkpoints.like(shapes, shardings))

  return Start(
      arch,
      _why(f"the checkpoint of step {chosen} of {path}", arch),
      load,
      lambda: artifacts.digest({"run": made_by, "step": chosen}),
  )


def _agreed(
    asked: config.Model, found: config.Model, where: str
) -> config.Model:
  """What was found, with what is the config's own.

  Positions of a rotary model are a bound, not weights: the config may move it.
  """
  default = config.Model()
  own = {name: getattr(asked, name) for name in _OWN}
  moved = asked.max_positions != default.max_positions
  if found.positions == "rotary" and moved:
    own["max_positions"] = asked.max_positions
  for field in dataclasses.fields(config.Model):
    value = getattr(asked, field.name)
    there = getattr(found, field.name)
    if field.name not in own and value not in (
        getattr(default, field.name),
        there,
    ):
      raise errors.InputError(
          f"config.model.{field.name} is {value!r}, but {where} has {there!r}:"
          " leave it away, the parameters decide; or config.model.init='new'."
      )
  return dataclasses.replace(found, **own)


def _why(said: str, arch: config.Model) -> str:
  return f"{said} (config.model.init={arch.init!r})"
