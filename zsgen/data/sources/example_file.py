"""The examples of one scan, kept on disk until they are drawn.

Rows are read and checked once. Their texts are appended to an anonymous file in
Arrow batches, and read by number. One batch is in memory.
"""

from collections.abc import Iterator, Sequence
import errno
import itertools
import mmap
import os
import pathlib
import tempfile
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa

from zsgen.core import errors
from zsgen.data import suite

# The most rows of a batch, and the characters that end it earlier.
_ROWS = 4096
_CHARACTERS = 1 << 24
# Rows that are read together.
_READ = 4096
_TEXTS = pa.list_(pa.string())
_TURN = pa.struct(
    {"role": pa.string(), "text": pa.string(), "is_trained": pa.bool_()}
)
# Task and split are those that the example is drawn for. Solved examples are
# few and the same in all rows of a task: a column has their number.
_SCHEMA = pa.schema(
    {
        "category": pa.string(),
        "definition": pa.string(),
        "input": pa.string(),
        "targets": _TEXTS,
        "key": pa.string(),
        "choices": _TEXTS,
        "turns": pa.list_(_TURN),
        "shots": pa.int32(),
    }
)
_EMPTY_ROW = (None,) * len(_SCHEMA)


class ExampleFile:
  """Appends examples to a file, then reads them by number."""

  def __init__(self, scratch: pathlib.Path):
    """Creates no file yet.

    Args:
      scratch: the directory to create it in; it need not exist.
    """
    self._scratch = scratch
    self._file: BinaryIO | None = None
    # The columns of the current batch, and its characters.
    self._columns: list[list[Any]] = [[] for _ in _SCHEMA]
    self._characters = 0
    self._shots: dict[tuple[suite.Shot, ...], int] = {}
    # The first row and the first byte of each batch, and the ends.
    self._rows, self._bytes = [0], [0]
    self._batches: list[pa.RecordBatch] = []

  def append(self, example: suite.Example | None) -> None:
    """Appends an example, or an empty row for a row without one.

    Raises:
      InputError: the directory cannot be written to, or is full.
    """
    values = _EMPTY_ROW
    if example is not None:
      turns = [turn._asdict() for turn in example.turns]
      values = (
          example.category,
          example.definition,
          example.input,
          example.targets,
          example.key,
          example.choices,
          turns or (),
          self._shots.setdefault(example.shots, len(self._shots)),
      )
      self._characters += example.count_characters()
    # Lists of texts: a garbage collection would visit each tuple of a row.
    for column, value in zip(self._columns, values, strict=True):
      column.append(value)
    if len(self._columns[0]) == _ROWS or self._characters >= _CHARACTERS:
      self._write(self._batch().serialize())

  def finish(self) -> None:
    """Opens the file for reading; the last batch stays in memory."""
    if self._file is not None:
      mapped = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
      buffer = pa.py_buffer(mapped)
      self._batches = [
          pa.ipc.read_record_batch(buffer.slice(begin, end - begin), _SCHEMA)
          for begin, end in itertools.pairwise(self._bytes)
      ]
    if self._columns[0]:
      self._batches.append(self._batch())

  def read(
      self, rows: np.ndarray, task: str, split: str
  ) -> Iterator[suite.Example]:
    """Yields examples by their numbers, as examples of a task and a split."""
    shots = list(self._shots)
    for first in range(0, len(rows), _READ):
      for row in self._take(rows[first : first + _READ]):
        category, definition, text, targets, key, choices, turns, number = row
        yield suite.Example(
            task=task,
            category=category,
            split=split,
            definition=definition,
            input=text,
            targets=tuple(targets),
            key=key,
            shots=shots[number],
            turns=tuple([suite.Turn(**turn) for turn in turns]),
            choices=tuple(choices),
        )

  def _take(self, rows: np.ndarray) -> Sequence[tuple]:
    """Returns rows by their numbers, in the sequence of the numbers."""
    batch_of = np.searchsorted(self._rows, rows, side="right") - 1
    by_batch = np.argsort(batch_of, kind="stable")
    numbers, firsts = np.unique(batch_of[by_batch], return_index=True)
    parts = []
    for number, positions in zip(
        numbers.tolist(), np.split(by_batch, firsts[1:]), strict=True
    ):
      inside = pa.array(rows[positions] - self._rows[number])
      parts.append(self._batches[number].take(inside))
    columns = [column.to_pylist() for column in pa.Table.from_batches(parts)]
    selected: list[tuple] = [()] * len(rows)
    for position, row in zip(
        by_batch.tolist(), zip(*columns, strict=True), strict=True
    ):
      selected[position] = row
    return selected

  def _batch(self) -> pa.RecordBatch:
    """Returns the pending rows as a batch, and clears them."""
    arrays = [
        pa.array(column, field.type)
        for column, field in zip(self._columns, _SCHEMA, strict=True)
    ]
    self._rows.append(self._rows[-1] + len(self._columns[0]))
    self._columns = [[] for _ in _SCHEMA]
    self._characters = 0
    return pa.record_batch(arrays, schema=_SCHEMA)

  def _write(self, content: pa.Buffer) -> None:
    """Appends bytes to the file."""
    try:
      if self._file is None:
        self._scratch.mkdir(parents=True, exist_ok=True)
        self._file = tempfile.TemporaryFile(dir=self._scratch, buffering=0)
      written = self._file.write(content)
      if written < content.size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    except OSError as error:
      raise errors.InputError(
          f"{self._scratch}: rows of the source cannot be copied here"
          f" ({error.strerror}). Make room, or use another workdir."
      ) from error
    self._bytes.append(self._bytes[-1] + content.size)

  def __del__(self):
    if self._file is not None:
      self._file.close()
