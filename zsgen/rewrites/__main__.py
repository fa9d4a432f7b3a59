"""The report on runs of rewrites: `python -m zsgen.rewrites RUNS…`."""

import argparse
from collections.abc import Sequence
import sys

from zsgen.reports import command
from zsgen.rewrites import report


def main(arguments: Sequence[str] | None = None) -> int:
  """Writes the report; returns the exit code: 0, or 2 for bad input."""
  parser = argparse.ArgumentParser(
      "python -m zsgen.rewrites", description=__doc__
  )
  command.add_arguments(
      parser,
      "RUNS",
      "runs, a directory of runs, a workdir, or a sweep's directory",
      "next to the runs",
  )
  options = parser.parse_args(arguments)
  return command.write_output(
      report.write,
      options.paths,
      options.out,
      command.Buckets.READ_WITH_OUT,
  )


if __name__ == "__main__":
  sys.exit(main())
