"""The report on runs of rewrites: `python -m zsgen.rewrites RUNS…`."""

import argparse
from collections.abc import Sequence
import pathlib
import sys

from zsgen.core import chatter, errors, terminal
from zsgen.rewrites import report


def main(arguments: Sequence[str] | None = None) -> int:
  """Writes the report; returns the exit code: 0, or 2 for bad input."""
  options = _parser().parse_args(arguments)
  console = terminal.Console()
  chatter.hide()
  try:
    page, tables, notes = report.write(options.runs, options.out)
  except errors.InputError as error:
    terminal.print_message(error)
    return 2
  for note in notes:
    console.print(note, markup=False)
  for table in tables:
    console.print(table)
  console.print(f"report   {page}", markup=False)
  return 0


def _parser() -> argparse.ArgumentParser:
  parser = argparse.ArgumentParser(
      "python -m zsgen.rewrites", description=__doc__
  )
  parser.add_argument(
      "runs",
      nargs="+",
      type=pathlib.Path,
      metavar="RUNS",
      help="runs, a directory of runs, a workdir, or a sweep's directory",
  )
  parser.add_argument(
      "--out",
      type=pathlib.Path,
      help="output directory; by default, next to the runs",
  )
  return parser


if __name__ == "__main__":
  sys.exit(main())
