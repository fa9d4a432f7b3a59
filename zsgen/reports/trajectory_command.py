"""Runs `python -m zsgen.reports trajectory RUNS… --out DIRECTORY`."""

from collections.abc import Sequence
import pathlib

import rich.table

from zsgen.reports import trajectory

_DEFAULT = pathlib.Path("trajectories")


def write(
    paths: Sequence[pathlib.Path], out: pathlib.Path | None = None
) -> tuple[pathlib.Path, list[rich.table.Table], list[str]]:
  """Writes the trajectory of each run into a directory of its name.

  Args:
    paths: directories of runs, finished or not.
    out: where these directories go; None for trajectories in the current
      directory.

  Returns:
    That directory, no tables, and a line on each run.

  Raises:
    InputError: see `trajectory.write`.
  """
  out = (out or _DEFAULT).absolute()
  notices = []
  for path in paths:
    directory = out / path.resolve().name
    trajectory.write(path, directory)
    notices.append(f"written  {directory}")
  return out, [], notices
