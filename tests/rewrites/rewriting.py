"""Runs on rewrites with accuracies that tests choose; nothing is trained."""

from collections.abc import Mapping
import json
import os
import pathlib

from zsgen.core import artifacts
from zsgen.core import config as config_lib
from zsgen.rewrites.source import options as rewrites_options

_STEPS = 4


def small_options(**changes) -> rewrites_options.Rewrites:
  """Returns options of few and short examples, but for those in `changes`."""
  small = {
      "rules": 50,
      "examples": 1000,
      "letters": 8,
      "x_length": 3,
      "y_length": 3,
      "z_length": 12,
      "distinct": "pair",
      "unseen": 60,
      "seen": 100,
  }
  return rewrites_options.Rewrites(**{**small, **changes})


def config(**options) -> config_lib.Config:
  """Returns the config of a run; options are those of config.data.rewrites."""
  evals = {
      name: {"type": "exact", "split": name, "every_steps": 2}
      for name in ("unseen", "seen")
  }
  evals["written"] = {"type": "generate", "split": "unseen"}
  small = {"x_length": 3, "y_length": 3, "z_length": 9, "unseen": 100}
  return config_lib.check(
      {
          "data": {
              "source": "rewrites",
              "prompt": "joined",
              "tokenizer": "rewrites",
              "rewrites": {"examples": 1000, **small, **options},
          },
          "order": {"arrangement": "random"},
          "evals": evals,
      }
  )


def write(
    root: pathlib.Path,
    accuracy: float,
    control: float = 1.0,
    seed: int = 0,
    store: pathlib.Path | None = None,
    changes: Mapping | None = None,
    **options,
) -> pathlib.Path:
  """Writes a finished run: accuracy on unseen rules, control on seen ones."""
  values = config_lib.to_dict(config(**options)) | {"seed": seed}
  values |= changes or {}
  recipe = {"options": options, "seed": seed, "c": changes}
  recipe["accuracy"] = accuracy
  path = root / "runs" / artifacts.name("run", recipe)
  path.mkdir(parents=True)
  artifacts.write_json(path / "config.json", values)
  manifest = {
      "kind": "run",
      "made_by": recipe,
      "store": os.path.relpath(store or root / "gone", path),
      "order": "gone",
      "batch_size": 4,
      "steps": _STEPS,
  }
  artifacts.write_manifest(path, manifest)
  with open(path / "metrics.jsonl", "w", encoding="utf-8") as log:
    for step, share in ((0, 0.0), (2, 0.25), (_STEPS, 1.0)):
      metrics = _metrics(accuracy * share, control * share, options)
      log.write(json.dumps({"step": step, **metrics}) + "\n")
  artifacts.write_json(path / "result.json", {})
  return path


def _metrics(
    unseen: float, control: float, options: Mapping
) -> dict[str, float]:
  metrics = {
      "unseen/exact_match": unseen,
      "unseen/has_op_exact_match": unseen,
      "unseen/token_accuracy": 0.5 + unseen / 2,
      "seen/exact_match": control,
  }
  if options.get("noop_share"):
    metrics["unseen/no_op_exact_match"] = 1.0
  return metrics
