"""`config.model.init='run:…'`: a checkpoint of another run."""

from collections.abc import Callable, Mapping
import dataclasses
import pathlib
from typing import Any, NamedTuple

import jax

from zsgen.core import artifacts, config, errors, schema
from zsgen.core import mesh as mesh_lib
from zsgen.models import lora as lora_lib
from zsgen.train import bucket_paths, checkpoints, record_digests, trees
from zsgen.train.starts import adapters, api

_OPTION = "config.model.init"


class Checkpoint(NamedTuple):
  """A checkpoint of a run.

  Attributes:
    run: the run's directory.
    step: its step.
    remark: "" or what is not checked.
  """

  run: pathlib.Path
  step: int
  remark: str

  def load(
      self, shapes: trees.Shapes, shardings: trees.Shardings
  ) -> trees.Params:
    """Reads its parameters.

    Raises:
      InputError: they are damaged, or of other shapes.
    """
    like = checkpoints.like(shapes, shardings)
    with checkpoints.Finished(self.run) as saved:
      try:
        return saved.params(self.step, like)
      except checkpoints.Damaged as error:
        before = saved.newest_whole(
            self.step, lambda step: saved.params(step, like)
        )
        advice = ""
        if before:
          option = f"run:{self.run}@{before}"
          advice = f" To start from the newest whole one, set {option!r}."
        raise errors.InputError(
            f"{error}{advice} To make it again, delete"
            f" {saved.directory(self.step)}, then"
            f" {checkpoints.retrain(self.run)}."
        ) from error


@dataclasses.dataclass(frozen=True, kw_only=True)
class Continued(api.Start):
  """Parameters of a run's checkpoint.

  Attributes:
    checkpoint: the checkpoint.
    run_made_by: what made the run, according to its manifest.
  """

  checkpoint: Checkpoint
  run_made_by: Mapping[str, Any]

  def compute_fingerprint(self) -> str:
    """Returns a digest of what made the run, and of the step."""
    step = self.checkpoint.step
    return artifacts.digest({"run": self.run_made_by, "step": step})

  def load(self, shardings: trees.Shardings) -> trees.Params:
    """Reads the parameters, onto the mesh.

    Raises:
      InputError: the checkpoint is damaged.
    """
    return self.checkpoint.load(self.shapes, shardings)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Merged(Continued):
  """Parameters of a run that trained adapters, merged into their base.

  Attributes:
    adapted: the start of that run, with its base.
  """

  adapted: adapters.Adapted

  def load(self, shardings: trees.Shardings) -> trees.Params:
    """Reads adapters and base, and merges them, on the mesh.

    Raises:
      InputError: the checkpoint is damaged, or the base has changed.
    """
    self._check_base()
    replicated = mesh_lib.replicated(jax.tree.leaves(shardings)[0].mesh)
    shapes = self.adapted.shapes
    trained = self.checkpoint.load(
        shapes, jax.tree.map(lambda _: replicated, shapes)
    )
    frozen = self.adapted.load_frozen(shardings)
    merged = lora_lib.merge(lora_lib.join(trained, frozen), self.adapted.lora)
    return jax.device_put(merged, shardings)

  def load_base(self, shardings: trees.Shardings) -> trees.Params:
    """Reads the base that the adapters were trained on, onto the mesh.

    Args:
      shardings: of each of its parameters.

    Raises:
      InputError: the base has changed.
    """
    self._check_base()
    return self.adapted.load_frozen(shardings)

  def _check_base(self) -> None:
    """Raises InputError if the base is not the one of the run."""
    if self.adapted.fingerprint != self.run_made_by["weights"]:
      raise errors.InputError(
          f"{self.checkpoint.run} holds adapters alone, and their base is no"
          " longer what it was when they were trained:"
          f" {self.adapted.description}. Put it back, or start from the run's"
          " merged export: config.model.init='hf:DIRECTORY'."
      )


def make(
    model: config.Model,
    argument: str,
    make_base: Callable[[config.Model, int], api.Start],
) -> Continued:
  """Returns the start of `run:ARGUMENT`.

  Args:
    model: the section `config.model`.
    argument: a run's directory or URL, perhaps with @ and a step.
    make_base: makes the start of the base of a run that trained adapters, given
      its model and seed.

  Raises:
    InputError: there is no such run or checkpoint, or the config contradicts
      it.
  """
  name, step = _parse(argument)
  if step is not None and not step.isdecimal():
    raise errors.InputError(
        f"config.model.init is {model.init!r}: what follows @ must be the"
        " number of a step."
    )
  path = bucket_paths.open_run(name, _OPTION)
  manifest = artifacts.read_manifest(path, "run")
  file = path / "config.json"
  saved = artifacts.read_sealed(
      file,
      artifacts.digest(manifest["made_by"]),
      "The command that trains the run writes it again.",
  )
  section = schema.check_section(
      config.Model, saved.get("model"), f"{file}: model"
  )
  checkpoint = _choose(model.init, path, manifest["steps"], step)
  arch = api.merge(model, section, f"the run {path}")
  lora = schema.check_section(
      config.Lora, saved.get("lora", {}), f"{file}: lora"
  )
  start = Continued(
      arch=arch,
      description=api.describe(
          f"the checkpoint of step {checkpoint.step} of {path}"
          f"{checkpoint.remark}",
          arch,
      ),
      base=_find_base(section.init),
      checkpoint=checkpoint,
      run_made_by=manifest["made_by"],
  )
  if not lora.rank:
    return start
  before = dataclasses.replace(arch, init=section.init)
  lora = dataclasses.replace(lora, init="")  # The checkpoint has them.
  seed = saved["seed"]
  adapted = adapters.adapt(make_base(before, seed), lora, seed)
  text = f"the adapters of step {checkpoint.step} of {path}, merged into their"
  return Merged(
      arch=arch,
      description=api.describe(f"{text} base", arch),
      base=start.base,
      checkpoint=checkpoint,
      run_made_by=manifest["made_by"],
      adapted=adapted,
  )


def _parse(argument: str) -> tuple[str, str | None]:
  """Returns the run's path, and the step after @ if there is one."""
  name, separator, step = argument.rpartition("@")
  return (name, step) if separator else (argument, None)


def _find_base(init: str) -> str:
  """Returns the Hugging Face base at the end of a chain of runs, or "".

  A run of the chain may be gone: its parameters are in the next one.
  """
  kind, _, argument = init.partition(":")
  if kind == "hf":
    return argument
  if kind != "run":
    return ""
  try:
    file = bucket_paths.locate(_parse(argument)[0], _OPTION) / "config.json"
    if not artifacts.fetch(file):
      return ""
  except errors.InputError:  # Its bucket cannot be read here.
    return ""
  return _find_base(artifacts.read_json(file)["model"]["init"])


def _choose(
    init: str,
    path: pathlib.Path,
    last: int,
    requested: str | None,
) -> Checkpoint:
  """Returns the checkpoint to start from.

  Args:
    init: the option `config.model.init`.
    path: the run's directory.
    last: the step after which the run is finished.
    requested: the step; None for the newest.
  """
  with checkpoints.Finished(path) as saved:
    steps = saved.steps()
    if not steps or (requested and int(requested) not in steps):
      raise errors.InputError(
          f"config.model.init is {init!r}: there is no such checkpoint. {path}"
          f" has those of steps {', '.join(map(str, steps)) or '(none)'}. To"
          f" make its last one again, {checkpoints.retrain(path)}."
      )
    step = int(requested) if requested else steps[-1]
    is_finished = (path / record_digests.RESULT).exists()
    if not requested and is_finished and step != last:
      raise errors.InputError(
          f"config.model.init is {init!r}: the run is finished, but its newest"
          f" checkpoint is that of step {step} of {last}. To start from it,"
          f" set 'run:{path}@{step}'. To make the last one again,"
          f" {checkpoints.retrain(path)}."
      )
    try:
      is_checked = saved.has_checksums(step)
    except checkpoints.Damaged:
      is_checked = True  # Reading it raises, and says what to do.
  return Checkpoint(
      path, step, "" if is_checked else f": {checkpoints.UNCHECKED}"
  )
