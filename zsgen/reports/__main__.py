"""Pages on several runs: `python -m zsgen.reports arrangement SWEEPS…`."""

import argparse
from collections.abc import Sequence
import sys

from zsgen.reports import arrangement, command, front_page


def main(arguments: Sequence[str] | None = None) -> int:
  """Writes a page; returns the exit code: 0, or 2 for bad input."""
  options = _parser().parse_args(arguments)
  return command.write_page(options.write, options.paths, options.out)


def _parser() -> argparse.ArgumentParser:
  parser = argparse.ArgumentParser(
      "python -m zsgen.reports", description=__doc__
  )
  pages = parser.add_subparsers(required=True, metavar="PAGE")
  on_arrangement = pages.add_parser(
      "arrangement",
      help="the experiments of 2406.11721 beside the published curves",
  )
  command.add_arguments(
      on_arrangement,
      "SWEEPS",
      "directories of sweeps of configs/arrangement, or workdirs",
      "in the workdir",
  )
  on_arrangement.set_defaults(write=arrangement.write)
  front = pages.add_parser(
      "front",
      help="one page that links the pages on both papers, with their targets",
  )
  command.add_arguments(
      front, "WORKDIRS", "workdirs with such pages", "reports in the first one"
  )
  front.set_defaults(write=front_page.write)
  return parser


if __name__ == "__main__":
  sys.exit(main())
