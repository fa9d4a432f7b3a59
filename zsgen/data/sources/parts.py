"""Parts of a source: what a scan of some work items leaves for the draw.

A part is in memory or a directory of
  examples.arrow  the examples, see `example_file`
  rows.npy        groups, digests and sizes of all rows, see `groups.ROW`
  part.json       rows of each item, groups, bad rows, and digests of the files
"""

from collections.abc import Iterator, Mapping, Sequence
import dataclasses
import mmap
import pathlib
from typing import Any, Protocol

import numpy as np

from zsgen.core import artifacts, errors
from zsgen.data import suite as suite_lib
from zsgen.data.sources import bad_rows, example_file, items, unread
from zsgen.data.sources import groups as groups_lib

EXAMPLES = "examples.arrow"
_ROWS = "rows.npy"
_INDEX = "part.json"


class Reader(Protocol):
  """Reads the rows of a source as examples.

  The split of an example is the source's own, or "". A row's number counts all
  rows, bad ones too.
  """

  @property
  def files(self) -> Sequence[pathlib.Path]:
    """All files that the rows depend on."""
    ...

  def file_items(self) -> Sequence[items.Item]:
    """Returns all rows as few work items, in their order."""
    ...

  def work_items(self) -> Sequence[items.Item]:
    """Returns all rows as work items for several workers, in their order."""
    ...

  def read(
      self, item: items.Item, pass_over: Any
  ) -> Iterator[suite_lib.Example | errors.InputError]:
    """Yields every row of an item, or its error.

    Args:
      item: one of `file_items` or of `work_items`.
      pass_over: counts a field that is not read, by its name and a number of
        rows, 1 by default.

    Raises:
      InputError: no later row can be read.
    """
    ...

  def locate(self, item: items.Item, offset: int) -> str:
    """Returns the file and the position of a row of an item, for messages."""
    ...

  def notes(self, unread_fields: Mapping[str, int]) -> Mapping[str, Any]:
    """Returns notes on unread parts of the source, for the manifest.

    Args:
      unread_fields: what `read` passed over.
    """
    ...


@dataclasses.dataclass(frozen=True)
class Part:
  """What a scan of work items found.

  Attributes:
    counts: each item, and its number of rows.
    rows: notes on each row, `groups.ROW` [n].
    groups: the groups of the rows, see `groups.Notes`.
    bad_rows: rows that cannot be used.
    unread_fields: the number of rows that have each field that is not read.
    batches: the examples.
  """

  counts: Sequence[tuple[items.Item, int]]
  rows: np.ndarray
  groups: Mapping[groups_lib.Group, str]
  bad_rows: bad_rows.BadRows
  unread_fields: Mapping[str, int]
  batches: example_file.Batches


def column(scanned: Sequence[Part], name: str) -> np.ndarray:
  """Returns a column of `rows` of all parts, a new array.

  Rows that are mapped from a file stay in memory no longer than that.
  """
  count = sum(len(part.rows) for part in scanned)
  values, first = np.empty(count, groups_lib.ROW[name]), 0
  for part in scanned:
    values[first : first + len(part.rows)] = part.rows[name]
    first += len(part.rows)
    if isinstance(part.rows.base, mmap.mmap):
      part.rows.base.madvise(mmap.MADV_DONTNEED)
  return values


def scan(
    reader: Reader,
    work: Sequence[items.Item],
    examples: example_file.ExampleFile,
    tasks_by_split: groups_lib.TasksBySplit,
) -> Part:
  """Reads every row of work items once.

  Args:
    reader: of the source.
    work: the items, in their order.
    examples: an empty file for the examples.
    tasks_by_split: as `groups.Notes` takes it.

  Raises:
    InputError: a file that cannot be read to its end, or has other rows than
      an item says.
  """
  notes, bad = groups_lib.Notes(tasks_by_split), bad_rows.BadRows()
  fields, counts = unread.Fields(of_part=True), []
  for item in work:
    before = len(notes)
    for result in reader.read(item, fields.add):
      if isinstance(result, errors.InputError):
        bad.add(result)
        examples.append(notes.add(None))
      else:
        examples.append(notes.add(result))
    counts.append((item, len(notes) - before))
    if item.rows not in (items.WHOLE, len(notes) - before):
      raise errors.InputError(
          f"{reader.files[item.file]}: changed since its rows were counted:"
          f" there are {len(notes) - before:,} instead of {item.rows:,} from"
          f" row {item.row:,} on."
      )
  batches = examples.finish()
  return Part(counts, notes.rows(), notes.groups, bad, fields.counts, batches)


def save(part: Part, folder: pathlib.Path, owner: str) -> None:
  """Writes a part next to its file of examples, which is in the folder.

  Args:
    part: what to write.
    folder: has the file EXAMPLES.
    owner: what the part belongs to; no other owner can open it.
  """
  np.save(folder / _ROWS, part.rows)
  index = {
      "counts": part.counts,
      "groups": [[*group, label] for group, label in part.groups.items()],
      "bad_rows": part.bad_rows.to_json(),
      "unread_fields": list(part.unread_fields.items()),
      "batches": part.batches.describe(),
      "files": artifacts.describe_files(folder),
  }
  artifacts.write_sealed(folder / _INDEX, index, owner)


def open_part(folder: pathlib.Path, owner: str, thorough: bool = False) -> Part:
  """Opens a part that `save` wrote.

  Args:
    folder: its directory.
    owner: as for `save`.
    thorough: whether to hash its files.

  Raises:
    InputError: it is damaged, or belongs to another owner.
  """
  advice = f"Delete {folder} to have it scanned again."
  index = artifacts.read_sealed(folder / _INDEX, owner, advice)
  for name, written in index["files"].items():
    file = folder / name
    is_same = file.is_file() and file.stat().st_size == written["bytes"]
    if is_same and thorough:
      is_same = artifacts.file_digest(file) == written["sha256"]
    if not is_same:
      raise errors.InputError(f"{file}: is damaged or missing. {advice}")
  return Part(
      [(items.Item(*item), count) for item, count in index["counts"]],
      artifacts.load_array(folder / _ROWS, mmap_mode="r"),
      {(task, split): label for task, split, label in index["groups"]},
      bad_rows.BadRows.from_json(index["bad_rows"]),
      dict(index["unread_fields"]),
      example_file.open_batches(folder / EXAMPLES, index["batches"]),
  )
