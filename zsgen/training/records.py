"""What a run writes down, and how it is cut back on resume.

`metrics.jsonl` holds functions of the config only; `perf.jsonl` clocks.
`consumed.npy` and `evals/<name>/loss.npy` are made whole and filled in, so
that a row is either empty or final.
"""

from collections.abc import Iterator, Mapping, Sequence
import contextlib
import fcntl
import json
import os
import pathlib
from typing import Any

import numpy as np

from zsgen import artifacts, errors, hosts
from zsgen.training import batches

LOGS = ("metrics.jsonl", "perf.jsonl")


@contextlib.contextmanager
def alone(path: pathlib.Path) -> Iterator[None]:
  """Holds a run's directory, until the end of the process at the latest.

  Raises:
    InputError: another start of the run holds it.
  """
  if not hosts.is_first():
    yield
    return
  with open(path / ".lock", "wb") as file:
    try:
      fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
      raise errors.InputError(
          f"{path}: another process trains this run. Wait for it, or end it."
      ) from error
    except OSError:
      pass  # A file system that has no locks.
    yield


class Log:
  """A file of JSON lines that can be cut back to a length."""

  def __init__(self, path: pathlib.Path, length: int):
    if length > (path.stat().st_size if path.exists() else 0):
      raise _lost(path, f"is shorter than {length} bytes")
    self._file = open(path, "ab")
    self._file.truncate(length)

  def write(self, record: Mapping[str, Any]) -> None:
    """Appends a record."""
    self._file.write(json.dumps(record, allow_nan=False).encode() + b"\n")
    self._file.flush()  # People follow the file.

  def sync(self) -> int:
    """Makes all records durable; returns the length in bytes."""
    self._file.flush()
    os.fsync(self._file.fileno())
    return self._file.seek(0, os.SEEK_END)

  def close(self) -> None:
    """Writes what is left."""
    self._file.close()


class Table:
  """A NumPy file of fixed shape whose rows are filled in.

  Args:
    path: the file.
    empty: what an empty row holds, [rows, columns].
    kept: rows that a checkpoint counts on; 0 makes the file.

  Raises:
    InputError: kept rows are gone, or the file is damaged.
  """

  def __init__(self, path: pathlib.Path, empty: np.ndarray, kept: int):
    if not kept:
      path.parent.mkdir(parents=True, exist_ok=True)
      np.save(path, empty)
    try:
      self._rows = np.lib.format.open_memmap(path, "r+")
    except (OSError, ValueError, EOFError, SyntaxError) as error:
      raise _lost(path, f"cannot be read ({error})") from error
    if (self._rows.shape, self._rows.dtype) != (empty.shape, empty.dtype):
      raise _lost(path, f"has shape {self._rows.shape}, not {empty.shape}")
    gone = np.all(self._rows[:kept] == empty[:kept], axis=1) | np.all(
        np.isnan(self._rows[:kept]), axis=1
    )
    if gone.any():
      raise _lost(path, f"row {gone.argmax()} is empty")
    self._rows[kept:] = empty[kept:]

  def write(self, row: int, values: np.ndarray) -> None:
    """Fills in a row."""
    self._rows[row] = values

  def sync(self) -> None:
    """Makes the rows durable."""
    self._rows.flush()


def _lost(path: pathlib.Path, what: str) -> errors.InputError:
  return errors.InputError(
      f"{path}: {what}, but the checkpoint counts on it. Delete the run's"
      " directory to start it anew."
  )


def prediction_lines(records: Sequence[Mapping[str, Any]]) -> bytes:
  """Records of answers as JSON lines."""
  lines = [json.dumps(each, ensure_ascii=False) + "\n" for each in records]
  return "".join(lines).encode()


class Silent:
  """What other processes have in the place of `Records`: nothing is written."""

  def metrics(self, record: Mapping[str, Any]) -> None:
    """Does nothing."""

  def perf(self, record: Mapping[str, Any]) -> None:
    """Does nothing."""

  def consumed(self, step: int, ids: np.ndarray) -> None:
    """Does nothing."""

  def evaluated(self, name: str, step: int, losses: np.ndarray) -> None:
    """Does nothing."""

  def predictions(
      self, name: str, step: int, records: Sequence[Mapping[str, Any]]
  ) -> None:
    """Does nothing."""

  def sync(self) -> dict[str, int]:
    """Lengths of no logs."""
    return {}

  def close(self) -> None:
    """Does nothing."""


def of_first(**kwargs: Any) -> "Records | Silent":
  """The records of a run in process 0, which alone writes; see `Records`."""
  return Records(**kwargs) if hosts.is_first() else Silent()


class Records:
  """All records of one run.

  Args:
    path: the run's directory.
    batch_size: examples of a step.
    steps: steps of the whole run.
    evaluated: for each evaluation its steps and the ids of its examples.
    lengths: bytes of each log to keep; {} to start anew.
    first: the step to go on from.
    resumed: if so, the evaluation at `first` is kept.
  """

  def __init__(
      self,
      path: pathlib.Path,
      batch_size: int,
      steps: int,
      evaluated: Mapping[str, tuple[Sequence[int], np.ndarray]],
      lengths: Mapping[str, int],
      first: int,
      resumed: bool,
  ):
    self._path = path
    self._logs = {name: Log(path / name, lengths.get(name, 0)) for name in LOGS}
    nothing = np.full((steps, batch_size), batches.NO_EXAMPLE, np.int64)
    self._consumed = Table(path / "consumed.npy", nothing, first)
    self._rows = {}
    self._losses = {}
    for name, (at, ids) in evaluated.items():
      self._rows[name] = {step: row for row, step in enumerate(at)}
      nothing = np.full((len(at), len(ids)), np.nan, np.float32)
      kept = sum(step <= first for step in at) if resumed else 0
      directory = path / "evals" / name
      self._losses[name] = Table(directory / "loss.npy", nothing, kept)
      np.save(directory / "steps.npy", np.array(at, np.int64))
      np.save(directory / "ids.npy", ids)

  def metrics(self, record: Mapping[str, Any]) -> None:
    """Appends to metrics.jsonl."""
    self._logs["metrics.jsonl"].write(record)

  def perf(self, record: Mapping[str, Any]) -> None:
    """Appends to perf.jsonl."""
    self._logs["perf.jsonl"].write(record)

  def consumed(self, step: int, ids: np.ndarray) -> None:
    """Writes down the ids that the device program returned for a step."""
    self._consumed.write(step, ids)

  def evaluated(self, name: str, step: int, losses: np.ndarray) -> None:
    """Writes down the loss of every example of an evaluation."""
    self._losses[name].write(self._rows[name][step], losses)

  def predictions(
      self, name: str, step: int, records: Sequence[Mapping[str, Any]]
  ) -> None:
    """Writes down the answers of an evaluation, if it wrote any."""
    if records:
      path = self._path / "evals" / name / f"predictions-{step}.jsonl"
      artifacts.write_bytes(path, prediction_lines(records))

  def sync(self) -> dict[str, int]:
    """Makes everything durable; returns the lengths of the logs."""
    self._consumed.sync()
    for table in self._losses.values():
      table.sync()
    return {name: log.sync() for name, log in self._logs.items()}

  def close(self) -> None:
    """Makes everything durable and closes the logs."""
    self.sync()
    for log in self._logs.values():
      log.close()
