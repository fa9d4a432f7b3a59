"""Opens the run that `config.fork` names, and checks that a config fits it.

Nothing is made or computed: all of it comes before any work.
"""

from collections.abc import Iterator, Mapping
import json
import pathlib
from typing import Any

from zsgen import evals
from zsgen.core import artifacts, errors, storage
from zsgen.core import config as config_lib
from zsgen.data import prepare
from zsgen.data import store as store_lib
from zsgen.train import lineage, run_copies, starts

# Of `config.probe`: when its examples are evaluated.
_PROBE_TIMES = ("every_steps", "steps", "around")
# Of `config.train`: what the checkpoint and the records of a step depend on.
_TRAIN = ("batch_size", "first_moment", "ema", "mean_of", "mean_every")


def open_fork(
    config: config_lib.Config, start: starts.Start, workdir: pathlib.Path
) -> lineage.Fork | None:
  """Returns what a run is forked from; None if it begins with step 0.

  Args:
    config: with the architecture and the adapters of the start.
    start: the parameters that the parent must have begun with.
    workdir: the directory of all artifacts.

  Raises:
    InputError: there is no such run, or the config does not fit it.
  """
  if not config.fork:
    return None
  path, step = _locate(config.fork, workdir)
  run_copies.refresh(path)
  if not path.is_dir():
    raise errors.InputError(
        f"config.fork is {config.fork!r}, but there is no directory {path}. Give"
        " that of a run and a step: 'workdir/runs/NAME@100'."
    )
  manifest = artifacts.read_manifest(path, "run")
  parent_recipe = manifest["made_by"]
  for name, value, expected in _compare_options(
      _common_options(parent_recipe), config, start
  ):
    raise errors.InputError(
        f"config.fork: config.{name} is {value!r}, but {expected!r} in {path}."
        " A fork has the model, the batch size, the moments and the evaluations"
        " of its parent: set this option as there. To begin with its parameters"
        " alone, set config.model.init='run:RUN@STEP' instead of config.fork."
    )
  _check_data(config, path, manifest)
  identity = artifacts.digest(parent_recipe)
  return lineage.Fork(path.resolve(), step, config.fork_order, identity)


def _locate(option: str, workdir: pathlib.Path) -> tuple[pathlib.Path, int]:
  """Returns the directory of the run that `config.fork` names, and the step.

  The parent of a run in a bucket must be in the same workdir: the fork's
  manifest has its relative path, which all hosts can follow.

  Raises:
    InputError: the parent of a run in a bucket is elsewhere, or that of a local
      run is in a bucket.
  """
  name, _, _ = option.rpartition("@")
  mounted = storage.find(workdir)
  if not mounted and not storage.is_url(name):
    return lineage.parse(option)
  if mounted and not storage.is_url(name):
    raise errors.InputError(
        f"config.fork is {option!r}, which is local to this host, but the fork"
        " is in a bucket. Give a run of the same workdir:"
        f" '{mounted.url}/runs/NAME@100'. Or use a local --workdir."
    )
  url = storage.check_workdir(name, "config.fork")
  parent, _, run = url.rpartition("/runs/")
  if not mounted or parent != mounted.url or not run or "/" in run:
    location = mounted.url if mounted else "local"
    raise errors.InputError(
        f"config.fork is {option!r}, but --workdir is {location}. A run in a bucket"
        " can be forked in its own workdir only: set"
        f" --workdir={parent or 'gs://BUCKET/PATH'}, and fork a run of it,"
        " 'gs://BUCKET/PATH/runs/NAME@100'."
    )
  return workdir / "runs" / run, int(option.rpartition("@")[2])


def check_store(fork: lineage.Fork, store: store_lib.Store) -> None:
  """Raises InputError if the parent's order is one of another store."""
  manifest = artifacts.read_manifest(fork.run, "run")
  order = (fork.run / manifest["order"]).resolve()
  fingerprint = artifacts.read_manifest(order, "order")["made_by"]["store"]
  if fingerprint != store.fingerprint:
    raise errors.InputError(
        f"config.fork: {fork.run} was trained on another store"
        f" ({fingerprint[:12]}…) than {store.path}"
        f" ({store.fingerprint[:12]}…). A fork has the data of its parent: set"
        " config.data and its seed as there."
    )


def _common_options(recipe: Mapping[str, Any]) -> dict[str, Any]:
  """Returns what a fork has in common with its parent, by option.

  Args:
    recipe: all that decides the result of a run.
  """
  lora, probe = (dict(recipe.get(name, {})) for name in ("lora", "probe"))
  if lora:
    lora["init"] = lora.pop("adapters")
  common = {
      "model": {**recipe["model"], "init": recipe["weights"]},
      "lora": lora,
      "train": {name: recipe["train"].get(name) for name in _TRAIN},
      "evals": {
          name: {k: v for k, v in spec.items() if k != "every_steps"}
          for name, spec in recipe["evals"].items()
      },
      "probe": {k: v for k, v in probe.items() if k not in _PROBE_TIMES},
  }
  if lora:  # The base that is not trained may be drawn from the seed.
    seed = recipe["train"].get("seed")
    common["train"]["seed"] = recipe["seed"] if seed is None else seed
  return _flatten(common)


def _compare_options(
    expected: Mapping[str, Any],
    config: config_lib.Config,
    start: starts.Start,
) -> Iterator[tuple[str, Any, Any]]:
  """Yields options that differ from the parent's, and both their values."""
  science = config_lib.science(config)
  science["model"].pop("init")
  actual = _common_options(
      {
          **{name: science[name] for name in ("seed", "model", "train")},
          "evals": {
              name: evals.science(spec) for name, spec in config.evals.items()
          },
          **start.recipe(),
          "probe": science.get("probe", {}),
      }
  )
  yield from _differences(actual, expected)


def _check_data(
    config: config_lib.Config, path: pathlib.Path, manifest: Mapping[str, Any]
) -> None:
  """Raises InputError for other data, if the parent's store is still there.

  The files that rows come from may have moved; `check_store` compares content.
  """
  store = (path / manifest["store"]).resolve()
  if not artifacts.exists(store):
    return
  recipe = prepare.recipe_of(config.data, config.data_seed)
  parent_recipe = artifacts.read_manifest(store, "store")["made_by"]
  actual, expected = (
      _flatten(
          {
              name: value
              for name, value in json.loads(json.dumps(values)).items()
              if name != "path"
          }
      )
      for values in (recipe, parent_recipe)
  )
  for name, value, parent_value in _differences(actual, expected):
    raise errors.InputError(
        f"config.fork: config.data.{name} is {value!r}, but {parent_value!r} in the"
        f" data of {path}. A fork has the data of its parent: set"
        f" config.data.{name} as there."
    )


def _differences(
    actual: Mapping[str, Any], expected: Mapping[str, Any]
) -> Iterator[tuple[str, Any, Any]]:
  """Yields names with two values, and both of them."""
  for name in sorted({*actual, *expected}):
    if actual.get(name) != expected.get(name):
      yield name, actual.get(name), expected.get(name)


def _flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
  """Returns nested values by their dotted names, as JSON has them."""
  flat = {}
  for name, value in values.items():
    if isinstance(value, Mapping):
      flat |= _flatten(value, f"{prefix}{name}.")
    else:
      flat[f"{prefix}{name}"] = json.loads(json.dumps(value))
  return flat
