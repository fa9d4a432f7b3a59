"""Runs on the source rewrites: found and opened."""

from collections.abc import Sequence
import dataclasses
import functools
import pathlib
from typing import Any

from zsgen.core import errors
from zsgen.reports import curves, notes
from zsgen.rewrites import evaluator
from zsgen.rewrites.source import counts
from zsgen.rewrites.source import options as rewrites_options

UNSEEN, SEEN = "unseen", "seen"
# Evaluations of exact match; older configs have the first one.
EXACT = ("exact", evaluator.NAME)


@dataclasses.dataclass(frozen=True)
class Rewriting:
  """A finished run on rewrites."""

  run: curves.Run

  @property
  def options(self) -> rewrites_options.Rewrites:
    """What rules and examples it had."""
    data: Any = self.run.config.data  # Of the source `rewrites`.
    return data.rewrites

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

  def exact(self, split: str) -> str | None:
    """Returns the name of the exact evaluation on a split; None without."""
    for name, spec in self.run.config.evals.items():
      if spec.type in EXACT and spec.split == split:
        return name
    return None

  def curve(self, split: str, kind: str = "exact_match") -> curves.Curve | None:
    """A metric of the exact evaluation on a split; None without."""
    return self.run.metrics.get(f"{self.exact(split)}/{kind}")

  def final(self, split: str, kind: str = "exact_match") -> float | None:
    """The last value of such a metric; None without."""
    curve = self.curve(split, kind)
    return None if curve is None else float(curve.values[-1])


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


def _runs(path: pathlib.Path) -> list[pathlib.Path]:
  """The runs that a path names, finished or not."""
  path = path.absolute()
  if (path / "config.json").exists():
    return [path]
  if (path / "points").is_dir():
    points = sorted((path / "points").glob("*.json"))
    workdir = path.parents[1]
    return [workdir / notes.read_run(note) for note in points]
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
        f"{path}: has no evaluation of type {evaluator.NAME!r} on the split"
        f" {UNSEEN!r}: there is nothing to report. Set config.evals as in configs/rewrites/."
    )
  return found
