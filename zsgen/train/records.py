"""What a run writes down, and how it is cut back on resume.

`metrics.jsonl` holds functions of the config only; `perf.jsonl` clocks.
`consumed.npy` and `evals/<name>/loss.npy` are made whole and filled in, so
that a row is either empty or final.
"""

from collections.abc import Iterator, Mapping, Sequence
import contextlib
import fcntl
import hashlib
import io
import json
import os
import pathlib
from typing import Any

import numpy as np

from zsgen.core import artifacts, errors, hosts
from zsgen.train import batches, record_digests

LOGS = ("metrics.jsonl", record_digests.PERF)


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
  """A file of JSON lines that can be cut back to a length.

  Args:
    path: the file.
    length: bytes to keep, at the most; of the last line only if it is whole.
  """

  def __init__(self, path: pathlib.Path, length: int):
    self._file = open(path, "ab")
    size = self._file.tell()
    if length < size:
      self._file.truncate(length)
    elif length > size:  # Of clocks, which may be lost.
      self._file.truncate(path.read_bytes().rfind(b"\n") + 1)
    self._size = self._file.seek(0, os.SEEK_END)
    self._hash = record_digests.hash_prefix(path, self._size)

  def write(self, record: Mapping[str, Any]) -> None:
    """Appends a record."""
    line = json.dumps(record, allow_nan=False).encode() + b"\n"
    self._file.write(line)
    self._file.flush()  # People follow the file.
    self._hash.update(line)
    self._size += len(line)

  def sync(self) -> record_digests.Prefix:
    """Makes all records durable; returns what was written, as of now."""
    self._file.flush()
    os.fsync(self._file.fileno())
    return record_digests.Prefix(self._size, self._hash.hexdigest())

  def close(self) -> None:
    """Writes what is left."""
    self._file.close()


class Table:
  """A NumPy file of fixed shape whose rows are filled in, one by one.

  Args:
    path: the file.
    empty: what an empty row holds, [rows, columns].
    kept: rows that a checkpoint counts on; 0 makes the file.

  Raises:
    InputError: the file is damaged.
  """

  def __init__(self, path: pathlib.Path, empty: np.ndarray, kept: int):
    if not kept:
      path.parent.mkdir(parents=True, exist_ok=True)
      np.save(path, empty)
    try:
      self._rows = np.lib.format.open_memmap(path, "r+")
    except Exception as error:  # A damaged header raises a dozen kinds.
      raise _lost(path, f"cannot be read ({error})") from error
    if (self._rows.shape, self._rows.dtype) != (empty.shape, empty.dtype):
      raise _lost(path, f"has shape {self._rows.shape}, not {empty.shape}")
    self._rows[kept:] = empty[kept:]
    self._filled = kept
    row = empty.shape[1] * empty.itemsize
    self._size = self._rows.offset + kept * row
    self._hash = record_digests.hash_prefix(path, self._size)

  def write(self, row: int, values: np.ndarray) -> None:
    """Fills in the next row."""
    if row != self._filled:
      raise ValueError(f"row {row} is written, but row {self._filled} is next")
    self._rows[row] = values
    self._filled += 1
    written = np.asarray(values, self._rows.dtype).tobytes()
    self._hash.update(written)
    self._size += len(written)

  def sync(self) -> record_digests.Prefix:
    """Makes the rows durable; returns the header and what was filled in."""
    self._rows.flush()
    return record_digests.Prefix(self._size, self._hash.hexdigest())


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

  def sync(self) -> dict[str, record_digests.Prefix]:
    """Returns no digests."""
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
    kept: digests of what to keep, which were checked; {} to start anew.
    first: the step to go on from.
    resumed: if so, the evaluation at `first` is kept.

  Raises:
    InputError: an evaluation has other examples than before.
  """

  def __init__(
      self,
      path: pathlib.Path,
      batch_size: int,
      steps: int,
      evaluated: Mapping[str, tuple[Sequence[int], np.ndarray]],
      kept: record_digests.Digests,
      first: int,
      resumed: bool,
  ):
    self._path = path
    nothing = record_digests.Prefix(0, "")
    self._logs = {
        name: Log(path / name, kept.get(name, nothing).size) for name in LOGS
    }
    empty = np.full((steps, batch_size), batches.NO_EXAMPLE, np.int64)
    self._consumed = Table(path / "consumed.npy", empty, first)
    self._rows = {}
    self._losses = {}
    # Digests of files that are written once.
    self._whole: dict[str, record_digests.Prefix] = {}
    for name, (at, ids) in evaluated.items():
      self._rows[name] = {step: row for row, step in enumerate(at)}
      empty = np.full((len(at), len(ids)), np.nan, np.float32)
      done = sum(step <= first for step in at) if resumed else 0
      directory = path / "evals" / name
      self._losses[name] = Table(directory / "loss.npy", empty, done)
      arrays = (np.array(at, np.int64), ids)
      for file, array in zip(record_digests.REWRITTEN, arrays, strict=True):
        self._write_array(f"evals/{name}/{file}", array, kept)
      for step in at[:done]:
        self._keep_predictions(name, step, kept)

  def _write_array(
      self, name: str, array: np.ndarray, kept: record_digests.Digests
  ) -> None:
    """Writes an array, and compares it with its digest in a checkpoint."""
    file = io.BytesIO()
    np.save(file, array)
    self._write_whole(name, file.getvalue())
    if name in kept and kept[name] != self._whole[name]:
      raise _lost(self._path / name, "no longer matches what was evaluated")

  def _write_whole(self, name: str, data: bytes) -> None:
    artifacts.write_bytes(self._path / name, data)
    sha256 = hashlib.sha256(data).hexdigest()
    self._whole[name] = record_digests.Prefix(len(data), sha256)

  def _keep_predictions(
      self, evaluation: str, step: int, kept: record_digests.Digests
  ) -> None:
    """Keeps the digest of answers that were written before."""
    name = _predictions(evaluation, step)
    path = self._path / name
    if name in kept:
      self._whole[name] = kept[name]
    elif path.exists():  # The checkpoint is of an older version.
      size = path.stat().st_size
      sha256 = record_digests.hash_prefix(path, size).hexdigest()
      self._whole[name] = record_digests.Prefix(size, sha256)

  def metrics(self, record: Mapping[str, Any]) -> None:
    """Appends to metrics.jsonl."""
    self._logs["metrics.jsonl"].write(record)

  def perf(self, record: Mapping[str, Any]) -> None:
    """Appends to perf.jsonl."""
    self._logs[record_digests.PERF].write(record)

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
      self._write_whole(_predictions(name, step), prediction_lines(records))

  def sync(self) -> dict[str, record_digests.Prefix]:
    """Makes everything durable.

    Returns:
      Digests of all files; for perf.jsonl the size only.
    """
    tables = {f"evals/{name}/loss.npy": t for name, t in self._losses.items()}
    growing = {**self._logs, **tables, "consumed.npy": self._consumed}
    digests = {name: each.sync() for name, each in growing.items()}
    clocks = digests[record_digests.PERF]._replace(sha256="")
    return {**digests, **self._whole, record_digests.PERF: clocks}

  def close(self) -> None:
    """Makes everything durable and closes the logs."""
    self.sync()
    for log in self._logs.values():
      log.close()


def _predictions(evaluation: str, step: int) -> str:
  """Returns the file of an evaluation's answers at a step."""
  return f"evals/{evaluation}/predictions-{step}.jsonl"
