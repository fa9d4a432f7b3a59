"""Values of rows that are computed batch by batch, resumed after a kill.

What is computed is written every few seconds. A part is
`<plan>-<first batch>.values`; a damaged one is computed again.
"""

from collections.abc import Callable, Iterator, Sequence
import pathlib
import time
from typing import Any

import numpy as np

from zsgen.core import errors, hosts, storage
from zsgen.orders.embedders import parts

# Seconds of work that a kill may lose.
_SECONDS = 5.0
# Seconds between two lines of progress.
_REPORTED = 10.0


def collect(
    compute: Callable[[int], Iterator[Any]],
    progress: "Progress",
    log: Callable[[str], None],
    topic: str,
) -> np.ndarray:
  """Returns the values of all rows; computes those that are not there yet.

  With several processes, all of them must call this.

  Args:
    compute: yields the values of each batch, arrays on the devices [B, ...],
      from a batch on, given its number.
    progress: the batches, and the values so far.
    log: prints a line on the progress.
    topic: the first word of these lines.
  """
  total = len(progress.slots)
  if progress.batches:
    log(f"{topic:8} continues after {progress.batches:,} batches")
  reported = time.monotonic()
  for values in _started_ahead(compute(progress.batches)):
    progress.add(np.asarray(values))
    if time.monotonic() - reported > _REPORTED:
      reported = time.monotonic()
      log(f"{topic:8} {progress.batches:,} of {total:,} batches")
  return progress.values


def _started_ahead(results: Iterator[Any]) -> Iterator[Any]:
  """Yields each result after the devices have been given the next one."""
  previous = None
  for result in results:
    if previous is not None:
      yield previous
    previous = result
  if previous is not None:
    yield previous


class Progress:
  """The values of the batches so far, on the disk and in memory.

  Args:
    directory: of the parts, on a file system that all processes share; None
      writes none. In a bucket, only a single process writes them.
    plan: digits that mark the batches; parts of other plans are not read.
    slots: the rows of each batch.
    values: an array for the values of all rows, float32 [n, ...].

  Attributes:
    values: that array; NaN where there is no value yet.
    batches: the number of batches that are computed.
    slots: the rows of each batch.

  Raises:
    InputError: process 0 reads parts that another process cannot see.
  """

  def __init__(
      self,
      directory: pathlib.Path | None,
      plan: str,
      slots: Sequence[np.ndarray],
      values: np.ndarray,
  ):
    self.values = values
    self.values.fill(np.nan)
    self.batches = 0
    self.slots = slots
    if directory and hosts.is_distributed() and storage.find(directory):
      directory = None  # The copies of other hosts would lack them.
    self._directory = directory
    self._plan = plan
    if directory is not None:
      self._read_all(directory)
    self._written = self.batches
    self._last = time.monotonic()

  def add(self, values: np.ndarray) -> None:
    """Adds the values of the next batch, float32 [B, ...]."""
    slots = self.slots[self.batches]
    self.values[slots] = values[: len(slots)]
    self.batches += 1
    is_last = self.batches == len(self.slots)
    if is_last or time.monotonic() - self._last > _SECONDS:
      self._write()

  def _rows(self, first: int, end: int) -> np.ndarray:
    return np.concatenate(self.slots[first:end])

  def _write(self) -> None:
    """Writes the batches since the last part."""
    if self._directory is not None and hosts.is_first():
      values = self.values[self._rows(self._written, self.batches)]
      end = np.array(self.batches)
      path = self._path(self._directory, self._written)
      parts.write_arrays(path, values=values, end=end)
    self._written = self.batches
    self._last = time.monotonic()

  def _path(self, directory: pathlib.Path, first: int) -> pathlib.Path:
    return directory / f"{self._plan}-{first:08d}.values"

  def _read_all(self, directory: pathlib.Path) -> None:
    """Reads all parts, the same ones in every process."""
    if hosts.is_first():
      directory.mkdir(parents=True, exist_ok=True)
      while self._read(directory):
        pass
    batches = hosts.broadcast("computed batches", self.batches)
    while self.batches < batches:
      path = self._path(directory, self.batches)
      hosts.await_file(path)
      if not self._read(directory):
        raise errors.InputError(
            f"{path}: process 0 has read it, but process {hosts.index()}"
            " cannot. --workdir must be on a file system that all hosts share."
        )

  def _read(self, directory: pathlib.Path) -> bool:
    """Reads the next part; returns whether there is one that is whole."""
    if self.batches == len(self.slots):
      return False
    arrays = parts.read_arrays(self._path(directory, self.batches))
    if arrays is None:
      return False
    end = int(arrays["end"])
    self.values[self._rows(self.batches, end)] = arrays["values"]
    self.batches = end
    return True
