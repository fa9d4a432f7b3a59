"""Between files and suites: the tasks and examples of one scan of a source.

A source of files defines how rows become examples (`Reader`); a scan finds
their tasks; `suite` does that and everything else that such sources share:
held-out sets, draws and caps, duplicates, bad rows, and notes on them.
Examples are kept in a file until they are drawn (`example_file`); numbers and
digests take 110 bytes of memory a row at the peak.
"""

import collections
from collections.abc import Iterator, Mapping, Sequence
import dataclasses
import pathlib
from typing import Any, Protocol

import numpy as np

from zsgen.core import errors
from zsgen.data import suite as suite_lib
from zsgen.data.sources import (
    bad_rows,
    draws,
    duplicates,
    example_file,
    heldout,
    options,
)
from zsgen.data.sources import groups as groups_lib


class Reader(Protocol):
  """Reads the rows of a source as examples.

  The split of an example is the source's own, or "". A row's number counts all
  rows, bad ones too.
  """

  @property
  def files(self) -> Sequence[pathlib.Path]:
    """All files that the rows depend on."""
    ...

  def read(self) -> Iterator[suite_lib.Example | errors.InputError]:
    """Yields every row, or its error, once.

    Raises:
      InputError: no later row can be read.
    """
    ...

  def locate(self, row: int) -> str:
    """Returns the file and the position of a row, for messages."""
    ...

  def notes(self) -> Mapping[str, Any]:
    """Returns notes on unread parts of the source, for the manifest."""
    ...


@dataclasses.dataclass(frozen=True)
class _Catalog:
  """The tasks of a source, in its order, and the rows of each."""

  reader: Reader
  examples: example_file.ExampleFile
  # Size and time of each file when it was read.
  stamps: Mapping[pathlib.Path, tuple[int, int] | None]
  tasks: Mapping[str, groups_lib.Task]
  digests: duplicates.Digests
  bad_rows: bad_rows.BadRows


def suite(
    name: str,
    reader: Reader,
    data: options.Rows,
    seed: int,
    scratch: pathlib.Path,
    tasks_by_split: Mapping[str, Sequence[str]] | None = None,
    unlabelled: str = "",
) -> suite_lib.Suite:
  """Reads a source and returns the suite that the config describes.

  A task with rows of several splits of its own becomes several tasks: its
  training rows keep the name, others are the task `<task>.<split>`.

  Args:
    name: of the suite.
    reader: of the source.
    data: `heldout` sets, `draw`, `train_instances` and `heldout_instances`
      (the caps of each task), `deduplicate`, `on_bad_row`. A key that came
      before in its task makes a bad row, too.
    seed: draws tasks and instances.
    scratch: the directory for examples until they are drawn.
    tasks_by_split: the tasks of each of the source's own splits, if it names
      them; they set the order, and rows of other tasks are skipped.
    unlabelled: the task of rows that name none.

  Returns:
    The suite; its notes are:
      bad_rows {count, first}: rows left out, and the first five messages.
      duplicates: training rows left out since their text came before.
      absent_tasks {split: count}: tasks without a row.
      unassigned_tasks: tasks that are in no set; unassigned_splits {split:
        count}: the source's own splits of these, "" for none.
      unread_files, unread_fields: what is not read, see `Reader.notes`.
      verbatim {inputs, prompts, tasks}: held-out examples whose input (whose
        definition and input) is in a drawn training example, and how many
        inputs in each of the first five tasks.

  Raises:
    InputError: bad rows, unless they are skipped: names the first five and
      counts them; a file that cannot be read to its end; a split without a
      row; or see `heldout.split`.
  """
  catalog = _scan(reader, data.on_bad_row, scratch, tasks_by_split)
  sets = heldout.split(
      catalog.tasks,
      data.heldout,
      options.heldout_seed(data, seed),
      unlabelled,
      name,
      catalog.bad_rows.explain_absence,
  )
  _check_rows(name, sets, catalog.bad_rows)
  rows = {
      split: {title: task.rows for title, task in tasks.items()}
      for split, tasks in sets.items()
  }
  unassigned = _unassigned(catalog, sets)
  left_out = 0
  if data.deduplicate:
    rows[suite_lib.TRAIN], left_out = duplicates.distinct(
        rows[suite_lib.TRAIN], catalog.digests.wholes
    )
  selected = _draw_rows(rows, data, seed)
  return suite_lib.Suite(
      name=name,
      heldout=tuple(split for split in sets if split != suite_lib.TRAIN),
      examples=lambda: _examples(catalog, selected),
      files=(*catalog.reader.files, *heldout.files(data.heldout)),
      notes={
          **catalog.reader.notes(),
          "bad_rows": catalog.bad_rows.summary(),
          "duplicates": left_out,
          "absent_tasks": _absent(sets),
          "unassigned_tasks": sum(unassigned.values()),
          "unassigned_splits": unassigned,
          "verbatim": duplicates.verbatim(selected, catalog.digests),
      },
  )


def _scan(
    reader: Reader,
    on_bad_row: str,
    scratch: pathlib.Path,
    tasks_by_split: Mapping[str, Sequence[str]] | None,
) -> _Catalog:
  """Reads every row once; see `suite` for the arguments.

  Raises:
    InputError: bad rows, unless they are skipped: names the first five and
      counts them. A file that cannot be read to its end, in any case.
  """
  groups, bad = groups_lib.Groups(tasks_by_split), bad_rows.BadRows()
  examples = example_file.ExampleFile(scratch)
  stamps = {path: _stamp(path) for path in reader.files}
  for row, result in enumerate(reader.read()):
    if isinstance(result, errors.InputError):
      bad.add(result)
      examples.append(groups.add(row, None))
    else:
      examples.append(groups.add(row, result))
  examples.finish()
  tasks = groups.tasks()
  repeated = list(groups.repeated())
  rows = np.array([row for _, row in repeated], np.int64)
  for (task, row), example in zip(
      repeated, examples.read(rows, "", ""), strict=True
  ):
    location = reader.locate(row)
    bad.add(
        bad_rows.BadRow(
            f"{location}: its key {example.key!r} came before in task {task}.",
            task,
        )
    )
  if bad.count and on_bad_row == "error":
    raise bad.error()
  if not any(len(task.rows) for task in tasks.values()):
    raise errors.InputError(
        f"{reader.files[0]}{', …' * (len(reader.files) > 1)}: has no row that"
        f" can be used.{bad.explain_absence('')}".rstrip()
    )
  return _Catalog(reader, examples, stamps, tasks, groups.digests(), bad)


def _stamp(path: pathlib.Path) -> tuple[int, int] | None:
  """Returns size and modification time of a file; None if it is missing."""
  try:
    stat = path.stat()
  except OSError:
    return None
  return stat.st_size, stat.st_mtime_ns


_Sets = Mapping[str, Mapping[str, groups_lib.Task]]


def _check_rows(name: str, sets: _Sets, bad: bad_rows.BadRows) -> None:
  """Raises InputError if a split has no row."""
  for split, tasks in sets.items():
    if not any(len(task.rows) for task in tasks.values()):
      first = next(iter(tasks))
      raise errors.InputError(
          f"the source {name} has no row of the {len(tasks)} tasks of {split},"
          f" such as {first}. Its files do not belong together, or have no"
          f" usable rows.{bad.explain_absence(first)}"
      )


def _absent(sets: _Sets) -> dict[str, int]:
  """Returns how many tasks of each split have no row."""
  return {
      split: sum(not len(task.rows) for task in tasks.values())
      for split, tasks in sets.items()
  }


def _unassigned(catalog: _Catalog, sets: _Sets) -> dict[str, int]:
  """Returns how many tasks of each of the source's own splits are unused."""
  used = {name for tasks in sets.values() for name in tasks}
  return dict(
      collections.Counter(
          task.split for name, task in catalog.tasks.items() if name not in used
      )
  )


def _draw_rows(
    rows: Mapping[str, Mapping[str, np.ndarray]], data: options.Rows, seed: int
) -> dict[str, dict[str, np.ndarray]]:
  """Draws the rows of each task of each split."""
  training = {
      task: len(numbers) for task, numbers in rows[suite_lib.TRAIN].items()
  }
  heldout_counts = {
      task: len(members)
      for split, tasks in rows.items()
      for task, members in tasks.items()
      if split != suite_lib.TRAIN
  }
  caps = data.train_instances, data.heldout_instances
  numbers = draws.draw(
      data.draw, (training, heldout_counts), caps, seed, data.heldout_seed
  )
  for split, set_seed in heldout.seeds(data.heldout).items():
    for task in rows[split]:
      numbers[task] = draws.BY_TASK[data.draw](
          task, heldout_counts[task], data.heldout_instances, set_seed
      )
  return {
      split: {
          task: members[np.asarray(numbers[task], np.int64)]
          for task, members in tasks.items()
      }
      for split, tasks in rows.items()
  }


def _examples(
    catalog: _Catalog, selected: Mapping[str, Mapping[str, np.ndarray]]
) -> Iterator[suite_lib.Example]:
  """Yields the drawn examples, split by split and task by task.

  Raises:
    InputError: a file has changed since it was read.
  """
  for path, stamp in catalog.stamps.items():
    if _stamp(path) != stamp:
      raise errors.InputError(
          f"{path}: changed while the file was read. Run again."
      )
  for split, tasks in selected.items():
    for task, numbers in tasks.items():
      yield from catalog.examples.read(numbers, task, split)
