"""Where the run of a sweep's point is: `sweeps/NAME/points/POINT.json`."""

import pathlib

from zsgen import artifacts, errors

_ADVICE = "Delete it: the sweep's command finds the run again."


def write_run(note: pathlib.Path, run: str) -> None:
  """Notes the run of a point.

  Args:
    note: the file, which has the point's name.
    run: path of the run, as seen from the workdir.
  """
  note.parent.mkdir(parents=True, exist_ok=True)
  artifacts.write_sealed(note, {"run": run}, note.stem)


def read_run(note: pathlib.Path) -> str:
  """The run that was noted.

  Raises:
    InputError: the note is damaged or another point's.
  """
  run = artifacts.read_sealed(note, note.stem, _ADVICE).get("run")
  if not isinstance(run, str):
    raise errors.InputError(f"{note}: names no run: it is damaged. {_ADVICE}")
  return run
