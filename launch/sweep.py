"""Trains several orders with several seeds, and compares them.

  python -m launch.sweep --config=configs/orders.py

A sweep's config file is an experiment with a section `sweep`:

  config.sweep = {
      "orders": {name: options of config.order, ...},
      "seeds": (0, 1, 2),
  }

or, for points that differ in other sections too,

      "points": {name: options of config, ...},

A seed draws the training examples, the order and new parameters of its points.
All points have the held-out examples of `config.seed`, unless `sweep` has
"vary_heldout": True: then each seed also draws its own.

All points run one after another in one workdir, and points of one seed share a
store and embeddings. On a cluster, run each point with `--point=i`. The command
that finishes the last point writes the comparison to `sweeps/<name>-<hash>/` in
the workdir.
"""

from collections.abc import Iterable, Mapping, Sequence
import os
import pathlib
from typing import Any

from absl import flags
import ml_collections
from ml_collections import config_flags
import rich.console

from zsgen.core import (
    artifacts,
    command,
    errors,
    schema,
    sections,
    terminal,
)
from zsgen.core import config as config_lib
from zsgen.reports import comparison, comparison_report, notes

_POINT = flags.DEFINE_integer(
    "point", None, "Trains only this point, counted from 0."
)
_REPORT = flags.DEFINE_bool(
    "report",
    False,
    "Trains nothing, and compares the points that are finished.",
)

Config = Mapping[str, Any] | ml_collections.ConfigDict


def points(config: Config) -> list[tuple[str, config_lib.Config]]:
  """Returns the points of a sweep, order by order.

  Args:
    config: an experiment with a section `sweep`.

  Returns:
    Names, such as "random-s0", and checked configs.

  Raises:
    InputError: the sweep is empty or malformed, or an option is wrong.
  """
  return [(point.name, config_lib.check(point)) for point in _points(config)]


def dropped(config: Config) -> list[str]:
  """Returns a line for all options that a point's component does not have.

  They were set for the component that the point replaces.

  Args:
    config: an experiment with a section `sweep`.
  """
  return [
      f"{point.name}: {line}"
      for point in _points(config)
      for line in sections.notices(point)
  ]


def _points(config: Config) -> list[ml_collections.ConfigDict]:
  """Returns the configs of all points, which are not checked yet."""
  config = _plain(config)
  base = {key: value for key, value in config.items() if key != "sweep"}
  kind, grid, seeds = _grid(config.get("sweep"))
  varies = config["sweep"].get("vary_heldout", False)
  configs = []
  # Sorted, as a ConfigDict does not keep the order of its keys.
  for name, options in sorted(grid.items()):
    for seed in seeds:
      point = sections.build(config_lib.Config, base, "config")
      try:
        point.update(options)
      except errors.InputError as error:
        raise errors.InputError(
            f"config.sweep.{kind}.{name}: {error}"
        ) from error
      point.update(name=f"{name}-s{seed}", seed=seed)
      is_free = not varies and not point.fork  # A fork has its parent's data.
      if is_free and point.data.get("heldout_seed", seed) is None:
        point.data.heldout_seed = _heldout_seed(base)
      configs.append(point)
  return configs


def _heldout_seed(base: Config) -> int:
  """Returns the seed by which an experiment draws its held-out examples."""
  seed = base.get("data", {}).get("seed")
  return base.get("seed", 0) if seed is None else seed


def run(
    config: Config,
    workdir: str | os.PathLike = "workdir",
    point: int | None = None,
    report: bool = False,
    console: rich.console.Console | None = None,
) -> pathlib.Path | None:
  """Runs a sweep, or one point of it; points that are finished are skipped.

  Args:
    config: an experiment with a section `sweep`.
    workdir: directory of all artifacts.
    point: index of the only point to run; None for all.
    report: run nothing, compare what is finished.
    console: where lines for people go.

  Returns:
    Directory of the comparison; None while points are missing.

  Raises:
    InputError: bad options, or see `zsgen.pipeline.run`.
  """
  schema.check_local(str(workdir), "--workdir")
  todo = points(config)
  if point is not None and not 0 <= point < len(todo):
    raise errors.InputError(
        f"--point={point}: the sweep has points 0 to {len(todo) - 1}."
    )
  console = console or terminal.Console(stderr=True)
  for line in [*sections.notices(config), *dropped(config)]:
    console.print(line, markup=False)
  workdir = pathlib.Path(workdir).absolute()
  directory = workdir / "sweeps" / _directory_name(config, todo)
  names = {name: (_order(name, point), point.seed) for name, point in todo}
  notes.write_sweep(directory, notes.Sweep(config.get("name", "sweep"), names))
  indices = range(len(todo)) if point is None else [point]
  due = []
  for index in () if report else indices:
    name, _ = todo[index]
    is_finished = notes.find_run(directory, name)
    state = ", already finished" if is_finished else ""
    console.print(f"point {index}: {name} ({index + 1} of {len(todo)}){state}")
    due += [] if is_finished else [todo[index]]
    if len(due) == todo[index][1].population:
      _train(directory, workdir, due)
      due = []
  if due:
    _train(directory, workdir, due)
  return _compare(directory, workdir, todo, partly=report, console=console)


def check_overrides(config: Config, names: Iterable[str]) -> None:
  """Checks that points do not override the options of the command line.

  Args:
    config: an experiment with a section `sweep`.
    names: options that the command line sets, such as "train.batch_size".

  Raises:
    InputError: a point has its own value, so the other would be of no use.
  """
  kind, grid, _ = _grid(_plain(config).get("sweep"))
  for name in names:
    if name == "seed":
      raise errors.InputError(
          "--config.seed: a sweep runs under config.sweep.seeds; give"
          " --config.sweep.seeds='(1, 2)' instead."
      )
    setters = [point for point, options in grid.items() if _sets(options, name)]
    if setters:
      option = name if kind == "points" else name.removeprefix("order.")
      raise errors.InputError(
          f"--config.{name}: the sweep's {', '.join(setters)} set it"
          f" themselves. Change theirs, --config.sweep.{kind}.{setters[0]}.{option}, or the"
          " config file."
      )


def _plain(config: Config) -> Mapping[str, Any]:
  if isinstance(config, ml_collections.ConfigDict):
    return config.to_dict()
  return config


def _sets(options: Any, name: str) -> bool:
  """Returns whether nested options have one of that path."""
  for key in name.split("."):
    if not isinstance(options, Mapping) or key not in options:
      return False
    options = options[key]
  return True


def _grid(sweep: Any) -> tuple[str, Mapping[str, Mapping], Sequence[int]]:
  """Returns the key of the points, the points by name, and the seeds.

  Raises:
    InputError: the section is malformed.
  """
  names = set(sweep) if isinstance(sweep, Mapping) else set()
  kinds = names - {"seeds", "vary_heldout"}
  if (
      "seeds" not in names
      or len(kinds) != 1
      or not kinds <= {"orders", "points"}
  ):
    raise errors.InputError(
        "config.sweep must be a section with `orders` or `points`, and"
        " `seeds`, as in configs/orders.py (and `vary_heldout`, if wanted)."
    )
  if type(sweep.get("vary_heldout", False)) is not bool:
    raise errors.InputError(
        f"config.sweep.vary_heldout is {sweep['vary_heldout']!r}; it must be True"
        " or False."
    )
  (kind,) = kinds
  grid, seeds = sweep[kind], sweep["seeds"]
  if not isinstance(grid, Mapping) or not grid:
    raise errors.InputError(f"config.sweep.{kind} must name at least one.")
  for name, options in grid.items():
    if not isinstance(options, Mapping):
      raise errors.InputError(
          f"config.sweep.{kind}.{name} must be options, not {options!r}."
      )
  if (
      not isinstance(seeds, tuple | list)
      or not seeds
      or not all(type(seed) is int for seed in seeds)
      or len(set(seeds)) < len(seeds)
  ):
    raise errors.InputError(
        f"config.sweep.seeds is {seeds!r}; give different integers, such as"
        " (0, 1, 2)."
    )
  if kind == "orders":
    grid = {name: {"order": options} for name, options in grid.items()}
  return kind, grid, seeds


def _directory_name(
    config: Config, todo: Sequence[tuple[str, config_lib.Config]]
) -> str:
  """The sweep's name and a hash of the science of all its points."""
  science = {name: config_lib.science(point) for name, point in todo}
  return artifacts.name(config.get("name", "sweep"), science)


def _order(name: str, config: config_lib.Config) -> str:
  """Returns the name of the order, or other point, that a run has."""
  return name.removesuffix(f"-s{config.seed}")


def _train(
    directory: pathlib.Path,
    workdir: pathlib.Path,
    due: Sequence[tuple[str, config_lib.Config]],
) -> None:
  """Runs points, several as one program, and notes where their runs are."""
  from zsgen import pipeline  # After flags: --help and typos answer at once.

  names, configs = zip(*due, strict=True)
  runs = pipeline.run_population(configs, workdir)
  for name, path in zip(names, runs, strict=True):
    note = directory / "points" / f"{name}.json"
    notes.write_run(note, os.path.relpath(path, workdir))


def _compare(
    directory: pathlib.Path,
    workdir: pathlib.Path,
    todo: Sequence[tuple[str, config_lib.Config]],
    partly: bool,
    console: rich.console.Console,
) -> pathlib.Path | None:
  """Writes the comparison and prints its tables and missing points."""
  finished, missing = [], []
  for name, config in todo:
    path = notes.find_run(directory, name)
    if path is None:
      missing.append(name)
    else:
      finished.append(comparison.Point(_order(name, config), config.seed, path))
  if missing:
    console.print(f"{len(finished)} of {len(todo)} points are finished.")
    if not partly:
      return None
  for table in comparison_report.write(directory, finished, missing):
    console.print(table)
  console.print(f"report   {directory / 'comparison.html'}", markup=False)
  return directory


def main() -> None:
  """Runs the sweep that the flags describe."""
  config, workdir = command.CONFIG.value, command.WORKDIR.value
  flag = flags.FLAGS[command.CONFIG.name]
  check_overrides(config, config_flags.get_override_values(flag))
  run(config, workdir, _POINT.value, _REPORT.value)


if __name__ == "__main__":
  command.start(main)
