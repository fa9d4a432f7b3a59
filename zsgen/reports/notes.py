"""Notes the run of each point of a sweep: `sweeps/NAME/points/POINT.json`."""

import pathlib

from zsgen.core import artifacts, errors

_ADVICE = "Delete it, and the sweep's command finds the run again."


def write_run(note: pathlib.Path, run: str) -> None:
  """Notes the run of a point.

  Args:
    note: the file, named after the point.
    run: the path of the run, relative to the workdir.
  """
  note.parent.mkdir(parents=True, exist_ok=True)
  artifacts.write_sealed(note, {"run": run}, note.stem)


def read_run(note: pathlib.Path) -> str:
  """Returns the run of a note.

  Raises:
    InputError: the note is damaged, or that of another point.
  """
  run = artifacts.read_sealed(note, note.stem, _ADVICE).get("run")
  if not isinstance(run, str):
    raise errors.InputError(f"{note}: is damaged: it names no run. {_ADVICE}")
  return run
