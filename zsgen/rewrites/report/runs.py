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

UNSEEN, SEEN_SPLIT = "unseen", "seen"
# Evaluations of exact match; older configs have the first one.
EXACT = ("exact", evaluator.NAME)


@dataclasses.dataclass(frozen=True)
class Rewriting:
  """A finished run on rewrites."""

  run: curves.RunRecords

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
  def example_count(self) -> int:
    """The number of training examples of all rules."""
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
    """Returns a metric of the exact evaluation on a split, or None."""
    return self.run.metrics.get(f"{self.exact(split)}/{kind}")

  def final(self, split: str, kind: str = "exact_match") -> float | None:
    """Returns the last value of such a metric, or None."""
    curve = self.curve(split, kind)
    return None if curve is None else float(curve.values[-1])


def find(
    paths: Sequence[pathlib.Path],
) -> tuple[list[Rewriting], list[pathlib.Path]]:
  """Opens finished runs.

  Args:
    paths: directories of runs, of several runs, workdirs, or sweeps.

  Returns:
    The finished runs, and the paths of the unfinished ones.

  Raises:
    InputError: there is nothing, a run is damaged, or of another source.
  """
  candidates = list(dict.fromkeys(run for path in paths for run in _runs(path)))
  ended = [path for path in candidates if (path / "result.json").exists()]
  unfinished = [path for path in candidates if path not in ended]
  if not ended:
    note = f"; {len(unfinished)} are not" if unfinished else ""
    raise errors.InputError(
        f"{', '.join(map(str, paths))}: there is no finished run{note}. Name"
        " runs, a directory of runs, or a sweep's directory."
    )
  return [_open(path) for path in ended], unfinished


def _runs(path: pathlib.Path) -> list[pathlib.Path]:
  """The runs that a path names, finished or not."""
  path = path.absolute()
  if (path / "config.json").exists():
    return [path]
  if runs := notes.open_runs(path):
    return runs
  inside = path / "runs" if (path / "runs").is_dir() else path
  return sorted(file.parent for file in inside.glob("*/config.json"))


def _open(path: pathlib.Path) -> Rewriting:
  """Opens a run on rewrites.

  Raises:
    InputError: it is another run, or has no accuracy on unseen rules.
  """
  run = curves.open_run(path)
  if run.config.data.source != "rewrites":
    raise errors.InputError(
        f"{path}: its source is {run.config.data.source!r}, not 'rewrites'."
        " Name only runs on rewrites."
    )
  rewriting = Rewriting(run)
  if rewriting.final(UNSEEN) is None:
    raise errors.InputError(
        f"{path}: has no evaluation of type {evaluator.NAME!r} on the split"
        f" {UNSEEN!r}: there is nothing to report. Set config.evals as in"
        " configs/rewrites/."
    )
  return rewriting
