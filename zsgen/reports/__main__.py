"""Reports on several runs: `python -m zsgen.reports rewrites RUNS…`."""

import argparse
from collections.abc import Sequence
import pathlib
import sys

import rich.console

from zsgen.core import chatter, errors, terminal
from zsgen.reports import rewrites


def main(arguments: Sequence[str] | None = None) -> int:
  """Writes one report; returns the exit code: 0, or 2 for bad input."""
  options = _parser().parse_args(arguments)
  console = terminal.Console()
  chatter.hide()
  try:
    options.report(options, console)
  except errors.InputError as error:
    terminal.print_message(error)
    return 2
  return 0


def _parser() -> argparse.ArgumentParser:
  parser = argparse.ArgumentParser(
      "python -m zsgen.reports", description=__doc__
  )
  reports = parser.add_subparsers(required=True, metavar="rewrites")
  of_rewrites = reports.add_parser(
      "rewrites", help="accuracy against the number of rules, and targets"
  )
  of_rewrites.add_argument(
      "runs",
      nargs="+",
      type=pathlib.Path,
      metavar="RUNS",
      help="runs, a directory of runs, a workdir, or a sweep's directory",
  )
  of_rewrites.add_argument(
      "--out", type=pathlib.Path, help="directory (beside the runs)"
  )
  of_rewrites.set_defaults(report=_rewrites)
  return parser


def _rewrites(
    options: argparse.Namespace, console: rich.console.Console
) -> None:
  where, tables, said = rewrites.write(options.runs, options.out)
  for line in said:
    console.print(line, markup=False)
  for table in tables:
    console.print(table)
  console.print(f"report   {where}", markup=False)


if __name__ == "__main__":
  sys.exit(main())
