"""The command line of pages and tables on several runs."""

import argparse
from collections.abc import Callable, Sequence
import enum
import pathlib

import rich.table

from zsgen.core import chatter, errors, schema, storage, terminal
from zsgen.train import bucket_paths

# Writes a page, or a directory of tables; returns its path, closing tables, and
# lines on what it lacks.
Write = Callable[
    [Sequence[pathlib.Path], pathlib.Path | None],
    tuple[pathlib.Path, list[rich.table.Table], list[str]],
]


class Buckets(enum.Enum):
  """What the inputs of a page may be in buckets.

  Attributes:
    READ: its page goes to the current directory, unless there is --out.
    READ_WITH_OUT: without --out, its page would go into the bucket.
    REFUSED: it reads and links other pages.
  """

  READ = enum.auto()
  READ_WITH_OUT = enum.auto()
  REFUSED = enum.auto()


def add_arguments(
    parser: argparse.ArgumentParser,
    metavar: str,
    paths: str,
    out: str,
    out_help: str = "output directory",
) -> None:
  """Adds the arguments of a command: its inputs, and --out.

  Args:
    parser: the command's parser.
    metavar: what the inputs are called, such as "RUNS".
    paths: describes the inputs.
    out: the default of --out, in words.
    out_help: what --out is.
  """
  parser.add_argument("paths", nargs="+", metavar=metavar, help=paths)
  parser.add_argument(
      "--out",
      type=pathlib.Path,
      help=f"{out_help}; by default, {out}",
  )


def write_output(
    write: Write,
    paths: Sequence[str],
    out: pathlib.Path | None,
    buckets: Buckets,
    topic: str = "report",
) -> int:
  """Writes a page, or tables, and prints what was written, and where.

  Args:
    write: writes it.
    paths: its inputs, local or in buckets.
    out: as `write` takes it.
    buckets: which of its inputs may be in buckets.
    topic: what is written, the first word of the last line.

  Returns:
    The exit code: 0, or 2 for bad input, which is one message.
  """
  console = terminal.Console()
  chatter.hide()
  try:
    for path in paths:
      _check_path(path, out, buckets)
    copies = [bucket_paths.open_copy(path) for path in paths]
    output, tables, notices = write(copies, out)
  except errors.InputError as error:
    terminal.print_message(error)
    return 2
  for notice in notices:
    console.print(storage.public(notice), markup=False)
  for table in tables:
    console.print(table)
  console.print(f"{topic:8} {output}", markup=False)
  return 0


def _check_path(path: str, out: pathlib.Path | None, buckets: Buckets) -> None:
  """Raises InputError for an input in a bucket that the page cannot have."""
  if buckets is Buckets.REFUSED:
    schema.check_local(path, "the path")
  if buckets is Buckets.READ_WITH_OUT and out is None and storage.is_url(path):
    raise errors.InputError(
        f"{path}: is only read, and the page goes next to it by default. Name a"
        " local directory for the page: --out=DIRECTORY."
    )
  if out is not None:
    schema.check_local(str(out), "--out")
