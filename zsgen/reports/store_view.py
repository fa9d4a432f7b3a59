"""Prints examples of a store: `python -m zsgen.data show STORE`."""

import argparse
from collections.abc import Sequence

import numpy as np
import rich.table
import rich.text

from zsgen.core import chatter, errors, terminal
from zsgen.data import store as store_lib
from zsgen.data import tokenizers
from zsgen.reports import batch_view
from zsgen.train import bucket_paths


def main(arguments: Sequence[str] | None = None) -> int:
  """Prints examples; returns the exit code: 0, or 2 for bad input."""
  options = _parser().parse_args(arguments)
  console = terminal.Console()
  chatter.hide()
  try:
    store = store_lib.open_store(bucket_paths.open_copy(options.path))
    tasks = [_task(store, name) for name in options.task]
    if options.dropped:
      console.print(_describe_dropped(store, options.task))
    else:
      selected = select(store, tasks, options.cut)
      console.print(view(store, selected[: options.head]))
      console.print(f"{min(options.head, len(selected))} of {len(selected):,}")
  except errors.InputError as error:
    terminal.print_message(error)
    return 2
  return 0


def _parser() -> argparse.ArgumentParser:
  """Returns the parser of the tool."""
  parser = argparse.ArgumentParser(
      "python -m zsgen.data show",
      description=(
          "Prints examples of a store as a model reads them: tokens with loss"
          " are between ⟦ and ⟧."
      ),
  )
  parser.add_argument("path", metavar="STORE")
  parser.add_argument(
      "--task",
      action="append",
      default=[],
      help="only this task; may be given several times",
  )
  parser.add_argument(
      "--head", type=int, default=10, help="number of examples to print (10)"
  )
  which = parser.add_mutually_exclusive_group()
  which.add_argument(
      "--cut",
      action="store_true",
      help="only examples that lost answer tokens to config.data.max_length",
  )
  which.add_argument(
      "--dropped",
      action="store_true",
      help="the number of examples of each task that are not in the store",
  )
  return parser


def _task(store: store_lib.Store, name: str) -> int:
  """Returns the position of a task in `store.tasks`.

  Raises:
    InputError: the store has no such task.
  """
  positions = {task: i for i, task in enumerate(store.tasks)}
  return errors.choose(positions, name, f"--task: {store.path}")


def select(
    store: store_lib.Store, tasks: Sequence[int], is_cut: bool
) -> np.ndarray:
  """Returns ids of examples, ascending, int64 [n].

  Args:
    store: has the examples.
    tasks: positions in `store.tasks`; [] for all.
    is_cut: whether to leave out examples with all of their answer tokens.

  Raises:
    InputError: the store does not record what was cut.
  """
  ids = np.arange(store.examples)
  if tasks:
    ids = ids[np.isin(store.task_index[ids], tasks)]
  return ids[store.cut(ids, "answer_cut")] if is_cut else ids


def view(store: store_lib.Store, ids: np.ndarray) -> rich.text.Text:
  """Formats examples with their ids, keys and tasks; see `batch_view.marked`."""
  tokenizer = tokenizers.load(store.path / store_lib.TOKENIZER)
  text = rich.text.Text()
  for i, key in zip(ids.tolist(), store.keys(ids), strict=True):
    row = store.row(i)
    counts = f"{len(row.tokens)} tokens, {int(row.mask.sum())} with loss"
    task = store.tasks[store.task_index[i]]
    text.append(f"id {i}  {task}  {key}  {counts}\n", "bold cyan")
    text.append_text(batch_view.marked(row, tokenizer))
    text.append("\n\n")
  return text


def _describe_dropped(
    store: store_lib.Store, names: Sequence[str]
) -> rich.table.Table | str:
  """Returns a table of dropped examples, the task with most of them first."""
  counts = store.manifest["dropped_by_task"]
  sizes = dict(zip(store.tasks, np.bincount(store.task_index), strict=True))
  table = rich.table.Table(
      caption=(
          "Dropped examples have no answer, or lost all of it to"
          " config.data.max_length. Their texts are only in the source."
      ),
  )
  for heading in ("task", "dropped", "kept"):
    table.add_column(heading, no_wrap=heading != "task")
  for task, count in sorted(counts.items(), key=lambda item: -item[1]):
    if not names or task in names:
      table.add_row(task, f"{count:,}", f"{sizes.get(task, 0):,}")
  return table if table.row_count else "No example was dropped."
