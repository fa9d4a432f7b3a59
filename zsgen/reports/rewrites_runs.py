"""Runs on the source rewrites: found, opened, and put together by arms.

Runs of one arm differ in the number of rules and in the seed only.
"""

from collections.abc import Mapping, Sequence
import dataclasses
import functools
import pathlib
from typing import Any, NamedTuple

from zsgen import artifacts, errors
from zsgen import config as config_lib
from zsgen.data.sources.rewrites import counts
from zsgen.reports import curves

UNSEEN, SEEN = "unseen", "seen"
# What is no part of an arm: what it runs over, and how it is looked at.
_ACROSS = ("name", "seed", "order", "evals", "data.rewrites.rules")


@dataclasses.dataclass(frozen=True)
class Rewriting:
  """A finished run on rewrites."""

  run: curves.Run

  @property
  def options(self) -> config_lib.Rewrites:
    """What rules and examples it had."""
    return self.run.config.data.rewrites

  @property
  def seed(self) -> int:
    """The seed of rules, examples and parameters."""
    return self.run.config.seed

  @property
  def kept(self) -> int:
    """Training examples of all rules together."""
    return round(self.options.examples * self.options.subsample)

  @functools.cached_property
  def effective(self) -> float:
    """Exp of the entropy of the rules' shares of the training examples."""
    return counts.effective(counts.of_rules(self.options, self.seed))

  def curve(self, split: str, kind: str = "exact_match") -> curves.Curve | None:
    """A metric of the evaluation of type exact on a split; None without."""
    for name, spec in self.run.config.evals.items():
      if spec.type == "exact" and spec.split == split:
        return self.run.metrics.get(f"{name}/{kind}")
    return None

  def final(self, split: str, kind: str = "exact_match") -> float | None:
    """The last value of such a metric; None without."""
    curve = self.curve(split, kind)
    return None if curve is None else float(curve.values[-1])


class Arm(NamedTuple):
  """Runs that differ in the number of rules and in the seed.

  Attributes:
    label: what sets it apart from the other arms; "all runs" for the only one.
    runs: by number of rules, ascending, and seed.
  """

  label: str
  runs: Mapping[int, Mapping[int, Rewriting]]

  @property
  def one(self) -> Rewriting:
    """Any of its runs, for what all have in common."""
    return next(iter(next(iter(self.runs.values())).values()))

  def values(
      self, split: str = UNSEEN, kind: str = "exact_match"
  ) -> dict[int, dict[int, float]]:
    """Last values of a metric by rules and seed; runs without are left out."""
    found = {
        rules: {
            seed: value
            for seed, run in by_seed.items()
            if (value := run.final(split, kind)) is not None
        }
        for rules, by_seed in self.runs.items()
    }
    return {rules: by_seed for rules, by_seed in found.items() if by_seed}

  def means(
      self, split: str = UNSEEN, kind: str = "exact_match"
  ) -> dict[int, float]:
    """Means of `values` over seeds, by rules."""
    return {
        rules: sum(by_seed.values()) / len(by_seed)
        for rules, by_seed in self.values(split, kind).items()
    }


def find(
    paths: Sequence[pathlib.Path],
) -> tuple[list[Rewriting], list[pathlib.Path]]:
  """Opens runs.

  Args:
    paths: directories of runs, of several runs, workdirs, or sweeps.

  Returns:
    The finished ones, and where those are that are not finished.

  Raises:
    InputError: there is nothing, a run is damaged, or of another source.
  """
  places = list(dict.fromkeys(run for path in paths for run in _runs(path)))
  ended = [path for path in places if (path / "result.json").exists()]
  left = [path for path in places if path not in ended]
  if not ended:
    said = f"; {len(left)} are not" if left else ""
    raise errors.InputError(
        f"{', '.join(map(str, paths))}: there is no finished run{said}. Name"
        " runs, a directory of runs, or a sweep's directory."
    )
  return [_open(path) for path in ended], left


def arms(found: Sequence[Rewriting]) -> list[Arm]:
  """Puts runs together, by what they were but for rules and seed.

  Raises:
    InputError: two runs of one arm have the same rules and seed, and are not
      the same.
  """
  science = [_science(each) for each in found]
  names = list(dict.fromkeys(name for each in science for name in each))
  apart = [
      name
      for name in names
      if any(each.get(name) != science[0].get(name) for each in science)
  ]
  by_label: dict[str, dict[int, dict[int, Rewriting]]] = {}
  for run, of_run in zip(found, science, strict=True):
    label = ", ".join(f"{_last(name)} {_said(of_run[name])}" for name in apart)
    of_arm = by_label.setdefault(label or "all runs", {})
    by_seed = of_arm.setdefault(run.options.rules, {})
    if run.seed in by_seed:
      _check_same(run, by_seed[run.seed])
    by_seed.setdefault(run.seed, run)
  return [
      Arm(label, {rules: runs[rules] for rules in sorted(runs)})
      for label, runs in sorted(by_label.items())
  ]


def arranged(order: config_lib.Order) -> str:
  """The arrangements that an order is made of in the end: "tmt nearest"."""
  if order.parts:
    return "+".join(map(arranged, order.parts))
  picks = {"tmt", "similarity", "transport"}
  pick = f" {order.pick}" if order.arrangement in picks else ""
  return f"{order.arrangement}{pick}"


def _runs(path: pathlib.Path) -> list[pathlib.Path]:
  """The runs that a path names, finished or not."""
  path = path.absolute()
  if (path / "config.json").exists():
    return [path]
  if (path / "points").is_dir():
    notes = sorted((path / "points").glob("*.json"))
    workdir = path.parents[1]
    return [workdir / artifacts.read_json(note)["run"] for note in notes]
  inside = path / "runs" if (path / "runs").is_dir() else path
  return sorted(each.parent for each in inside.glob("*/config.json"))


def _open(path: pathlib.Path) -> Rewriting:
  run = curves.open_run(path)
  if run.config.data.source != "rewrites":
    raise errors.InputError(
        f"{path}: its source is {run.config.data.source!r}, not 'rewrites'."
        " Name only runs on rewrites."
    )
  found = Rewriting(run)
  if found.final(UNSEEN) is None:
    raise errors.InputError(
        f"{path}: has no evaluation of type 'exact' on the split {UNSEEN!r}:"
        " there is nothing to report. Set config.evals as in configs/rewrites/."
    )
  return found


def _science(found: Rewriting) -> dict[str, Any]:
  """What decides the arm, flat: options, steps, and the order in words."""
  config = found.run.config
  flat = _flat(config_lib.science(config))
  kept = {
      name: value
      for name, value in flat.items()
      if not any(
          name == each or name.startswith(f"{each}.") for each in _ACROSS
      )
  }
  return {**kept, "steps": found.run.steps, "order": arranged(config.order)}


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
  flat = {}
  for key, value in values.items():
    if isinstance(value, Mapping):
      flat |= _flat(value, f"{prefix}{key}.")
    else:
      flat[f"{prefix}{key}"] = value
  return flat


def _last(name: str) -> str:
  return name.rpartition(".")[2].replace("_", " ")


def _said(value: Any) -> str:
  """A value in a label."""
  if isinstance(value, list | tuple):
    return "/".join(map(_said, value)) or "none"
  return f"{value:g}" if isinstance(value, float) else str(value)


def _check_same(run: Rewriting, other: Rewriting) -> None:
  """Two sweeps may have a point in common; it is the same then."""
  made, known = (
      artifacts.read_manifest(each.run.path, "run")["made_by"]
      for each in (run, other)
  )
  if made != known:
    raise errors.InputError(
        f"{run.run.path} and {other.run.path} have the same options, rules and"
        " seed, but are not the same. Report them apart."
    )
