"""Where metrics go beside the run's own files: TensorBoard, W&B, Trackio."""

from collections.abc import Collection, Mapping
import importlib.util
import math
import pathlib
import time
from typing import Any, Protocol

import tensorboardX
from tensorboardX.proto import summary_pb2

from zsgen.core import artifacts, config, errors, texts

# Protocol buffers make their classes when they are imported.
_Summary: Any = vars(summary_pb2)["Summary"]
# Seconds for which events wait for others.
_DELAY = 1.0
# Events that the library takes before it blocks.
_QUEUE = 10_000
# Characters of a tag, at most.
_LONGEST = 200
# Dashboards group tags by what is before the first slash, and sort groups.
_HEADLINES, _TASKS = "0_headlines", "tasks"
# Optional packages, by the option that needs them.
_PACKAGES = ("wandb", "trackio")


class Writer(Protocol):
  """Takes scalars by path."""

  def write(self, step: int, values: Mapping[str, float]) -> None:
    """Writes the values of a step."""
    ...

  def close(self) -> None:
    """Writes the remaining values and closes the files."""
    ...


class Tags:
  """Returns the names under which dashboards show metrics.

  Headlines come first, and metrics of single tasks are in a folder of their
  own: 0_headlines/heldout/loss, heldout/task_mean_loss,
  tasks/heldout/TASK/loss.

  Args:
    headlines: paths of the metrics that come first.
  """

  def __init__(self, headlines: Collection[str] = ()):
    self._headlines = frozenset(headlines)
    self._tags: dict[str, str] = {}  # Every step has the same names.

  def rename(self, values: Mapping[str, float]) -> dict[str, float]:
    """Returns the values of metrics by their tags."""
    return {self._tag(name): value for name, value in values.items()}

  def _tag(self, name: str) -> str:
    """Returns the tag of a metric, in the folder that it is shown in."""
    if name not in self._tags:
      folder = ""
      if name in self._headlines:
        folder = f"{_HEADLINES}/"
      elif name.count("/") > 1:
        folder = f"{_TASKS}/"
      self._tags[name] = _printable(f"{folder}{name}")
    return self._tags[name]


class TensorBoard:
  """Event files in `<run>/tensorboard`; steps from `first` on are redone.

  Steps within a second are passed on together: to wake the library's thread
  for every step takes several times as long as all the rest.
  """

  def __init__(self, path: pathlib.Path, first: int, tags: Tags | None = None):
    self._tags = tags or Tags()
    self._writer = tensorboardX.SummaryWriter(
        str(path / "tensorboard"), purge_step=first or None, max_queue=_QUEUE
    )
    # Steps, their times and their values.
    self._waiting: list[tuple[int, float, Mapping[str, float]]] = []
    self._passed_on = -math.inf

  def write(self, step: int, values: Mapping[str, float]) -> None:
    """Writes the values of a step, at the latest with a step a second later."""
    self._waiting.append((step, time.time(), values))
    if time.monotonic() - self._passed_on > _DELAY:
      self._pass_on()

  def close(self) -> None:
    """Writes the remaining values and closes the files."""
    self._pass_on()
    self._writer.close()

  def _pass_on(self) -> None:
    """Passes all events to the library's thread."""
    assert self._writer.file_writer is not None, "it is not closed"
    for step, moment, values in self._waiting:
      # One event of all values: each of its own costs as much again.
      summaries = [
          _Summary.Value(tag=tag, simple_value=value)
          for tag, value in self._tags.rename(values).items()
      ]
      summary = _Summary(value=summaries)
      self._writer.file_writer.add_summary(summary, step, moment)
    self._waiting.clear()
    self._passed_on = time.monotonic()


class WandB:
  """A Weights & Biases run of the same name, resumed with it."""

  def __init__(self, path: pathlib.Path, project: str, tags: Tags):
    # Heavy and optional; `check` has made sure that it is installed.
    import wandb  # pyright: ignore[reportMissingImports]

    self._tags = tags
    self._run = wandb.init(
        project=project, id=path.name, dir=str(path), resume="allow"
    )

  def write(self, step: int, values: Mapping[str, float]) -> None:
    """Writes the values of a step."""
    self._run.log(self._tags.rename(values), step=step)

  def close(self) -> None:
    """Writes the remaining values and closes the files."""
    self._run.finish()


class Trackio:
  """A Trackio run of the same name, resumed with it.

  Its data stay on this machine, where `trackio show` displays them. Steps that
  are redone after an interruption are in it twice.
  """

  def __init__(self, path: pathlib.Path, project: str, tags: Tags):
    # Heavy and optional; `check` has made sure that it is installed.
    import trackio  # pyright: ignore[reportMissingImports]

    self._tags = tags
    self._run = trackio.init(
        project=project,
        name=path.name,
        resume="allow",
        # perf.jsonl has the use of the devices.
        auto_log_gpu=False,
        auto_log_cpu=False,
    )

  def write(self, step: int, values: Mapping[str, float]) -> None:
    """Writes the values of a step."""
    self._run.log(self._tags.rename(values), step=step)

  def close(self) -> None:
    """Writes the remaining values and closes the files."""
    self._run.finish()


def _printable(name: str) -> str:
  """Returns the name of a metric, made printable and not too long.

  A long name keeps its beginning and its end, and gets a hash.
  """
  printable = texts.printable(name)
  if len(printable) <= _LONGEST:
    return printable
  begin, end = printable[: _LONGEST // 2], printable[-_LONGEST // 4 :]
  return f"{begin}…{artifacts.digest(name)[:10]}…{end}"


def check(machine: config.Machine) -> None:
  """Raises InputError if a writer's package is not installed."""
  for package in _PACKAGES:
    project = getattr(machine, package)
    if project and importlib.util.find_spec(package) is None:
      raise errors.InputError(
          f"config.machine.{package} is {project!r}, but {package} is not"
          f" installed. Run `pip install 'zsgen[{package}]'`, or do not set it."
      )


def make(
    machine: config.Machine,
    path: pathlib.Path,
    first: int,
    headlines: Collection[str] = (),
) -> list[Writer]:
  """Returns the writers that the config selects.

  Args:
    machine: selects them.
    path: the run's directory.
    first: the step to go on from.
    headlines: paths of the metrics that come first.
  """
  writers: list[Writer] = []
  tags = Tags(headlines)
  if machine.tensorboard:
    writers.append(TensorBoard(path, first, tags))
  if machine.wandb:
    writers.append(WandB(path, machine.wandb, tags))
  if machine.trackio:
    writers.append(Trackio(path, machine.trackio, tags))
  return writers
