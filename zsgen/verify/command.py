"""The command line of `zsgen.verify`."""

import argparse
from collections.abc import Sequence
import pathlib
import sys
import tempfile

from zsgen.core import chatter, errors, storage, texts
from zsgen.train import bucket_paths
from zsgen.verify import workdir


def main(arguments: Sequence[str] | None = None) -> int:
  """Verifies paths; returns the exit code: 0, or 2 if anything is damaged."""
  parser = argparse.ArgumentParser(
      "python -m zsgen.verify",
      description="Compares what is on disk with what was written.",
  )
  parser.add_argument(
      "paths",
      nargs="+",
      metavar="PATH",
      help="a store, embeddings, an order, an evaluation, a run or a workdir;"
      " local, or in a bucket (gs://BUCKET/PATH)",
  )
  chatter.hide()
  try:
    verify(parser.parse_args(arguments).paths)
  except errors.InputError as error:
    print(texts.message(storage.public(str(error))), file=sys.stderr)
    return 2
  return 0


def verify(paths: Sequence[str]) -> None:
  """Prints a line for each check that passes, as soon as it is done.

  Args:
    paths: what to check, local or in buckets; see `workdir.check`.

  Raises:
    InputError: its message has all problems, a line each.
  """
  with tempfile.TemporaryDirectory() as scratch:
    # What was copied before is not trusted.
    _report(
        [
            bucket_paths.open_copy(path, pathlib.Path(scratch), whole=True)
            for path in paths
        ]
    )


def _report(paths: Sequence[pathlib.Path]) -> None:
  """Checks local paths; see `verify`."""
  problems, damaged, count = [], 0, 0
  for path in paths:
    for result in workdir.check(path):
      for line in result.lines:
        print(texts.message(storage.public(line)), flush=True)
      problems += result.problems
      damaged += bool(result.problems)
      count += 1
  if problems:
    raise errors.InputError(
        "\n".join([*problems, f"{damaged} of {count} could not be verified."])
        if count > 1
        else "\n".join(problems)
    )
