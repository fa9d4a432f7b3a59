"""Between files and suites: the tasks and examples of a source.

A source of files is a `Corpus`: it defines how rows become examples. A scan of
all its parts finds their tasks; `draw` does that and everything else that such
sources share: held-out sets, draws and caps, duplicates, bad rows, and notes on
them. Examples are kept in files until they are drawn (`example_file`); numbers
and digests take 100 bytes of memory a row at the peak.
"""

import collections
from collections.abc import Callable, Iterator, Mapping, Sequence
import dataclasses
import functools
import pathlib

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
    parts,
    unread,
)
from zsgen.data.sources import groups as groups_lib


@dataclasses.dataclass(frozen=True)
class Corpus:
  """A source that is not scanned yet.

  A task with rows of several splits of its own becomes several tasks: its
  training rows keep the name, others are the task `<task>.<split>`.

  Attributes:
    name: of the suite.
    reader: of the rows.
    data: `heldout` sets, `draw`, `train_instances` and `heldout_instances`
      (the caps of each task), `deduplicate`, `on_bad_row`. A key that came
      before in its task makes a bad row, too.
    seed: draws tasks and instances.
    tasks_by_split: the tasks of each of the source's own splits, if it names
      them; they set the order, and rows of other tasks are skipped.
    unlabelled: the task of rows that name none.
  """

  name: str
  reader: parts.Reader
  data: options.Rows
  seed: int
  tasks_by_split: groups_lib.TasksBySplit = None
  unlabelled: str = ""

  @property
  def files(self) -> tuple[pathlib.Path, ...]:
    """All files that the suite depends on."""
    return (*self.reader.files, *heldout.files(self.data.heldout))


@dataclasses.dataclass(frozen=True)
class Drawn:
  """The rows that a suite has.

  Attributes:
    suite: the suite. Its notes are:
      bad_rows {count, first}: rows left out, and the first five messages.
      duplicates: training rows left out since their text came before.
      absent_tasks {split: count}: tasks without a row.
      unassigned_tasks: tasks that are in no set; unassigned_splits {split:
        count}: the source's own splits of these, "" for none.
      unread_files, unread_fields: what is not read, see `parts.Reader`.
      verbatim {inputs, prompts, tasks}: held-out examples whose input (whose
        definition and input) is in a drawn training example, and how many
        inputs in each of the first five tasks.
    rows: of each task of each split, in their sequence.
    examples: of all rows.
    column: returns a column of `groups.ROW` of all rows.
    check: raises InputError if a file has changed since it was scanned.
  """

  suite: suite_lib.Suite
  rows: Mapping[str, Mapping[str, np.ndarray]]
  examples: example_file.Examples
  column: Callable[[str], np.ndarray]
  check: Callable[[], None]


def suite(corpus: Corpus, scratch: pathlib.Path) -> suite_lib.Suite:
  """Scans a source and returns the suite; see `scan_and_draw`."""
  return scan_and_draw(corpus, scratch).suite


def scan_and_draw(corpus: Corpus, scratch: pathlib.Path) -> Drawn:
  """Reads every row of a source once, and draws those of the suite.

  Args:
    corpus: the source.
    scratch: the directory for examples until they are drawn.

  Raises:
    InputError: a file that cannot be read to its end, or see `draw`.
  """
  reader = corpus.reader
  stamps = {path: _stamp(path) for path in reader.files}
  file = example_file.ExampleFile(scratch)
  part = parts.scan(reader, reader.file_items(), file, corpus.tasks_by_split)

  def check_unchanged() -> None:
    """Raises InputError if a file has changed since the scan began."""
    for path, stamp in stamps.items():
      if _stamp(path) != stamp:
        raise errors.InputError(
            f"{path}: changed while the file was read. Run again."
        )

  return draw(corpus, [part], check_unchanged)


def draw(
    corpus: Corpus,
    scanned: Sequence[parts.Part],
    check: Callable[[], None] = lambda: None,
) -> Drawn:
  """Draws the rows of the suite that the config describes.

  Args:
    corpus: the source.
    scanned: all parts of it, in their order.
    check: is called before examples are read; raises InputError if they must
      not be.

  Raises:
    InputError: bad rows, unless they are skipped: names the first five and
      counts them; a split without a row; or see `heldout.split`.
  """
  name, data = corpus.name, corpus.data
  examples = example_file.Examples([part.batches for part in scanned])
  tasks, bad = _tasks(corpus, scanned, examples)
  sets = heldout.split(
      tasks,
      data.heldout,
      options.heldout_seed(data, corpus.seed),
      corpus.unlabelled,
      name,
      bad.explain_absence,
  )
  _check_rows(name, sets, bad)
  rows = {
      split: {title: task.rows for title, task in members.items()}
      for split, members in sets.items()
  }

  column = functools.partial(parts.column, scanned)
  left_out = 0
  if data.deduplicate:
    rows[suite_lib.TRAIN], left_out = duplicates.distinct(
        rows[suite_lib.TRAIN], column("whole")
    )
  selected = _draw_rows(rows, data, corpus.seed)
  unassigned = _unassigned(tasks, sets)
  drawn_suite = suite_lib.Suite(
      name=name,
      heldout=tuple(split for split in sets if split != suite_lib.TRAIN),
      examples=lambda: _examples(examples, selected, check),
      files=corpus.files,
      notes={
          **corpus.reader.notes(_unread_fields(scanned)),
          "bad_rows": bad.summary(),
          "duplicates": left_out,
          "absent_tasks": _absent(sets),
          "unassigned_tasks": sum(unassigned.values()),
          "unassigned_splits": unassigned,
          "verbatim": duplicates.verbatim(selected, column),
      },
  )
  return Drawn(drawn_suite, selected, examples, column, check)


def _tasks(
    corpus: Corpus,
    scanned: Sequence[parts.Part],
    examples: example_file.Examples,
) -> tuple[dict[str, groups_lib.Task], bad_rows.BadRows]:
  """Returns all tasks of a source, and its bad rows.

  Raises:
    InputError: bad rows, unless they are skipped: names the first five and
      counts them; or no row at all.
  """
  bad = bad_rows.BadRows()
  for part in scanned:
    bad.update(part.bad_rows)
  groups = groups_lib.Groups(
      [(len(part.rows), part.groups) for part in scanned],
      functools.partial(parts.column, scanned),
      corpus.tasks_by_split,
  )
  tasks = groups.tasks()
  for error in _repeated(corpus.reader, scanned, examples, groups):
    bad.add(error)
  if bad.count and corpus.data.on_bad_row == "error":
    raise bad.error()
  if not any(len(task.rows) for task in tasks.values()):
    files = corpus.reader.files
    raise errors.InputError(
        f"{files[0]}{', …' * (len(files) > 1)}: has no row that"
        f" can be used.{bad.explain_absence('')}".rstrip()
    )
  return tasks, bad


def _repeated(
    reader: parts.Reader,
    scanned: Sequence[parts.Part],
    examples: example_file.Examples,
    groups: groups_lib.Groups,
) -> Iterator[bad_rows.BadRow]:
  """Yields the error of each row whose key came before in its task."""
  repeated = list(groups.repeated())
  counts = [entry for part in scanned for entry in part.counts]
  firsts = np.cumsum([0, *(count for _, count in counts)])
  rows = np.array([row for _, row in repeated], np.int64)
  for (task, row), example in zip(
      repeated, examples.read(rows, "", ""), strict=True
  ):
    number = int(np.searchsorted(firsts, row, side="right")) - 1
    location = reader.locate(counts[number][0], row - int(firsts[number]))
    yield bad_rows.BadRow(
        f"{location}: its key {example.key!r} came before in task {task}.",
        task,
    )


def _unread_fields(scanned: Sequence[parts.Part]) -> dict[str, int]:
  """Returns the number of rows that have each field that is not read."""
  fields = unread.Fields()
  for part in scanned:
    for name, rows in part.unread_fields.items():
      fields.add(name, rows)
  return fields.counts


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


def _unassigned(
    tasks: Mapping[str, groups_lib.Task], sets: _Sets
) -> dict[str, int]:
  """Returns how many tasks of each of the source's own splits are unused."""
  used = {name for members in sets.values() for name in members}
  return dict(
      collections.Counter(
          task.split for name, task in tasks.items() if name not in used
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
    examples: example_file.Examples,
    selected: Mapping[str, Mapping[str, np.ndarray]],
    check: Callable[[], None],
) -> Iterator[suite_lib.Example]:
  """Yields the drawn examples, split by split and task by task.

  Raises:
    InputError: a file has changed since it was read.
  """
  check()
  for split, tasks in selected.items():
    for task, numbers in tasks.items():
      yield from examples.read(numbers, task, split)
