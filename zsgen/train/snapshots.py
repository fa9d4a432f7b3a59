"""A checkpoint of any run as parameters with the moments of its optimizer."""

from collections.abc import Mapping, Sequence
import dataclasses
import functools
import pathlib
from typing import Any, NamedTuple

import jax
import optax

from zsgen.core import artifacts, config, errors, plugins, schema
from zsgen.core import mesh as mesh_lib
from zsgen.train import (
    batches,
    bucket_paths,
    checkpoints,
    lineage,
    optimizer,
    program,
    run_copies,
    starts,
    trees,
)
from zsgen.train import step as step_lib
from zsgen.train.starts import run as run_lib


class Loaded(NamedTuple):
  """What a checkpoint holds, on a mesh, and what it was trained on.

  Attributes:
    trained: the parameters that the run trains.
    frozen: its other parameters; {} without adapters.
    moments: the moments of the trained parameters; None if they are not read.
  """

  trained: trees.Params
  frozen: trees.Params
  moments: optax.ScaleByAdamState | None


@dataclasses.dataclass(frozen=True)
class Snapshot:
  """A checkpoint of a run; nothing of it is read yet.

  Attributes:
    run: the run's directory.
    step: its step.
    start: the start of a run that begins with its parameters.
    train: the section `config.train` of the run.
  """

  run: pathlib.Path
  step: int
  start: run_lib.Continued
  train: config.Train

  @property
  def run_start(self) -> starts.Start:
    """The start whose shapes are those of the run: adapters are not merged."""
    if isinstance(self.start, run_lib.Merged):
      return self.start.adapted
    return self.start

  @property
  def recipe(self) -> dict[str, Any]:
    """What the state depends on: the run, wherever it is, and the step."""
    return {"run": artifacts.digest(self.start.run_made_by), "step": self.step}

  @property
  def learning_rate(self) -> float:
    """The learning rate of the update that led to the checkpoint.

    Raises:
      InputError: see `lineage.planned_ids`.
    """
    ids = lineage.planned_ids(self.run)
    count = int((ids != batches.NO_EXAMPLE).sum())
    end = optimizer.schedule_steps(self.train, count)
    return optimizer.learning_rate(self.train, self.step - 1, end)

  def load(
      self,
      mesh: jax.sharding.Mesh,
      rules: Sequence[config.Rule] = (),
      with_moments: bool = True,
  ) -> Loaded:
    """Reads parameters and moments, onto a mesh.

    Args:
      mesh: the devices.
      rules: see `mesh.shardings`.
      with_moments: whether moments are read.

    Raises:
      InputError: the checkpoint is damaged, or the base of adapters changed.
    """
    first_moment = self.train.first_moment
    init = functools.partial(step_lib.init_state, first_moment=first_moment)
    shapes = jax.eval_shape(init, self.run_start.shapes)
    shardings = program.state_shardings(shapes, mesh, rules, first_moment)
    like = checkpoints.like(shapes, shardings)
    names = ("params", "moments") if with_moments else ("params",)
    parts = self._read({name: getattr(like, name) for name in names})
    frozen = {}
    if isinstance(self.start, run_lib.Merged):
      frozen = self.start.load_base(
          mesh_lib.shardings(self.run_start.frozen_shapes, mesh, rules)
      )
    moments = None
    if with_moments:
      moments = optimizer.adam_state(parts["moments"])
    return Loaded(parts["params"], frozen, moments)

  def _read(self, like: Mapping[str, Any]) -> Mapping[str, Any]:
    """Reads parts of the checkpoint; see `checkpoints.Finished.parts`."""
    with checkpoints.Finished(self.run) as saved:
      try:
        return saved.parts(self.step, like)
      except checkpoints.Damaged as error:
        raise errors.InputError(
            f"{error} To make it again, delete {saved.directory(self.step)},"
            f" then {checkpoints.retrain(self.run)}."
        ) from error


def open_snapshot(name: str, location: str) -> Snapshot:
  """Returns the checkpoint of a run.

  Args:
    name: a run's directory or URL, @ and a step.
    location: the option that names it, for messages.

  Raises:
    InputError: there is no such run or checkpoint, or the run is damaged.
  """
  path, _, number = name.rpartition("@")
  run, step = bucket_paths.open_run(path, location), int(number)
  run_copies.refresh(run)  # Its segments tell the learning rate.
  if not run.is_dir():
    raise errors.InputError(
        f"{location} is {name!r}, but there is no directory {run}. Give that of"
        " a run and a step: 'workdir/runs/NAME@100'."
    )
  manifest = artifacts.read_manifest(run, "run")
  with checkpoints.Finished(run) as saved:
    steps = saved.steps()
  if not step or step not in steps:
    listing = ", ".join(str(known) for known in steps if known) or "(none)"
    raise errors.InputError(
        f"{location} is {name!r}, but {run} has no checkpoint of step {step}"
        f" after an update. It has those of steps {listing}. A run keeps the"
        " newest ones, and those of config.machine.keep_steps."
    )
  file = run / "config.json"
  values = artifacts.read_sealed(
      file,
      artifacts.digest(manifest["made_by"]),
      "The command that trains the run writes it again.",
  )
  plugins.load(values.get("plugins", ()))  # They may have its schedule.
  model, train = (
      schema.check_section(kind, values.get(key), f"{file}: {key}")
      for kind, key in ((config.Model, "model"), (config.Train, "train"))
  )
  init = f"run:{run}@{step}"
  start = starts.make(dataclasses.replace(model, init=init), values["seed"])
  assert isinstance(start, run_lib.Continued), "run: continues a run"
  return Snapshot(run, step, start, train)
