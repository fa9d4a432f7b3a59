"""Notes what a sweep is, and the run of each of its points.

`sweeps/NAME/sweep.json` names the sweep and its points,
`sweeps/NAME/points/POINT.json` the run of a point, and
`sweeps/NAME/together/POINT.json` the points that are trained with it as one
program. In a workdir in a bucket, each is an object, which is read whenever it is
needed.
"""

from collections.abc import Mapping, Sequence
import pathlib
from typing import NamedTuple

from zsgen.core import artifacts, errors, storage
from zsgen.train import run_copies

_ADVICE = "Delete it, and the sweep's command finds the run again."
_SWEEP = "sweep.json"
_SWEEP_ADVICE = "Delete it, and the sweep's command writes it again."


class Sweep(NamedTuple):
  """A sweep.

  Attributes:
    name: `config.name` of its config file.
    points: order (or other point) and seed, by the name of each run's point.
  """

  name: str
  points: Mapping[str, tuple[str, int]]


def write_sweep(directory: pathlib.Path, sweep: Sweep) -> None:
  """Writes `sweep.json` into a sweep's directory."""
  directory.mkdir(parents=True, exist_ok=True)
  value = {"name": sweep.name, "points": dict(sweep.points)}
  artifacts.publish_sealed(directory / _SWEEP, value, directory.name)


def is_sweep(directory: pathlib.Path) -> bool:
  """Returns whether a directory is that of a sweep."""
  return artifacts.fetch(directory / _SWEEP)


def find_sweeps(workdir: pathlib.Path) -> list[pathlib.Path]:
  """Returns the directories of the sweeps of a workdir, ascending."""
  sweeps = storage.children(workdir / "sweeps")
  return [directory for directory in sweeps if is_sweep(directory)]


def read_sweep(directory: pathlib.Path) -> Sweep:
  """Reads `sweep.json`.

  Raises:
    InputError: it is missing, damaged, or that of another sweep.
  """
  path = directory / _SWEEP
  value = artifacts.read_sealed(path, directory.name, _SWEEP_ADVICE)
  try:
    points = {
        point: (str(order), int(seed))
        for point, (order, seed) in value["points"].items()
    }
    return Sweep(str(value["name"]), points)
  except (KeyError, TypeError, ValueError, AttributeError) as error:
    raise errors.InputError(
        f"{path}: is not the description of a sweep ({error!r})."
        f" {_SWEEP_ADVICE}"
    ) from error


def find_run(directory: pathlib.Path, point: str) -> pathlib.Path | None:
  """Returns the finished run of a sweep's point; None if it is not finished.

  Args:
    directory: the sweep's, `WORKDIR/sweeps/NAME`.
    point: a key of `Sweep.points`.

  Raises:
    InputError: the note is damaged.
  """
  note = directory / "points" / f"{point}.json"
  if not artifacts.fetch(note):
    return None
  run = directory.parents[1] / read_run(note)
  return run if artifacts.is_file(run / "result.json") else None


def open_run(directory: pathlib.Path, point: str) -> pathlib.Path | None:
  """Returns the finished run of a sweep's point, as `find_run` does, to be read.

  Of one in a bucket, there is a local copy then.

  Args:
    directory: see `find_run`.
    point: see `find_run`.

  Raises:
    InputError: the note is damaged, or the bucket cannot be used.
  """
  run = find_run(directory, point)
  if run is not None:
    run_copies.refresh(run)
  return run


def open_runs(directory: pathlib.Path) -> list[pathlib.Path]:
  """Returns the runs of the points that have a note, finished or not.

  Of those in a bucket, there are local copies then.

  Args:
    directory: the sweep's; [] is returned for one that is none.

  Raises:
    InputError: a note is damaged, or the bucket cannot be used.
  """
  runs = []
  for note in storage.children(directory / "points"):
    if note.suffix == ".json" and artifacts.fetch(note):
      runs.append(directory.parents[1] / read_run(note))
      run_copies.refresh(runs[-1])
  return runs


def write_run(note: pathlib.Path, run: str) -> None:
  """Notes the run of a point.

  Args:
    note: the file, named after the point.
    run: the path of the run, relative to the workdir.
  """
  note.parent.mkdir(parents=True, exist_ok=True)
  artifacts.publish_sealed(note, {"run": run}, note.stem)


def write_population(directory: pathlib.Path, points: Sequence[str]) -> None:
  """Notes for each of several points that they are trained as one program.

  Args:
    directory: the sweep's.
    points: their names.
  """
  for point in points:
    note = _population_note(directory, point)
    note.parent.mkdir(parents=True, exist_ok=True)
    artifacts.publish_sealed(note, {"points": list(points)}, point)


def find_population(directory: pathlib.Path, point: str) -> list[str]:
  """Returns the points with which a point was trained last, itself included.

  Without a note of it, this is the point alone.

  Args:
    directory: the sweep's.
    point: its name.

  Raises:
    InputError: the note is damaged.
  """
  note = _population_note(directory, point)
  if not artifacts.fetch(note):
    return [point]
  advice = "Delete it, and the sweep's command chooses a population anew."
  points = artifacts.read_sealed(note, point, advice).get("points")
  if not isinstance(points, list) or point not in points:
    raise errors.InputError(
        f"{note}: is damaged: it does not name its point. {advice}"
    )
  return points


def _population_note(directory: pathlib.Path, point: str) -> pathlib.Path:
  return directory / "together" / f"{point}.json"


def read_run(note: pathlib.Path) -> str:
  """Returns the run of a note.

  Raises:
    InputError: the note is damaged, or that of another point.
  """
  run = artifacts.read_sealed(note, note.stem, _ADVICE).get("run")
  if not isinstance(run, str):
    raise errors.InputError(f"{note}: is damaged: it names no run. {_ADVICE}")
  return run
