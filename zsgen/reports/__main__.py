"""Pages on several runs: `python -m zsgen.reports arrangement SWEEPS…`."""

import argparse
from collections.abc import Sequence
import pathlib
import sys

from zsgen.core import chatter, errors, terminal
from zsgen.reports import arrangement


def main(arguments: Sequence[str] | None = None) -> int:
  """Writes a page; returns the exit code: 0, or 2 for bad input."""
  options = _parser().parse_args(arguments)
  console = terminal.Console()
  chatter.hide()
  try:
    page, tables, notices = arrangement.write(options.sweeps, options.out)
  except errors.InputError as error:
    terminal.print_message(error)
    return 2
  for notice in notices:
    console.print(notice, markup=False)
  for table in tables:
    console.print(table)
  console.print(f"report   {page}", markup=False)
  return 0


def _parser() -> argparse.ArgumentParser:
  parser = argparse.ArgumentParser(
      "python -m zsgen.reports", description=__doc__
  )
  pages = parser.add_subparsers(required=True, metavar="PAGE")
  arrangement_parser = pages.add_parser(
      "arrangement",
      help="the experiments of 2406.11721 beside the published curves",
  )
  arrangement_parser.add_argument(
      "sweeps",
      nargs="+",
      type=pathlib.Path,
      metavar="SWEEPS",
      help="directories of sweeps of configs/arrangement, or workdirs",
  )
  arrangement_parser.add_argument(
      "--out",
      type=pathlib.Path,
      help="output directory; by default, in the workdir",
  )
  return parser


if __name__ == "__main__":
  sys.exit(main())
