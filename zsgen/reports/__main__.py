"""Pages and tables on runs: `python -m zsgen.reports compare PATHS…`."""

import argparse
from collections.abc import Sequence
import functools
import pathlib
import sys

from zsgen.reports import (
    arrangement,
    command,
    comparison_command,
    front_page,
    trajectory_command,
)


def main(arguments: Sequence[str] | None = None) -> int:
  """Writes pages or tables; returns the exit code: 0, or 2 for bad input."""
  options = vars(_parser().parse_args(arguments))
  names = ("write", "paths", "out", "buckets", "topic")
  write, paths, out, buckets, topic = (options.pop(name) for name in names)
  # The others are options of `write`.
  write = functools.partial(write, **options)
  return command.write_output(write, paths, out, buckets, topic)


def _parser() -> argparse.ArgumentParser:
  parser = argparse.ArgumentParser(
      "python -m zsgen.reports", description=__doc__
  )
  parser.set_defaults(topic="report")
  pages = parser.add_subparsers(required=True, metavar="PAGE")
  compare = pages.add_parser(
      "compare",
      help="finished runs, sweeps and evaluations: curves, paired differences,"
      " options that differ, and the numbers as CSV and Parquet",
  )
  command.add_arguments(
      compare,
      "PATHS",
      "runs, evaluations, sweeps, directories of these, or workdirs",
      "comparison.html in the current directory",
      out_help="the page, a file that ends in .html",
  )
  compare.add_argument(
      "--reference",
      default="",
      help="the label that others are compared with; by default, random or the"
      " first one",
  )
  compare.add_argument(
      "--figures",
      type=pathlib.Path,
      metavar="DIR",
      help="also write each figure for a paper, as PNG and SVG, to a directory",
  )
  compare.set_defaults(
      write=comparison_command.write, buckets=command.Buckets.READ
  )
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
  on_arrangement.set_defaults(
      write=arrangement.write, buckets=command.Buckets.READ_WITH_OUT
  )
  steps = pages.add_parser(
      "trajectory",
      help="the ids that runs consumed at each step, and the losses of held-out"
      " and probe examples, as Parquet files",
  )
  command.add_arguments(
      steps,
      "RUNS",
      "directories of runs",
      "trajectories in the current directory",
      out_help="where a directory for each run goes",
  )
  steps.set_defaults(
      write=trajectory_command.write,
      buckets=command.Buckets.READ,
      topic="tables",
  )
  front = pages.add_parser(
      "front",
      help="one page that links the pages on both papers, with their targets",
  )
  command.add_arguments(
      front, "WORKDIRS", "workdirs with such pages", "reports in the first one"
  )
  front.set_defaults(write=front_page.write, buckets=command.Buckets.REFUSED)
  return parser


if __name__ == "__main__":
  sys.exit(main())
