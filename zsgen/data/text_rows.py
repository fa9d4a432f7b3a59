"""The texts of consecutive rows of a store, for readers of all rows.

They are read in row groups of `examples.parquet`, of a few thousand rows, so
that memory does not grow with the store.
"""

import functools
import io
import pathlib
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from zsgen.core import artifacts, errors
from zsgen.data import raw_texts


class TextRows:
  """The columns of `raw_texts`."""

  def __init__(self, path: pathlib.Path, stream: io.RawIOBase):
    """Takes the file.

    Args:
      path: its name, for messages.
      stream: its bytes, which are checked when they are read.
    """
    self._path = path
    self._stream = stream

  def read(self, begin: int, end: int) -> list[list[Any]]:
    """Returns prompts, answers and turns of the rows `begin` to `end`.

    Raises:
      InputError: a block that is read is damaged.
    """
    borders = self._borders
    first, stop = np.searchsorted(borders, [begin + 1, end]).tolist()
    groups, names = list(range(first - 1, stop)), raw_texts.SCHEMA.names
    try:
      # In this thread only, as `Store` reads its tables.
      table = self._file.read_row_groups(groups, names, use_threads=False)
    except (OSError, pa.ArrowException) as error:
      raise self._damaged() from error
    rows = table.slice(begin - int(borders[first - 1]), end - begin)
    return [rows[name].to_pylist() for name in names]

  @functools.cached_property
  def _file(self) -> pq.ParquetFile:
    try:
      return pq.ParquetFile(self._stream, pre_buffer=False)
    except (OSError, pa.ArrowException) as error:
      raise self._damaged() from error

  @functools.cached_property
  def _borders(self) -> np.ndarray:
    """The first row of each row group, and the number of rows, int64."""
    metadata = self._file.metadata
    groups = map(metadata.row_group, range(metadata.num_row_groups))
    counts = [group.num_rows for group in groups]
    return np.cumsum([0, *counts], dtype=np.int64)

  def _damaged(self) -> errors.InputError:
    advice = artifacts.advise(self._path.parent)
    return errors.InputError(f"{self._path}: is damaged; {advice}.")
