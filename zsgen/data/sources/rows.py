"""Rows of the files of a source: scanned once, then read one by one.

JSON that is not packed is read where it stands. Rows of all other files are
copied, as lines of JSON, to one file without a name in the scratch directory.
Either way a row costs 12 bytes of memory.
"""

import array
import bisect
from collections.abc import Callable, Iterator, Sequence
import contextlib
import io
import json
import pathlib
import tempfile
from typing import Any, BinaryIO, NamedTuple

import pyarrow as pa

from zsgen import errors
from zsgen.data import suite
from zsgen.data.sources import columns as columns_lib
from zsgen.data.sources import files, json_rows, lines, records, separated

_TEXTS = {
    "array": json_rows.scan,
    "lines": lines.scan,
    "csv": separated.comma,
    "tsv": separated.tab,
}
_COLUMNS = {"parquet": columns_lib.parquet, "arrow": columns_lib.arrow}


class Origin(NamedTuple):
  """Where a row comes from."""

  file: files.File
  # Its number in the file, from 0; blank lines are not counted.
  number: int
  # File and position, for messages.
  place: str
  # Names the row in the source, where it has no id of its own.
  key: str


Convert = Callable[[Any, Origin], suite.Example]


class Rows:
  """The rows of several files as examples, by number.

  Attributes:
    files: the files.
  """

  def __init__(
      self,
      found: Sequence[files.File],
      convert: Convert,
      scratch: pathlib.Path,
      columns: Sequence[str],
  ):
    """Reads nothing yet.

    Args:
      found: the files.
      convert: makes an example of a row; raises InputError if it cannot.
      scratch: directory for what cannot be read where it stands.
      columns: those that `convert` reads, of files that are in columns.
    """
    self.files = tuple(file.path for file in found)
    self._found = found
    self._convert = convert
    self._columns = columns
    self._firsts: list[int] = []
    self._begins = array.array("q")
    self._lengths = array.array("I")
    self._copies = _Copies(scratch)
    self._open: tuple[int, BinaryIO] | None = None

  def scan(self) -> Iterator[suite.Example | errors.InputError]:
    """Every row, or what is wrong with it; then rows can be read by number.

    Raises:
      InputError: a file that cannot be read on.
    """
    for file in self._found:
      self._firsts.append(len(self._begins))
      try:
        for row in _scan(file, self._columns):
          yield self._example(row)
        self._copies.flush()
      except OSError as error:
        raise errors.InputError(
            f"{file.path}: cannot be read ({error})."
        ) from error

  def _example(self, row: records.Row) -> suite.Example | errors.InputError:
    """The row as an example; remembers where it can be read again."""
    begin, length = max(row.begin, 0), row.length
    # Remembered before anything fails: numbers go by rows, bad ones too.
    self._begins.append(begin)
    self._lengths.append(length)
    if isinstance(row.value, errors.InputError):
      return row.value
    if length > records.LONGEST:
      return records.too_long(row.place)
    try:
      origin = self._origin(len(self._begins) - 1, row.place)
      example = records.usable(self._convert(row.value, origin), row.place)
      if row.begin < 0:
        copy = self._copies.add(row.value, row.place)
        self._begins[-1], self._lengths[-1] = copy
    except errors.InputError as error:
      return error
    return example

  def _origin(self, row: int, place: str = "") -> Origin:
    """Where the row of this number comes from."""
    index = bisect.bisect_right(self._firsts, row) - 1
    file, number = self._found[index], row - self._firsts[index]
    several = len(self._found) > 1
    return Origin(
        file=file,
        number=number,
        place=place or f"{file.path}: row {number}",
        key=f"{file.name}:{number}" if several else str(number),
    )

  def place(self, row: int) -> str:
    """File and number of a row, for messages."""
    return self._origin(row).place

  def read(self, row: int) -> suite.Example:
    """A row that was scanned and found good, by its number over all files.

    Raises:
      InputError: the file is not what was scanned.
    """
    origin = self._origin(row)
    begin, length = self._begins[row], self._lengths[row]
    try:
      if _in_place(origin.file):
        file = self._opened(bisect.bisect_right(self._firsts, row) - 1)
        file.seek(begin)
        text = file.read(length)
      else:
        text = self._copies.read(begin, length)
      return self._convert(json.loads(text.decode()), origin)
    except (errors.InputError, OSError, ValueError) as error:
      raise errors.InputError(
          f"{origin.place} changed while the file was read ({error}). Run"
          " again."
      ) from error

  def _opened(self, index: int) -> BinaryIO:
    """The file of this number; one is open at a time."""
    if self._open is None or self._open[0] != index:
      if self._open is not None:
        self._open[1].close()
      self._open = index, open(self._found[index].path, "rb")
    return self._open[1]

  def __del__(self):
    if self._open is not None:
      self._open[1].close()


class _Copies:
  """Rows as lines of JSON in a file that goes when it is closed."""

  def __init__(self, scratch: pathlib.Path):
    self._scratch = scratch
    self._file: BinaryIO | None = None
    self._end = 0

  def add(self, value: Any, place: str) -> tuple[int, int]:
    """Adds a row; returns its first byte and its length."""
    line = json.dumps(value, default=str).encode() + b"\n"
    if len(line) > records.LONGEST:
      raise records.too_long(place)
    with self._named():
      if self._file is None:
        self._scratch.mkdir(parents=True, exist_ok=True)
        self._file = tempfile.TemporaryFile(dir=self._scratch)
      self._file.write(line)
    self._end += len(line)
    return self._end - len(line), len(line)

  def flush(self) -> None:
    """Writes what is held back, so that reading meets no full disk."""
    with self._named():
      if self._file is not None:
        self._file.flush()

  @contextlib.contextmanager
  def _named(self) -> Iterator[None]:
    """Errors name the directory: the file has no name."""
    try:
      yield
    except OSError as error:
      raise OSError(error.errno, error.strerror, str(self._scratch)) from error

  def read(self, begin: int, length: int) -> bytes:
    """A row's line."""
    self._file.seek(begin)
    return self._file.read(length)

  def __del__(self):
    if self._file is not None:
      with contextlib.suppress(OSError):  # What a full disk did not take.
        self._file.close()


def _in_place(file: files.File) -> bool:
  """Whether the file's rows can be read where they stand."""
  return not file.packed and file.format in ("lines", "json", "array")


def _scan(file: files.File, columns: Sequence[str]) -> Iterator[records.Row]:
  """Every row of a file."""
  if file.format in _COLUMNS:
    yield from _COLUMNS[file.format](file.path, columns)
    return
  kind = file.format
  if kind == "json":
    kind = "array" if _is_array(file) else "lines"
  with _stream(file) as stream:
    for row in _TEXTS[kind](stream, file.path):
      yield row if _in_place(file) else row._replace(begin=-1, length=0)


def _stream(file: files.File) -> io.BufferedReader:
  """The file's bytes, unpacked."""
  if file.packed:
    packed = pa.input_stream(str(file.path), compression=file.packed)
    return io.BufferedReader(packed, 1 << 16)
  return open(file.path, "rb")


def _is_array(file: files.File) -> bool:
  """Whether a .json file is an array, not lines of JSON."""
  with _stream(file) as stream:
    begin = stream.read(1 << 12).removeprefix(b"\xef\xbb\xbf").lstrip()
  return not begin.startswith(b"{")
