"""The plan of a store: its rows in their order, and where chunks end.

It follows from a scan of the whole source and from the config, whoever encodes
the chunks and however many processes do. Memory for a row is 8 bytes; what is
read from a saved plan is mapped.
"""

import bisect
from collections.abc import Callable, Iterator
import itertools
import pathlib
from typing import NamedTuple

import numpy as np

from zsgen.core import artifacts
from zsgen.data import choices, chunks
from zsgen.data import suite as suite_lib
from zsgen.data.sources import catalog, example_file

_INDEX = "plan.json"
_ARRAYS = ("rows", "answers", "borders")
# Rows whose characters are listed at a time.
_BATCH = 1 << 16


class Span(NamedTuple):
  """Rows of a task that come one after another.

  Attributes:
    split: of the task.
    task: its name.
    count: the number of rows.
    has_choices: whether they are the choices of examples of the task.
  """

  split: str
  task: str
  count: int
  has_choices: bool


class Plan:
  """The rows of a store; an `encoding.Work`.

  Attributes:
    outline: the suite that the rows are of.
  """

  def __init__(
      self,
      outline: suite_lib.Outline,
      spans: list[Span],
      arrays: dict[str, np.ndarray],
      examples: example_file.Examples,
      check: Callable[[], None] = lambda: None,
  ):
    """Takes what `build` or `open_plan` read.

    Args:
      outline: the suite that the rows are of.
      spans: the tasks of the rows, in their order.
      arrays: `rows`, the number of each row in the source, or of the example
        that it is a choice of, int64 [N]; `answers`, the number of each choice
        among those of its example, int32 [C]; `borders`, the first row of each
        chunk, and N, int64 [chunks + 1].
      examples: of all rows of the source.
      check: is called before examples are read; raises InputError if they must
        not be.
    """
    self.outline = outline
    self._spans = spans
    self._arrays = arrays
    self._examples = examples
    self._check = check
    self._firsts = [0, *itertools.accumulate(span.count for span in spans)]
    self._first_choice = sum(s.count for s in spans if not s.has_choices)

  def __len__(self) -> int:
    """Returns the number of chunks."""
    return len(self._arrays["borders"]) - 1

  def batches(self, first: int = 0) -> Iterator[list[suite_lib.Example]]:
    """Yields the examples of the chunks from number `first` on."""
    self._check()
    for number in range(first, len(self)):
      yield self.batch(number)

  def batch(self, number: int) -> list[suite_lib.Example]:
    """Returns the examples of a chunk."""
    begin, end = self._arrays["borders"][number : number + 2].tolist()
    # All at once: many tasks have a few rows each.
    rows = np.asarray(self._arrays["rows"][begin:end])
    labels = self._labels(begin, end)
    batch = list(self._examples.read_labelled(rows, labels))
    firsts = (max(row - self._first_choice, 0) for row in (begin, end))
    answers = self._arrays["answers"][slice(*firsts)].tolist()
    for position, answer in enumerate(answers, len(batch) - len(answers)):
      expanded = choices.expand(batch[position])
      batch[position] = next(itertools.islice(expanded, answer, None))
    return batch

  def save(self, folder: pathlib.Path, owner: str) -> None:
    """Writes the plan to an empty directory.

    Args:
      folder: the directory.
      owner: what the plan belongs to; no other owner can open it.
    """
    for name, array in self._arrays.items():
      np.save(folder / f"{name}.npy", array)
    index = {
        "name": self.outline.name,
        "heldout": self.outline.heldout,
        "notes": self.outline.notes,
        "spans": self._spans,
        "files": artifacts.describe_files(folder),
    }
    artifacts.write_sealed(folder / _INDEX, index, owner)

  def _labels(self, begin: int, end: int) -> Iterator[tuple[str, str]]:
    """Yields task and split of each of the rows."""
    for index in range(
        bisect.bisect(self._firsts, begin) - 1, len(self._spans)
    ):
      first, stop = self._firsts[index : index + 2]
      span = self._spans[index]
      count = max(min(stop, end) - max(first, begin), 0)
      yield from itertools.repeat((span.task, span.split), count)


def build(selection: catalog.Drawn) -> Plan:
  """Returns the plan of the rows that were drawn.

  Raises:
    InputError: two held-out sets cannot both have choices.
  """
  spans = [
      Span(split, task, len(rows), False)
      for split, tasks in selection.rows.items()
      for task, rows in tasks.items()
  ]
  rows = [rows for tasks in selection.rows.values() for rows in tasks.values()]
  sizes = selection.column("characters")
  characters = [sizes[numbers] for numbers in rows]
  answers = [np.zeros(0, np.int32)]
  for span, numbers, numbered, lengths in _choices(selection):
    spans.append(span)
    rows.append(numbers)
    answers.append(numbered)
    characters.append(lengths)
  arrays = {
      "rows": np.concatenate([np.zeros(0, np.int64), *rows]),
      "answers": np.concatenate(answers),
      "borders": _borders(characters),
  }
  return Plan(
      selection.suite.outline,
      spans,
      arrays,
      selection.examples,
      selection.check,
  )


def open_plan(
    folder: pathlib.Path,
    owner: str,
    files: tuple[pathlib.Path, ...],
    examples: example_file.Examples,
) -> Plan:
  """Opens a plan that `Plan.save` wrote.

  Args:
    folder: its directory.
    owner: as for `Plan.save`.
    files: what the suite is read from.
    examples: of all rows of the source.

  Raises:
    InputError: it is damaged, or belongs to another owner.
  """
  advice = f"Delete {folder} to have it made again."
  index = artifacts.read_sealed(folder / _INDEX, owner, advice)
  artifacts.check_files(folder, index["files"])
  outline = suite_lib.Outline(
      index["name"], tuple(index["heldout"]), files, index["notes"]
  )
  arrays = {
      name: artifacts.load_array(folder / f"{name}.npy", mmap_mode="r")
      for name in _ARRAYS
  }
  spans = [Span(*span) for span in index["spans"]]
  return Plan(outline, spans, arrays, examples)


def _choices(
    selection: catalog.Drawn,
) -> Iterator[tuple[Span, np.ndarray, np.ndarray, np.ndarray]]:
  """Yields the choices of each held-out task that has some.

  Yields:
    Their span, the row of their example, their number and their characters.
  """
  counts = selection.column("choices")
  for split, tasks in selection.rows.items():
    for task, rows in tasks.items():
      answered = rows[counts[rows] > 0]
      if split == suite_lib.TRAIN or not len(answered):
        continue
      choices.check_name(split, selection.suite.heldout)
      lengths = [
          choice.count_characters()
          for example in selection.examples.read(answered, task, split)
          for choice in choices.expand(example)
      ]
      numbers = [np.arange(n, dtype=np.int32) for n in counts[answered]]
      yield (
          Span(split, task, len(lengths), True),
          np.repeat(answered, counts[answered]),
          np.concatenate(numbers),
          np.array(lengths, np.int64),
      )


def _borders(characters: list[np.ndarray]) -> np.ndarray:
  """Returns the first row of each chunk, and the number of rows, int64."""
  sizes = (
      size
      for array in characters
      for first in range(0, len(array), _BATCH)
      for size in array[first : first + _BATCH].tolist()
  )
  count, borders = 0, [0]
  for count, is_last in enumerate(chunks.find_ends(sizes), 1):
    if is_last:
      borders.append(count)
  if borders[-1] != count:
    borders.append(count)
  return np.array(borders, np.int64)
