"""Sweeps of `configs/arrangement`, opened.

Such a sweep is called arrangement_EXPERIMENT_TIER. Its points are arms, such
as "NFT", or "DATA-ARM" if an experiment is made on several data sets.
"""

from collections.abc import Iterable, Mapping, Sequence
import dataclasses
import itertools
import pathlib
import re

import numpy as np

from zsgen.core import config as config_lib
from zsgen.core import errors, storage
from zsgen.reports import curves, notes

LOSS = "heldout/loss"
_NAME = re.compile(r"arrangement_(?P<experiment>[a-z]+)_(?P<tier>[a-z]+)")


@dataclasses.dataclass(frozen=True)
class Experiment:
  """The finished runs of an experiment on one data set.

  Attributes:
    name: such as "settings", the file in `configs/arrangement`.
    tier: such as "nano".
    data: the data set, if the experiment has several; otherwise "".
    arms: runs by arm and seed.
    directory: the sweep's.
  """

  name: str
  tier: str
  data: str
  arms: Mapping[str, Mapping[int, curves.RunRecords]]
  directory: pathlib.Path

  @property
  def title(self) -> str:
    """Names the experiment, such as "tmt, nano, flan_mini"."""
    return ", ".join(filter(None, (self.name, self.tier, self.data)))

  @property
  def seeds(self) -> list[int]:
    """The seeds that all arms have."""
    return sorted(set.intersection(*(set(runs) for runs in self.arms.values())))

  @property
  def steps(self) -> int:
    """The number of steps of its runs."""
    return self.run().steps

  def run(self, arm: str = "", seed: int | None = None) -> curves.RunRecords:
    """Returns a run; by default, the first one of all."""
    by_seed = self.arms[arm or next(iter(self.arms))]
    return by_seed[next(iter(by_seed)) if seed is None else seed]

  def curve(
      self, arm: str, metric: str = LOSS, seed: int | None = None
  ) -> curves.Curve | None:
    """Returns a metric of an arm, the mean over the shared seeds by default.

    Args:
      arm: the arm.
      metric: the path of a metric.
      seed: the only seed to look at.

    Returns:
      None if a run does not have the metric.
    """
    seeds = self.seeds if seed is None else [seed]
    members = [self.arms[arm][number].metrics.get(metric) for number in seeds]
    known = [member for member in members if member is not None]
    if not known or len(known) < len(members):
      return None
    return curves.Curve(
        known[0].steps, np.mean([member.values for member in known], axis=0)
    )

  def check_alike(self) -> None:
    """Checks that the arms can be compared.

    Raises:
      InputError: they have other numbers of steps, evaluations or seeds.
    """
    first_arm, first_runs = next(iter(self.arms.items()))
    first = self.run()
    for arm, runs in self.arms.items():
      if set(runs) != set(first_runs):
        raise errors.InputError(
            f"{self.directory}: {arm} has the seeds {_join(runs)}, and"
            f" {first_arm} {_join(first_runs)}. Arms are compared within a"
            " seed: finish the sweep, or train all arms with the same seeds."
        )
      for run in runs.values():
        if run.steps != first.steps:
          raise errors.InputError(
              f"{run.path}: has {run.steps} steps, and {first.path}"
              f" {first.steps}. Runs of other lengths have other learning rates"
              " and cannot be compared: give all arms one budget."
          )
        if not _same_steps(run, first):
          raise errors.InputError(
              f"{run.path}: was evaluated at other steps than {first.path}."
              " Give all arms the same config.evals."
          )


def find(
    paths: Sequence[pathlib.Path],
) -> tuple[list[Experiment], list[str]]:
  """Opens the experiments of sweeps.

  Args:
    paths: directories of sweeps, or workdirs, whose sweeps are all taken.

  Returns:
    Experiments with at least one finished run, and lines about what is left
    out: points that are not finished, and other sweeps of a workdir.

  Raises:
    InputError: a path is neither; a sweep is not of `configs/arrangement`, or
      damaged; or nothing is finished.
  """
  experiments, notices = [], []
  for path in paths:
    directories, is_workdir = _sweeps(path.absolute())
    for directory in directories:
      sweep = notes.read_sweep(directory)
      match = _NAME.fullmatch(sweep.name)
      if match:
        opened, missing = _open(directory, sweep, **match.groupdict())
        experiments += opened
        notices += missing
      elif is_workdir:
        notices.append(f"left out, of another experiment: {directory}")
      else:
        raise errors.InputError(
            f"{directory}: its sweep is {sweep.name!r}, not one of"
            " configs/arrangement. Name those sweeps, or their workdir."
        )
  if not experiments:
    raise errors.InputError(
        f"{', '.join(map(str, paths))}: no run of configs/arrangement is"
        " finished. Start one, such as `python -m launch.sweep"
        " --config=configs/arrangement/settings.py:smoke`."
    )
  return experiments, notices


def join_controls(experiments: Sequence[Experiment]) -> list[Experiment]:
  """Returns the settings (E8) together with their controls.

  Args:
    experiments: any. Settings and controls of one workdir and tier are compared
      on the seeds that both have, if they differ in their orders only.

  Returns:
    An experiment for each pair of them, which is not in a sweep of its own.
  """
  joined = []
  for settings, controls in itertools.product(experiments, repeat=2):
    if (settings.name, controls.name) != ("settings", "controls"):
      continue
    if settings.directory.parent != controls.directory.parent:
      continue
    seeds = {*settings.seeds} & {*controls.seeds}
    if not seeds or not _differ_in_order(settings.run(), controls.run()):
      continue
    hashes = [e.directory.name.rpartition("-")[2] for e in (settings, controls)]
    name = f"arrangement_settings_and_controls_{settings.tier}"
    joined.append(
        Experiment(
            "settings and controls",
            settings.tier,
            "",
            {
                arm: {seed: runs[seed] for seed in sorted(seeds)}
                for arm, runs in {**settings.arms, **controls.arms}.items()
            },
            settings.directory.with_name("-".join([name, *hashes])),
        )
    )
  return joined


def _differ_in_order(
    run: curves.RunRecords, control: curves.RunRecords
) -> bool:
  """Returns whether two runs can be compared, whatever their orders are."""
  options, control_options = (
      {
          name: value
          for name, value in config_lib.science(member.config).items()
          if name not in ("name", "seed", "order")
      }
      for member in (run, control)
  )
  return (
      options == control_options
      and run.steps == control.steps
      and _same_steps(run, control)
  )


def _sweeps(path: pathlib.Path) -> tuple[list[pathlib.Path], bool]:
  """The sweeps that a path names, and whether it is a workdir."""
  if notes.is_sweep(path):
    return [path], False
  sweeps = path / "sweeps"
  if sweeps.is_dir() or storage.children(sweeps):
    return notes.find_sweeps(path), True
  raise errors.InputError(
      f"{path}: is neither a sweep's directory nor a workdir with sweeps. Name"
      " directories such as workdir/sweeps/arrangement_settings_nano-…"
  )


def _open(
    directory: pathlib.Path, sweep: notes.Sweep, experiment: str, tier: str
) -> tuple[list[Experiment], list[str]]:
  """The experiments of a sweep, one for each data set."""
  by_data: dict[str, dict[str, dict[int, curves.RunRecords]]] = {}
  unfinished = []
  for point, (order, seed) in sweep.points.items():
    path = notes.open_run(directory, point)
    if path is None:
      unfinished.append(point)
      continue
    data, _, arm = order.rpartition("-")
    by_arm = by_data.setdefault(data, {}).setdefault(arm, {})
    by_arm[seed] = curves.open_run(path)
  experiments = [
      Experiment(experiment, tier, data, arms, directory)
      for data, arms in by_data.items()
  ]
  missing = []
  if unfinished:
    missing = [f"not finished: {directory.name}: {', '.join(unfinished)}"]
  return experiments, missing


def _same_steps(run: curves.RunRecords, first: curves.RunRecords) -> bool:
  """Returns whether two runs have their losses at the same steps."""
  curve, expected = run.metrics.get(LOSS), first.metrics.get(LOSS)
  if curve is None or expected is None:
    return curve is expected
  return np.array_equal(curve.steps, expected.steps)


def _join(seeds: Iterable[int]) -> str:
  return ", ".join(map(str, sorted(seeds)))
