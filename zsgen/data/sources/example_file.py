"""The examples of a scan, kept on disk until they are drawn.

Rows are read and checked once. Their texts are appended to a file in Arrow
batches, and read by number. One batch is in memory.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
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


class Batches:
  """The batches of a finished file.

  Attributes:
    rows: the first row of each batch, and their number.
    shots: the solved examples of the rows, by number.
  """

  def __init__(
      self,
      file: BinaryIO | None,
      rows: Sequence[int],
      ends: Sequence[int],
      shots: Sequence[tuple[suite.Shot, ...]],
      last: pa.RecordBatch | None = None,
  ):
    """Maps a file.

    Args:
      file: where the batches are; None if there is only the last one.
      rows: see `Batches`.
      ends: the first byte of each batch in the file, and the size of the file.
      shots: see `Batches`.
      last: a further batch, which is in memory only.
    """
    self.rows = rows
    self.shots = shots
    self._ends = ends
    self._mapped = None
    if file is not None and ends[-1]:
      self._mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    self._batches: dict[int, pa.RecordBatch] = {}
    if last is not None:
      self._batches[len(rows) - 2] = last

  def describe(self) -> dict[str, Any]:
    """Returns JSON values by which `open_batches` opens the file again."""
    shots = [[list(shot) for shot in group] for group in self.shots]
    return {"rows": self.rows, "ends": self._ends, "shots": shots}

  def take(self, number: int, rows: pa.Array) -> pa.RecordBatch:
    """Returns rows of a batch, by their numbers in it."""
    selection = self._batch(number).take(rows)
    if self._mapped is not None and number < len(self._ends) - 1:
      # The system may take back the memory of what was read of the file:
      # rows of a chunk may come from all of it.
      begin, end = self._ends[number : number + 2]
      begin -= begin % mmap.PAGESIZE
      self._mapped.madvise(mmap.MADV_DONTNEED, begin, end - begin)
    return selection

  def _batch(self, number: int) -> pa.RecordBatch:
    """Returns a batch, as a view of the file."""
    if number not in self._batches:
      begin, end = self._ends[number : number + 2]
      content = pa.py_buffer(self._mapped).slice(begin, end - begin)
      batch = pa.ipc.read_record_batch(content, _SCHEMA)
      self._batches[number] = batch
    return self._batches[number]


def open_batches(path: pathlib.Path, description: Mapping[str, Any]) -> Batches:
  """Opens a file that `ExampleFile` wrote.

  Args:
    path: the file.
    description: what `Batches.describe` returned.
  """
  shots = [
      tuple(suite.Shot(*shot) for shot in group)
      for group in description["shots"]
  ]
  with open(path, "rb") as file:
    return Batches(file, description["rows"], description["ends"], shots)


class Examples:
  """The examples of one or several files, numbered through."""

  def __init__(self, parts: Sequence[Batches]):
    """Takes the files in the order of their rows."""
    sizes = [part.rows[-1] for part in parts]
    before = np.cumsum([0, *sizes]).tolist()
    # The first row of each batch, and where it is.
    self._rows = np.array(
        [
            first + row
            for part, first in zip(parts, before, strict=False)
            for row in part.rows[:-1]
        ],
        np.int64,
    )
    self._batches = [
        (part, number) for part in parts for number in range(len(part.rows) - 1)
    ]
    # Solved examples are numbered in each file.
    self._shots = [shots for part in parts for shots in part.shots]
    first_shots = np.cumsum([0, *(len(part.shots) for part in parts)])
    counts = [len(part.rows) - 1 for part in parts]
    self._first_shots = np.repeat(first_shots[:-1], counts)

  def read(
      self, rows: np.ndarray, task: str, split: str
  ) -> Iterator[suite.Example]:
    """Yields examples by their numbers, as examples of a task and a split."""
    return self.read_labelled(rows, itertools.repeat((task, split), len(rows)))

  def read_labelled(
      self, rows: np.ndarray, labels: Iterable[tuple[str, str]]
  ) -> Iterator[suite.Example]:
    """Yields examples by their numbers.

    Args:
      rows: the numbers, int64 [n].
      labels: the task and the split of each example, [n].
    """
    labels = iter(labels)
    for first in range(0, len(rows), _READ):
      taken = self._take(rows[first : first + _READ])
      for row, (task, split) in zip(taken, labels, strict=False):
        category, definition, text, targets, key, choices, turns, number = row
        yield suite.Example(
            task=task,
            category=category,
            split=split,
            definition=definition,
            input=text,
            targets=tuple(targets),
            key=key,
            shots=self._shots[number],
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
      part, batch = self._batches[number]
      parts.append(part.take(batch, inside))
    table = pa.Table.from_batches(parts)
    shots = table["shots"].to_numpy() + self._first_shots[batch_of[by_batch]]
    columns = [column.to_pylist() for column in table.columns[:-1]]
    selected: list[tuple] = [()] * len(rows)
    for position, row in zip(
        by_batch.tolist(),
        zip(*columns, shots.tolist(), strict=True),
        strict=True,
    ):
      selected[position] = row
    return selected


class ExampleFile:
  """Appends examples to a file, then reads them by number."""

  def __init__(self, scratch: pathlib.Path, name: str = ""):
    """Creates no file yet.

    Args:
      scratch: the directory to create it in; it need not exist.
      name: of the file. By default it has none, and is deleted with this
        object.
    """
    self._scratch = scratch
    self._name = name
    self._file: BinaryIO | None = None
    # The columns of the current batch, and its characters.
    self._columns: list[list[Any]] = [[] for _ in _SCHEMA]
    self._characters = 0
    self._shots: dict[tuple[suite.Shot, ...], int] = {}
    # The first row and the first byte of each batch, and the ends.
    self._rows, self._bytes = [0], [0]

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

  def finish(self) -> Batches:
    """Returns the batches; without a name the last one stays in memory.

    Raises:
      InputError: see `append`.
    """
    if self._name:
      self._write(self._batch().serialize())
    last = self._batch() if self._columns[0] else None
    return Batches(self._file, self._rows, self._bytes, list(self._shots), last)

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
        self._file = self._open()
      written = self._file.write(content)
      if written < content.size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    except OSError as error:
      raise errors.InputError(
          f"{self._scratch}: rows of the source cannot be copied here"
          f" ({error.strerror}). Make room, or use another workdir."
      ) from error
    self._bytes.append(self._bytes[-1] + content.size)

  def _open(self) -> BinaryIO:
    if self._name:
      return open(self._scratch / self._name, "w+b", buffering=0)
    return tempfile.TemporaryFile(dir=self._scratch, buffering=0)

  def __del__(self):
    if self._file is not None:
      self._file.close()
