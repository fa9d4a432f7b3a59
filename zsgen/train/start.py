"""Where a run's parameters come from: `config.model.init`, and adapters.

  new             drawn from the seed
  tiny            the embedded base
  hf:DIR_OR_NAME  a Hugging Face directory, or a name on the hub
  run:DIR         the newest checkpoint of a run; run:DIR@STEP another

What is read brings its architecture along; fields of `config.model` that say
otherwise are errors, never ignored.
"""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import functools
import pathlib
from typing import Any

from flax import traverse_util
import jax

from zsgen.core import artifacts, config, errors, schema
from zsgen.core import mesh as mesh_lib
from zsgen.models import hugging_face, presets
from zsgen.models import lora as lora_lib
from zsgen.models import model as model_lib
from zsgen.train import checkpoints, record_digests

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
    shapes: of the parameters that are trained.
    frozen_shapes: of those that are not; {} without adapters.
    load: what is trained on the mesh, given the sharding of each.
    digest: SHA-256 of what the parameters are made of, adapters apart; "new"
      for new ones. May read the weights.
    lora: the adapters; what was read goes before the config's defaults.
    load_frozen: as `load`, of what is not trained.
    adapters: SHA-256 of what the adapters are made of; "new" for new ones.
    base: the Hugging Face directory, or name on the hub, that the parameters
      come from in the end; "" for none.
  """

  arch: config.Model
  said: str
  load: Callable[[Any], Any]
  digest: Callable[[], str]
  lora: config.Lora = config.NO_LORA
  load_frozen: Callable[[Any], Any] = dict
  adapters: str = "new"
  base: str = ""

  @functools.cached_property
  def fingerprint(self) -> str:
    """`digest`, once."""
    return self.digest()

  @property
  def shapes(self) -> Any:
    """Shapes of the parameters that are trained."""
    return self._parts[0]

  @property
  def frozen_shapes(self) -> Any:
    """Shapes of the parameters that are not trained."""
    return self._parts[1]

  @property
  def all_shapes(self) -> Any:
    """Shapes of all parameters, as one tree."""
    return lora_lib.join(self.shapes, self.frozen_shapes)

  def load_all(
      self, mesh: jax.sharding.Mesh, rules: Sequence[config.Rule] = ()
  ) -> Any:
    """All parameters on a mesh, as one tree; rules as of `mesh.shardings`."""
    mesh_lib.check_rules(self.all_shapes, rules)
    return lora_lib.join(
        self.load(mesh_lib.shardings(self.shapes, mesh, rules)),
        self.load_frozen(mesh_lib.shardings(self.frozen_shapes, mesh, rules)),
    )

  @functools.cached_property
  def _parts(self) -> tuple[Any, Any]:
    init = model_lib.Model.from_config(self.arch, self.lora).init
    shapes = jax.eval_shape(init, jax.random.key(0))
    trained, frozen = lora_lib.split(shapes, self.lora)
    held = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, self.lora.base), frozen
    )
    return trained, held


def of(
    arch: config.Model, seed: int, lora: config.Lora = config.NO_LORA
) -> Start:
  """The start that `config.model.init` and `config.lora` ask for.

  Args:
    arch: the section `config.model`.
    seed: draws new parameters.
    lora: the section `config.lora`.

  Raises:
    InputError: an unknown kind, a place where nothing is, an architecture
      that is not computed, adapters that do not fit it, or fields that say
      otherwise than what is read.
  """
  start = _base(arch, seed)
  return start if lora == config.NO_LORA else _adapted(start, lora, seed)


def _base(arch: config.Model, seed: int) -> Start:
  """The start without adapters."""
  kind, _, place = arch.init.partition(":")
  schema.check_local(place, "config.model.init")
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
    start = _directory(arch, found, directory, said)
    return dataclasses.replace(start, base=place)
  if kind == "run" and place:
    return _run(arch, place)
  hint = ""
  if pathlib.Path(arch.init).expanduser().is_dir():
    hint = f" {arch.init} is a directory: say of which kind, before a colon."
  raise errors.InputError(
      f"config.model.init is {arch.init!r}; it must be {_KINDS}.{hint}"
  )


def _new(arch: config.Model, seed: int) -> Start:
  model_lib.check_unread(arch)
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
  saved = artifacts.read_sealed(
      path / "config.json",
      artifacts.digest(made_by),
      "The command that trains the run writes it again.",
  )
  found = schema.check_section(
      config.Model, saved.get("model"), f"{path / 'config.json'}: model"
  )
  chosen, checked = _checkpoint(asked.init, path, int(step) if at else None)
  arch = _agreed(asked, found, f"the run {path}")
  where = f"{path / 'config.json'}: lora"
  lora = schema.check_section(config.Lora, saved.get("lora", {}), where)
  shapes = Start(arch, "", dict, str).shapes
  start = Start(
      arch,
      _why(f"the checkpoint of step {chosen} of {path}{checked}", arch),
      functools.partial(_saved, path, chosen, shapes),
      lambda: artifacts.digest({"run": made_by, "step": chosen}),
      base=_of_base(found.init),
  )
  if not lora.rank:
    return start
  before = dataclasses.replace(arch, init=found.init)
  own = dataclasses.replace(lora, init="")  # The checkpoint has them.
  adapted = _adapted(_base(before, saved["seed"]), own, saved["seed"])
  adapters = f"the adapters of step {chosen} of {path}, merged into their base"
  return dataclasses.replace(
      start,
      said=_why(adapters, arch),
      load=functools.partial(_merged, path, chosen, adapted, made_by),
  )


def _of_base(init: str) -> str:
  """Returns the Hugging Face base at the end of a chain of runs; or ""."""
  kind, _, place = init.partition(":")
  if kind == "hf":
    return place
  if kind != "run":
    return ""
  name, at, _ = place.rpartition("@")
  path = pathlib.Path(name if at else place).expanduser() / "config.json"
  if not path.is_file():  # The run is gone; its parameters are in this one.
    return ""
  return _of_base(artifacts.read_json(path)["model"]["init"])


def _checkpoint(
    init: str, path: pathlib.Path, step: int | None
) -> tuple[int, str]:
  """Returns the step to start from, and a remark if it is not checked.

  Args:
    init: the option `config.model.init`.
    path: the run's directory.
    step: the requested step; None for the newest.
  """
  with checkpoints.Finished(path) as there:
    steps = there.steps()
    if not steps or step not in (None, *steps):
      raise errors.InputError(
          f"config.model.init is {init!r}: there is no such checkpoint. {path}"
          f" has those of steps {', '.join(map(str, steps)) or '(none)'}. To"
          f" make its last one again, {checkpoints.retrain(path)}."
      )
    newest = steps[-1] if step is None else step
    ended = (path / record_digests.RESULT).exists()
    whole = artifacts.read_manifest(path, "run")["steps"]
    if step is None and ended and newest != whole:
      raise errors.InputError(
          f"config.model.init is {init!r}: the run is finished, but its newest"
          f" checkpoint is that of step {newest} of {whole}. To start from it,"
          f" set 'run:{path}@{newest}'. To make the last one again,"
          f" {checkpoints.retrain(path)}."
      )
    try:
      checked = there.has_checksums(newest)
    except checkpoints.Damaged:
      checked = True  # Reading it raises, and says what to do.
  return newest, "" if checked else f": {checkpoints.UNCHECKED}"


def _saved(path: pathlib.Path, step: int, shapes: Any, shardings: Any) -> Any:
  """The parameters of a run's checkpoint."""
  like = checkpoints.like(shapes, shardings)
  with checkpoints.Finished(path) as there:
    try:
      return there.params(step, like)
    except checkpoints.Damaged as error:
      before = there.newest_whole(step, lambda step: there.params(step, like))
      place = there.directory(step)
      advice = ""
      if before:
        newest = f"run:{path}@{before}"
        advice = f" To start from the newest whole one, set {newest!r}."
      raise errors.InputError(
          f"{error}{advice} To make it again, delete {place}, then"
          f" {checkpoints.retrain(path)}."
      ) from error


def _merged(
    path: pathlib.Path,
    step: int,
    start: Start,
    made_by: Mapping[str, Any],
    shardings: Any,
) -> Any:
  """The base of a run with its adapters merged in."""
  if start.fingerprint != made_by["weights"]:
    raise errors.InputError(
        f"{path} holds adapters alone, and their base is no longer what it was"
        f" when they were trained: {start.said}. Put it back, or start from"
        " the run's merged export: config.model.init='hf:DIRECTORY'."
    )
  whole = mesh_lib.replicated(jax.tree.leaves(shardings)[0].mesh)
  places = jax.tree.map(lambda _: whole, start.shapes)
  adapters = _saved(path, step, start.shapes, places)
  frozen = start.load_frozen(shardings)
  found = lora_lib.merge(lora_lib.join(adapters, frozen), start.lora)
  return jax.device_put(found, shardings)


def _adapted(base: Start, lora: config.Lora, seed: int) -> Start:
  """A start whose parameters stay, and whose adapters are trained."""
  lora_lib.check(lora)
  if lora.init:
    directory = pathlib.Path(lora.init).expanduser()
    lora = hugging_face.adapters_of(directory, base.arch, lora)
    load = functools.partial(
        hugging_face.load_adapters, directory, base.arch, lora
    )
    said, digest = directory, hugging_face.adapters_digest(directory)
  else:
    load = functools.partial(_new_adapters, base.arch, lora, seed)
    said, digest = f"new, drawn from the seed {seed}", "new"
  model_lib.Model.from_config(base.arch, lora)  # Checks that they fit.
  return dataclasses.replace(
      base,
      said=f"{base.said}, which stays; adapters: {said}",
      load=load,
      lora=lora,
      load_frozen=functools.partial(_held, base.load, lora.base),
      adapters=digest,
  )


def _new_adapters(
    arch: config.Model, lora: config.Lora, seed: int, shardings: Any
) -> Any:
  init = model_lib.Model.from_config(arch, lora).init

  def adapters(key: jax.Array) -> Any:
    return lora_lib.split(init(key), lora)[0]  # The base is never computed.

  # Not the key of a base that is new itself.
  key = jax.random.fold_in(jax.random.key(seed), 1)
  return jax.jit(adapters, out_shardings=shardings)(key)


def _held(
    load: Callable[[Any], Any], dtype: str, shardings: Any
) -> dict[str, Any]:
  """Loads a base and holds it in an element type, one by one."""
  flat = traverse_util.flatten_dict(load(shardings))
  for path in flat:
    flat[path] = flat[path].astype(dtype)
  return traverse_util.unflatten_dict(flat)


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
