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

Points run one after another in one workdir, local or in a bucket, and points of
one seed share a store and embeddings. Start the command as often as you like, on
any host that sees the workdir: each job trains points that no other has claimed,
and points of a job that has died. A job is one process, or several that train
each point together. With `config.population`, it trains several points of one
shape as one program (docs/scale.md). `--watch` shows who trains what. On a
cluster, you may also run each point with `--point=i`. The command that finishes
the last point writes the comparison to `sweeps/<name>-<hash>/` in the workdir.
"""

from collections.abc import Iterable, Mapping, Sequence
import os
import pathlib
from typing import Any

from absl import flags
import ml_collections
from ml_collections import config_flags
import rich.console

from launch import progress, sharing
from zsgen.core import (
    artifacts,
    command,
    errors,
    hosts,
    sections,
    storage,
    terminal,
)
from zsgen.core import config as config_lib
from zsgen.reports import comparison, comparison_report, notes
from zsgen.train import run_copies

_POINT = flags.DEFINE_integer(
    "point", None, "Trains only this point, counted from 0."
)
_REPORT = flags.DEFINE_bool(
    "report",
    False,
    "Trains nothing, and compares the points that are finished.",
)
_WATCH = flags.DEFINE_bool(
    "watch",
    False,
    "Trains nothing, and shows the state of all points until they are finished.",
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

  Points that another job trains are left to it; at the end, this job waits for
  them, and trains those that it gives up.

  Args:
    config: an experiment with a section `sweep`.
    workdir: directory of all artifacts; a local one, or gs://BUCKET/PATH.
    point: index of the only point to run; None for all.
    report: run nothing, compare what is finished.
    console: where lines for people go.

  Returns:
    Directory of the comparison, of one in a bucket the local copy; None while
    points are missing, and in all processes of a job but the first one.

  Raises:
    InputError: bad options; another job trains the only point; or see
      `zsgen.pipeline.run`.
  """
  console = console or terminal.Console(stderr=True)
  sweep = _open(config, workdir, console)
  if point is not None and not 0 <= point < len(sweep.points):
    raise errors.InputError(
        f"--point={point}: the sweep has points 0 to {len(sweep.points) - 1}."
    )
  for line in [*sections.notices(config), *dropped(config)]:
    console.print(line, markup=False)
  if report:
    _write_notes(config, sweep)
    return _compare(sweep, partly=True)
  with hosts.joined(sweep.configs, workdir, ["sweep"]):
    if hosts.is_first():
      _write_notes(config, sweep)
    if point is not None:
      sharing.train_point(sweep, point)
    else:
      sharing.train(sweep)
    return _compare(sweep, partly=False) if hosts.is_first() else None


def watch(config: Config, workdir: str | os.PathLike = "workdir") -> None:
  """Shows the state of all points until they are finished.

  Raises:
    InputError: bad options, or a note of the sweep is damaged.
  """
  console = terminal.Console()
  sweep = _open(config, workdir, console, reads_only=True)
  names = [name for name, _ in sweep.points]
  progress.watch(lambda: progress.find_states(sweep.directory, names), console)


def _open(
    config: Config,
    workdir: str | os.PathLike,
    console: rich.console.Console,
    reads_only: bool = False,
) -> sharing.Sweep:
  """Returns a sweep, of which nothing needs to exist yet.

  Args:
    config: an experiment with a section `sweep`.
    workdir: directory of all artifacts.
    console: where lines for people go.
    reads_only: see `storage.open_workdir`.

  Raises:
    InputError: bad options, or the bucket cannot be used.
  """
  todo = points(config)
  root = storage.open_workdir(workdir, reads_only).absolute() / "sweeps"
  directory = root / _directory_name(config, todo)
  return sharing.Sweep(workdir, directory, todo, console)


def _write_notes(config: Config, sweep: sharing.Sweep) -> None:
  """Notes what the sweep and its points are."""
  names = {
      name: (_order(name, point), point.seed) for name, point in sweep.points
  }
  name = config.get("name", "sweep")
  notes.write_sweep(sweep.directory, notes.Sweep(name, names))


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
          f" themselves. Change theirs, {_flag(kind, setters[0], option)}, or"
          " the config file."
      )


def _flag(kind: str, point: str, option: str) -> str:
  """Returns the flag of an option of a point, as a shell takes it."""
  if point.isidentifier():
    return f"--config.sweep.{kind}.{point}.{option}"
  return f"\"--config.sweep.{kind}['{point}'].{option}\""


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


def _compare(sweep: sharing.Sweep, partly: bool) -> pathlib.Path | None:
  """Writes the comparison and prints its tables and missing points."""
  finished, missing = [], []
  for name, config in sweep.points:
    path = notes.find_run(sweep.directory, name)
    if path is None:
      missing.append(name)
    else:
      run_copies.pull(path)
      finished.append(comparison.Point(_order(name, config), config.seed, path))
  if missing:
    sweep.console.print(
        f"{len(finished)} of {len(sweep.points)} points are finished."
    )
    if not partly:
      return None
  for table in comparison_report.write(sweep.directory, finished, missing):
    sweep.console.print(table)
  artifacts.publish_files(sorted(sweep.directory.glob("comparison*")))
  page = storage.public(str(sweep.directory / "comparison.html"))
  sweep.console.print(f"report   {page}", markup=False)
  return sweep.directory


def main() -> None:
  """Runs the sweep that the flags describe."""
  config, workdir = command.CONFIG.value, command.WORKDIR.value
  flag = flags.FLAGS[command.CONFIG.name]
  check_overrides(config, config_flags.get_override_values(flag))
  if _WATCH.value:
    watch(config, workdir)
    return
  run(config, workdir, _POINT.value, _REPORT.value)


if __name__ == "__main__":
  command.start(main, in_buckets=True)
