"""Where metrics go beside the run's own files: TensorBoard and W&B."""

from collections.abc import Mapping
import functools
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


class Writer(Protocol):
  """Takes scalars by path."""

  def write(self, step: int, values: Mapping[str, float]) -> None:
    """Writes the values of a step."""
    ...

  def close(self) -> None:
    """Writes the remaining values and closes the files."""
    ...


class TensorBoard:
  """Event files in `<run>/tensorboard`; steps from `first` on are redone.

  Steps within a second are passed on together: to wake the library's thread
  for every step takes several times as long as all the rest.
  """

  def __init__(self, path: pathlib.Path, first: int):
    self._writer = tensorboardX.SummaryWriter(
        str(path / "tensorboard"), purge_step=first or None, max_queue=_QUEUE
    )
    # Steps, their times and their values.
    self._waiting: list[tuple[int, float, dict[str, float]]] = []
    self._passed_on = -math.inf

  def write(self, step: int, values: Mapping[str, float]) -> None:
    """Writes the values of a step, at the latest with a step a second later."""
    self._waiting.append((step, time.time(), dict(values)))
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
          _Summary.Value(tag=_tag(name), simple_value=value)
          for name, value in values.items()
      ]
      summary = _Summary(value=summaries)
      self._writer.file_writer.add_summary(summary, step, moment)
    self._waiting.clear()
    self._passed_on = time.monotonic()


class WandB:
  """A Weights & Biases run of the same name, resumed with it."""

  def __init__(self, path: pathlib.Path, project: str):
    # Heavy and optional; `check` has made sure that it is installed.
    import wandb  # pyright: ignore[reportMissingImports]

    self._run = wandb.init(
        project=project, id=path.name, dir=str(path), resume="allow"
    )

  def write(self, step: int, values: Mapping[str, float]) -> None:
    """Writes the values of a step."""
    self._run.log({_tag(k): v for k, v in values.items()}, step=step)

  def close(self) -> None:
    """Writes the remaining values and closes the files."""
    self._run.finish()


@functools.cache  # Every step has the same names.
def _tag(name: str) -> str:
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
  if machine.wandb and importlib.util.find_spec("wandb") is None:
    raise errors.InputError(
        f"config.machine.wandb is {machine.wandb!r}, but wandb is not"
        " installed. Run `pip install 'zsgen[wandb]'`, or do not set it."
    )


def make(
    machine: config.Machine, path: pathlib.Path, first: int
) -> list[Writer]:
  """Returns the writers that the config selects."""
  writers: list[Writer] = []
  if machine.tensorboard:
    writers.append(TensorBoard(path, first))
  if machine.wandb:
    writers.append(WandB(path, machine.wandb))
  return writers
