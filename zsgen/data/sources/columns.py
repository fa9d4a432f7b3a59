"""Parquet, and the Arrow files of Hugging Face `datasets` on disk."""

from collections.abc import Collection, Iterator, Sequence
import functools
import pathlib
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from zsgen.core import errors
from zsgen.data.sources import records

# Rows that are read together.
_BATCH = 512
_BROKEN = (pa.ArrowException, OSError, ValueError, OverflowError)


def parquet(
    path: pathlib.Path,
    columns: Collection[str],
    groups: Sequence[int] | None = None,
    before: int = 0,
) -> Iterator[records.Record]:
  """Yields every row of a Parquet file, with those of `columns` it has.

  Args:
    path: of the file.
    columns: the names of columns.
    groups: the row groups to read; by default all.
    before: the number of rows that come before them.

  Raises:
    InputError: the file is no Parquet file, is damaged, or has a column twice.
  """
  try:
    with pq.ParquetFile(path) as file:
      names = records.distinct(file.schema_arrow.names, path)
      selected = [name for name in names if name in columns]
      batches = file.iter_batches(_BATCH, groups, columns=selected)
      yield from _rows(batches, path, before)
  except _BROKEN as error:
    raise errors.InputError(f"{path}: is no Parquet file ({error}).") from error


def arrow(
    path: pathlib.Path, columns: Collection[str]
) -> Iterator[records.Record]:
  """Yields every row of an Arrow stream or file, with those of `columns`.

  Raises:
    InputError: the file is no Arrow file, is damaged, or has a column twice.
  """
  try:
    with pa.memory_map(str(path)) as source:
      yield from _rows(_batches(source, columns, path), path)
  except _BROKEN as error:
    raise errors.InputError(f"{path}: is no Arrow file ({error}).") from error


@functools.lru_cache(maxsize=8)
def names(path: pathlib.Path, format: str) -> tuple[str, ...]:
  """Returns all columns of a file; () if it is not in columns.

  Args:
    path: of the file.
    format: as files.File has it.
  """
  if format == "parquet":
    return tuple(pq.read_schema(path).names)
  if format != "arrow":
    return ()
  with pa.memory_map(str(path)) as source:
    return tuple(_opened(source).schema.names)


def _opened(
    source: pa.MemoryMappedFile,
) -> pa.ipc.RecordBatchFileReader | pa.ipc.RecordBatchStreamReader:
  """Opens Arrow data of either kind."""
  if source.read(6) == b"ARROW1":
    return pa.ipc.open_file(source)
  source.seek(0)
  return pa.ipc.open_stream(source)


def _batches(
    source: pa.MemoryMappedFile, columns: Collection[str], path: pathlib.Path
) -> Iterator[pa.RecordBatch]:
  """Yields small batches of the columns that are there."""
  reader = _opened(source)
  records.distinct(reader.schema.names, path)
  if isinstance(reader, pa.ipc.RecordBatchFileReader):
    batches = (reader.get_batch(i) for i in range(reader.num_record_batches))
  else:
    batches = iter(reader)
  for batch in batches:
    batch.validate(full=True)
    selected = batch.select([n for n in batch.schema.names if n in columns])
    for first in range(0, selected.num_rows, _BATCH):
      yield selected.slice(first, _BATCH)


def _rows(
    batches: Iterator[pa.RecordBatch], path: pathlib.Path, before: int = 0
) -> Iterator[records.Record]:
  """Yields the rows of the batches, numbered through from `before` on."""
  number = before
  for batch in batches:
    for value in _values(batch):
      location = f"{path}: row {number}"
      if isinstance(value, str):
        error = errors.InputError(f"{location}: cannot be read ({value}).")
        yield records.Record(location, error)
      else:
        yield records.Record(location, value)
      number += 1


def _values(batch: pa.RecordBatch) -> list[Any]:
  """Returns rows as dictionaries; what is wrong with a row, as text."""
  try:
    return batch.to_pylist()
  except _BROKEN as error:
    # One bad value spoils the batch: find it row by row.
    if batch.num_rows == 1:
      return [str(error)]
    rows = (batch.slice(i, 1) for i in range(batch.num_rows))
    return [value for row in rows for value in _values(row)]
