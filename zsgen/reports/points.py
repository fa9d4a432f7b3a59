"""Finds finished runs and evaluations under paths, and labels them.

Runs whose configs differ only in name, seed and targets have one label: the
name without its seed, and, where several configs have one name, the options in
which they differ.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
import json
import pathlib
from typing import Any, NamedTuple

from zsgen.core import artifacts, errors, texts
from zsgen.core import config as config_lib
from zsgen.reports import curves, evaluations, grids, notes, origins
from zsgen.reports.comparison import Point
from zsgen.train import record_digests

# Options in which the runs of one label may differ.
_FREE = ("name", "seed", "targets")
# Options of a label, at most, and the characters of their values.
_MOST_OPTIONS, _LONGEST = 3, 24
_ADVICE = (
    "Name runs, evaluations, sweeps, or directories such as a workdir that have"
    " some."
)


class Points(NamedTuple):
  """What paths name.

  Attributes:
    runs: finished runs.
    evaluations: evaluations without training.
    missing: runs and points of sweeps that are not finished.
  """

  runs: list[Point]
  evaluations: list[Point]
  missing: list[str]


def find(paths: Sequence[pathlib.Path]) -> Points:
  """Finds runs and evaluations, each once, in the sequence of the paths.

  Args:
    paths: runs, evaluations, sweeps, directories of these, or workdirs.

  Raises:
    InputError: a path has nothing of the kind, or something is damaged.
  """
  missing: list[str] = []
  candidates = list(
      dict.fromkeys(
          item.resolve() for path in paths for item in _find(path, missing)
      )
  )
  kinds = {item: _kind(item) for item in candidates}
  runs = [item for item in candidates if kinds[item] == "run"]
  finished = [run for run in runs if (run / record_digests.RESULT).exists()]
  missing += [str(run) for run in runs if run not in finished]
  evaluated = [item for item in candidates if kinds[item] == "evaluation"]
  if not finished and not evaluated:
    state = f"; not finished: {', '.join(missing)}" if missing else ""
    raise errors.InputError(
        f"{', '.join(map(str, paths))}: no finished run and no evaluation"
        f"{state}. {_ADVICE}"
    )
  return Points(
      _label(finished, curves.read_config),
      _label(evaluated, evaluations.read_config),
      missing,
  )


def _find(path: pathlib.Path, missing: list[str]) -> Iterator[pathlib.Path]:
  """Yields the directories of runs and evaluations that a path names.

  Args:
    path: see `find`.
    missing: gets the points of sweeps that have no finished run.
  """
  path = path.absolute()
  if notes.is_sweep(path):
    for point in notes.read_sweep(path).points:
      run = notes.open_run(path, point)
      if run is None:
        missing.append(f"{path.name}/{point}")
      else:
        yield run
    return
  if (path / artifacts.MANIFEST).exists() or not path.is_dir():
    if _kind(path) not in ("run", "evaluation"):
      raise errors.InputError(f"{path}: is a {_kind(path)}. {_ADVICE}")
    yield path
    return
  sections = [path / name for name in ("runs", "evaluations")]
  directories = [section for section in sections if section.is_dir()] or [path]
  for sweep in sorted(path.glob("*/sweep.json")):
    yield from _find(sweep.parent, missing)
  for directory in directories:
    for manifest in sorted(directory.glob(f"[!.]*/{artifacts.MANIFEST}")):
      if _kind(manifest.parent) in ("run", "evaluation"):
        yield manifest.parent


def _kind(path: pathlib.Path) -> str:
  return artifacts.kind_of(artifacts.read_manifest(path))


def _label(
    paths: Iterable[pathlib.Path],
    read_config: Callable[[pathlib.Path], config_lib.Config],
) -> list[Point]:
  """Returns runs with their labels and seeds."""
  configs = {path: read_config(path) for path in paths}
  options = {path: _options(config) for path, config in configs.items()}
  keys = {path: json.dumps(options[path], default=str) for path in configs}
  options_by_name: dict[str, dict[str, dict[str, Any]]] = {}
  for path, config in configs.items():
    by_key = options_by_name.setdefault(_name(config), {})
    by_key[keys[path]] = options[path]
  points: list[Point] = []
  used_labels: set[tuple[str, int]] = set()
  for path, config in configs.items():
    label = _describe(_name(config), keys[path], options_by_name)
    label = _free_label(label, config.seed, used_labels)
    points.append(Point(label, config.seed, path))
  return points


def _name(config: config_lib.Config) -> str:
  """Returns the name of a config without its seed, which sweeps append."""
  return config.name.removesuffix(f"-s{config.seed}")


def _options(config: config_lib.Config) -> dict[str, Any]:
  """Returns the options that decide the label, by their dotted names."""
  science = config_lib.science(config)
  options = {key: science[key] for key in science if key not in _FREE}
  return dict(sorted(origins.flatten(options).items()))


def _describe(
    name: str,
    key: str,
    options_by_name: Mapping[str, Mapping[str, Mapping[str, Any]]],
) -> str:
  """Returns a name, with the options that others of this name have otherwise."""
  same_name = options_by_name[name]
  if len(same_name) == 1:
    return name
  differing = [
      option
      for option in sorted(
          {o for options in same_name.values() for o in options}
      )
      if len({str(options.get(option)) for options in same_name.values()}) > 1
  ]
  values = [
      f"{option.rpartition('.')[2]}="
      + texts.short(str(same_name[key].get(option, grids.MISSING)), _LONGEST)
      for option in differing[:_MOST_OPTIONS]
  ]
  return f"{name} ({', '.join(values)})"


def _free_label(
    label: str, seed: int, used_labels: set[tuple[str, int]]
) -> str:
  """Returns a label that no other run of the seed has; adds it to `used_labels`."""
  candidate, number = label, 1
  while (candidate, seed) in used_labels:
    number += 1
    candidate = f"{label} #{number}"
  used_labels.add((candidate, seed))
  return candidate
