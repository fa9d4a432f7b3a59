"""Runs on rewrites put together by arms.

Runs of one arm differ in the number of rules and in the seed only.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from zsgen.core import artifacts, errors
from zsgen.core import config as config_lib
from zsgen.reports import origins
from zsgen.rewrites.report import runs as rewrites_runs

# What is no part of an arm: what it runs over, and how it is looked at.
_ACROSS = ("name", "seed", "order", "evals", "data.rewrites.rules")


class Arm(NamedTuple):
  """Runs that differ in the number of rules and in the seed.

  Attributes:
    label: what sets it apart from the other arms, by options that are not at
      their default ("plain" where all are); "all runs" for the only one.
    runs: by number of rules, ascending, and seed.
  """

  label: str
  runs: Mapping[int, Mapping[int, rewrites_runs.Rewriting]]

  @property
  def example_run(self) -> rewrites_runs.Rewriting:
    """One of its runs, for what all have in common."""
    return next(iter(next(iter(self.runs.values())).values()))

  def values(
      self, split: str = rewrites_runs.UNSEEN, kind: str = "exact_match"
  ) -> dict[int, dict[int, float]]:
    """Returns the last values of a metric by rules and seed, where known."""
    finals = {
        rules: {
            seed: value
            for seed, run in by_seed.items()
            if (value := run.final(split, kind)) is not None
        }
        for rules, by_seed in self.runs.items()
    }
    return {rules: by_seed for rules, by_seed in finals.items() if by_seed}

  def means(
      self, split: str = rewrites_runs.UNSEEN, kind: str = "exact_match"
  ) -> dict[int, float]:
    """Returns the means of `values` over seeds, by rules."""
    return {
        rules: sum(by_seed.values()) / len(by_seed)
        for rules, by_seed in self.values(split, kind).items()
    }


def arms(runs_found: Sequence[rewrites_runs.Rewriting]) -> list[Arm]:
  """Groups runs that differ in nothing but rules and seed.

  Raises:
    InputError: two runs of one arm have the same rules and seed, and are not
      the same.
  """
  science = [_science(options) for options in runs_found]
  names = list(dict.fromkeys(name for options in science for name in options))
  varied = [
      name
      for name in names
      if any(options.get(name) != science[0].get(name) for options in science)
  ]
  # Arms stand by their numbers, not by how these are written.
  by_number = sorted(
      zip(runs_found, science, strict=True),
      key=lambda pair: [pair[1][name] for name in varied],
  )
  by_label: dict[str, dict[int, dict[int, rewrites_runs.Rewriting]]] = {}
  for run, of_run in by_number:
    of_arm = by_label.setdefault(_label(of_run, varied), {})
    by_seed = of_arm.setdefault(run.options.rules, {})
    if run.seed in by_seed:
      _check_same(run, by_seed[run.seed])
    by_seed.setdefault(run.seed, run)
  return [
      Arm(label, {rules: runs[rules] for rules in sorted(runs)})
      for label, runs in by_label.items()
  ]


def arranged(order: config_lib.Order) -> str:
  """Describes the arrangements that an order is built of: "tmt nearest"."""
  if parts := getattr(order, "parts", ()):
    return "+".join(map(arranged, parts))
  pick = getattr(order, "pick", "")
  return " ".join(filter(None, (order.arrangement, pick)))


def _science(run: rewrites_runs.Rewriting) -> dict[str, Any]:
  """What decides the arm, flat: options, steps, and the order in words."""
  config = run.run.config
  flat = origins.flatten(config_lib.science(config))
  decisive = {
      name: value
      for name, value in flat.items()
      if not any(
          name == prefix or name.startswith(f"{prefix}.") for prefix in _ACROSS
      )
  }
  return {**decisive, "steps": run.run.steps, "order": arranged(config.order)}


def _label(of_run: Mapping[str, Any], varied: Sequence[str]) -> str:
  """Describes what sets an arm apart; defaults are left out."""
  if not varied:
    return "all runs"
  usual = origins.flatten(
      {
          **config_lib.science(config_lib.Config()),
          "data": config_lib.science(
              config_lib.build(config_lib.Data, source="rewrites")
          ),
      }
  )
  labels = [
      f"{_last(name)} {_format(of_run[name])}"
      for name in varied
      if name == "order" or of_run[name] != usual.get(name)
  ]
  return ", ".join(labels) or "plain"


def _last(name: str) -> str:
  return name.rpartition(".")[2].replace("_", " ")


def _format(value: Any) -> str:
  """A value in a label."""
  if isinstance(value, list | tuple):
    return "/".join(map(_format, value)) or "none"
  return f"{value:g}" if isinstance(value, float) else str(value)


def _check_same(
    run: rewrites_runs.Rewriting, duplicate: rewrites_runs.Rewriting
) -> None:
  """Two sweeps may have a point in common; it is the same then."""
  recipe, known = (
      artifacts.read_manifest(checked.run.path, "run")["made_by"]
      for checked in (run, duplicate)
  )
  if recipe != known:
    raise errors.InputError(
        f"{run.run.path} and {duplicate.run.path} have the same options, rules"
        " and seed, but are not the same. Report them apart."
    )
