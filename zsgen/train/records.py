"""What a run writes down, and how it is cut back on resume.

`metrics.jsonl` holds functions of the config only; `perf.jsonl` clocks.
`consumed.npy` and `evals/<name>/loss.npy` are made whole and filled in, so
that a row is either empty or final.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
import contextlib
import hashlib
import io
import json
import os
import pathlib
from typing import Any, BinaryIO

import numpy as np

from zsgen.core import artifacts, errors, hosts, locks, storage
from zsgen.orders import segments
from zsgen.train import batches, record_digests, run_copies

METRICS, CONSUMED = "metrics.jsonl", "consumed.npy"
LOGS = (METRICS, record_digests.PERF)
# Bytes of a log that are read at once to find its last line.
_CHUNK = 2**16
# `json.dumps` would make one for each record.
_JSON = json.JSONEncoder(allow_nan=False)


@contextlib.contextmanager
def lock(path: pathlib.Path, seconds: float) -> Iterator[bool]:
  """Locks a run's directory, until the end of the process at the latest.

  The lock of a run in a bucket is a lease, and its local copy is brought up to
  date.

  Args:
    path: the directory.
    seconds: the time of a lease.

  Yields:
    Whether another start of the run is refused; False if the file system has no
    locks.

  Raises:
    InputError: another start of the run holds it.
  """
  if not hosts.is_first():
    yield True
    return
  with contextlib.ExitStack() as stack:
    has_lock = stack.enter_context(_flock(path))
    stack.enter_context(run_copies.leased(path, seconds))
    yield has_lock or storage.find(path) is not None


@contextlib.contextmanager
def lock_all(
    leases: Mapping[pathlib.Path, float], log: Callable[[str], None]
) -> Iterator[None]:
  """Locks the directories of the runs of a job; see `lock`.

  Args:
    leases: the time of a lease, by directory.
    log: prints a line if the file system has no locks, one for all runs.

  Raises:
    InputError: another process trains one of the runs.
  """
  with contextlib.ExitStack() as stack:
    unprotected = [
        path
        for path, seconds in leases.items()
        if not stack.enter_context(lock(path, seconds))
    ]
    if unprotected:
      log(
          f"train    {unprotected[0].parent} is on a file system without locks:"
          " a second start of a run at the same time is not refused, and both"
          " write the same checkpoints and records. Start each run only once"
      )
    yield


@contextlib.contextmanager
def _flock(path: pathlib.Path) -> Iterator[bool]:
  """Locks a directory of this host; yields False if there are no locks."""
  with open(path / run_copies.LOCK, "a+b", buffering=0) as file:
    has_lock = locks.lock(file)
    if has_lock is False:
      raise errors.InputError(
          f"{path}: another process trains this run. Wait for it, or end it."
      )
    yield bool(has_lock)


def is_trained(path: pathlib.Path) -> bool:
  """Returns whether a process trains a run, as far as locks and leases show.

  Args:
    path: the run's directory.
  """
  if storage.find(path):
    return bool(run_copies.find_holder(path))
  return locks.is_locked(path / run_copies.LOCK)


class Log:
  """A file of JSON lines that can be cut back to a length.

  Args:
    path: the file.
    length: bytes to keep, at the most; of the last line only if it is whole.
  """

  def __init__(self, path: pathlib.Path, length: int):
    self._file = open(path, "a+b")
    size = self._file.seek(0, os.SEEK_END)
    if length < size:
      self._file.truncate(length)
    elif length > size:  # Of clocks, which may be lost.
      self._file.truncate(_end_of_last_line(self._file, size))
    self._size = self._file.seek(0, os.SEEK_END)
    self._hash = record_digests.hash_prefix(path, self._size)

  def write(self, record: Mapping[str, Any]) -> None:
    """Appends a record."""
    line = _JSON.encode(record).encode() + b"\n"
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
    """Writes the remaining values and closes the files."""
    self._file.close()


def _end_of_last_line(file: BinaryIO, size: int) -> int:
  """Returns the bytes up to the last line break; 0 if there is none.

  Args:
    file: an open file.
    size: its length in bytes.
  """
  end = size
  while end:
    begin = max(end - _CHUNK, 0)
    file.seek(begin)
    line_break = file.read(end - begin).rfind(b"\n")
    if line_break >= 0:
      return begin + line_break + 1
    end = begin
  return 0


class Table:
  """A NumPy file of fixed shape whose rows are filled in, one by one.

  Args:
    path: the file.
    empty: what an empty row holds, [rows, columns].
    filled: rows that a checkpoint relies on; 0 creates the file.

  Raises:
    InputError: the file is damaged.
  """

  def __init__(self, path: pathlib.Path, empty: np.ndarray, filled: int):
    if not filled:
      path.parent.mkdir(parents=True, exist_ok=True)
      np.save(path, empty)
    try:
      self._rows = np.lib.format.open_memmap(path, "r+")
    except Exception as error:  # A damaged header raises a dozen kinds.
      raise _lost(path, f"cannot be read ({error})") from error
    if (self._rows.shape, self._rows.dtype) != (empty.shape, empty.dtype):
      raise _lost(path, f"has shape {self._rows.shape}, not {empty.shape}")
    self._rows[filled:] = empty[filled:]
    self._filled = filled
    row = empty.shape[1] * empty.itemsize
    self._size = self._rows.offset + filled * row
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


def _lost(path: pathlib.Path, problem: str) -> errors.InputError:
  """Returns the error for a file that is shorter than it was."""
  return errors.InputError(
      f"{path}: {problem}, but the checkpoint counts on it. Delete the run's"
      " directory to start it anew."
  )


def prediction_lines(records: Sequence[Mapping[str, Any]]) -> bytes:
  """Formats records of answers as JSON lines."""
  lines = [json.dumps(record, ensure_ascii=False) + "\n" for record in records]
  return "".join(lines).encode()


class Silent:
  """Stands in for `Records` in other processes; writes nothing."""

  def metrics(self, record: Mapping[str, Any]) -> None:
    """Discards its arguments."""

  def perf(self, record: Mapping[str, Any]) -> None:
    """Discards its arguments."""

  def consumed(self, step: int, ids: np.ndarray) -> None:
    """Discards its arguments."""

  def evaluated(self, name: str, step: int, losses: np.ndarray) -> None:
    """Discards its arguments."""

  def predictions(
      self, name: str, step: int, records: Sequence[Mapping[str, Any]]
  ) -> None:
    """Discards its arguments."""

  def segment(self, step: int) -> None:
    """Discards its arguments."""

  def sync(self) -> dict[str, record_digests.Prefix]:
    """Returns no digests."""
    return {}

  def close(self) -> None:
    """Returns; no file is open."""


def open_records(**kwargs: Any) -> "Records | Silent":
  """Opens a run's records in process 0, the only writer; see `Records`."""
  return Records(**kwargs) if hosts.is_first() else Silent()


class Records:
  """All records of one run.

  Args:
    path: the run's directory.
    batch_size: examples of a step.
    steps: steps of the whole run.
    evaluated: for each evaluation its steps and the ids of its examples.
    digests: digests of the records to keep, which were checked; {} for a new
      run.
    first: the step to continue from.
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
      digests: record_digests.Digests,
      first: int,
      resumed: bool,
  ):
    self._path = path
    no_bytes = record_digests.Prefix(0, "")
    self._logs = {
        name: Log(path / name, digests.get(name, no_bytes).size)
        for name in LOGS
    }
    empty = np.full((steps, batch_size), batches.NO_EXAMPLE, np.int64)
    self._consumed = Table(path / CONSUMED, empty, first)
    self._rows = {}
    self._losses = {}
    # Digests of files that are written once.
    self._written: dict[str, record_digests.Prefix] = {
        name: prefix
        for name, prefix in digests.items()
        if name.startswith(f"{segments.NAME}/")
    }
    for name, (steps_evaluated, ids) in evaluated.items():
      self._rows[name] = {step: row for row, step in enumerate(steps_evaluated)}
      empty = np.full((len(steps_evaluated), len(ids)), np.nan, np.float32)
      filled = sum(step <= first for step in steps_evaluated) if resumed else 0
      directory = path / "evals" / name
      self._losses[name] = Table(directory / "loss.npy", empty, filled)
      arrays = (np.array(steps_evaluated, np.int64), ids)
      for file, array in zip(record_digests.REWRITTEN, arrays, strict=True):
        self._write_array(f"evals/{name}/{file}", array, digests)
      for step in steps_evaluated[:filled]:
        self._keep_predictions(name, step, digests)
    if storage.find(path):
      self.sync()  # Deletes what the bucket has beyond the checkpoint.

  def _write_array(
      self, name: str, array: np.ndarray, digests: record_digests.Digests
  ) -> None:
    """Writes an array, and compares it with its digest in a checkpoint."""
    file = io.BytesIO()
    np.save(file, array)
    self._write_whole(name, file.getvalue())
    if name in digests and digests[name] != self._written[name]:
      raise _lost(self._path / name, "no longer matches what was evaluated")

  def _write_whole(self, name: str, data: bytes) -> None:
    artifacts.write_bytes(self._path / name, data)
    sha256 = hashlib.sha256(data).hexdigest()
    self._written[name] = record_digests.Prefix(len(data), sha256)

  def _keep_predictions(
      self, evaluation: str, step: int, digests: record_digests.Digests
  ) -> None:
    """Keeps the digest of answers that were written before."""
    name = predictions(evaluation, step)
    path = self._path / name
    if name in digests:
      self._written[name] = digests[name]
    elif path.exists():  # The checkpoint is of an older version.
      self._add_digest(name)

  def _add_digest(self, name: str) -> None:
    """Adds the digest of a whole file that is there."""
    size = (self._path / name).stat().st_size
    sha256 = record_digests.hash_prefix(self._path / name, size).hexdigest()
    self._written[name] = record_digests.Prefix(size, sha256)

  def metrics(self, record: Mapping[str, Any]) -> None:
    """Appends to metrics.jsonl."""
    self._logs[METRICS].write(record)

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
      self._write_whole(predictions(name, step), prediction_lines(records))

  def segment(self, step: int) -> None:
    """Records the files of a segment, from whose first step on it is consumed."""
    directory = segments.path_of(self._path, step)
    for name in segments.FILES:
      self._add_digest(str((directory / name).relative_to(self._path)))

  def sync(self) -> dict[str, record_digests.Prefix]:
    """Makes everything durable.

    Returns:
      Digests of all files; for perf.jsonl the size only.
    """
    tables = {f"evals/{name}/loss.npy": t for name, t in self._losses.items()}
    growing = {**self._logs, **tables, CONSUMED: self._consumed}
    digests = {name: file.sync() for name, file in growing.items()}
    sizes = {name: prefix.size for name, prefix in digests.items()}
    run_copies.push(self._path, sizes)
    clocks = digests[record_digests.PERF]._replace(sha256="")
    return {**digests, **self._written, record_digests.PERF: clocks}

  def close(self) -> None:
    """Makes everything durable and closes the logs."""
    self.sync()
    for log in self._logs.values():
      log.close()


def predictions(evaluation: str, step: int) -> str:
  """Returns the file of an evaluation's answers at a step."""
  return f"evals/{evaluation}/predictions-{step}.jsonl"
