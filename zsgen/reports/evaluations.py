"""Reads what `--stage=evaluate` wrote, as a run with one evaluation."""

import functools
import pathlib

import numpy as np

from zsgen.core import artifacts, saved_config
from zsgen.core import config as config_lib
from zsgen.evals import once
from zsgen.reports import curves


class EvaluationRecords(curves.RunRecords):
  """An evaluation without training: a run of no steps, evaluated at step 0."""

  @functools.cached_property
  def metrics(self) -> dict[str, curves.Curve]:
    """The metrics of metrics.json by path, each at step 0."""
    values = artifacts.read_json(self.path / once.METRICS)
    return {
        name: curves.Curve(np.zeros(1, np.int64), np.array([value], np.float64))
        for name, value in values.items()
    }

  def evaluation(self, name: str) -> curves.Evaluation:
    """Reads the losses of every example of the evaluation `name`."""
    path = self.path / "evals" / name
    losses, ids = (
        artifacts.load_array(path / f"{array}.npy") for array in ("loss", "ids")
    )
    return curves.Evaluation(np.zeros(1, np.int64), ids, losses)

  def prediction_file(self, name: str, step: int) -> pathlib.Path:
    """Returns the path of the answers that an evaluation wrote."""
    del step  # There is one.
    return self.path / "evals" / name / "predictions.jsonl"


def open_evaluation(path: pathlib.Path) -> EvaluationRecords:
  """Opens the directory of an evaluation.

  Raises:
    InputError: it is not an evaluation, or it is damaged.
  """
  manifest = artifacts.read_manifest(path, "evaluation")
  artifacts.check_files(path, manifest["files"])
  config = read_config(path)
  curves.check_versions(path, manifest, config)
  return records(path, config, (path / manifest["store"]).resolve())


def records(
    path: pathlib.Path, config: config_lib.Config, store: pathlib.Path
) -> EvaluationRecords:
  """Returns the records of an evaluation; files are not checked."""
  return EvaluationRecords(
      path=path,
      config=config,
      steps=0,
      batch_size=0,
      store=store,
      order=path,  # It has none.
  )


def read_config(path: pathlib.Path) -> config_lib.Config:
  """Reads the config of an evaluation; its files are not checked.

  Raises:
    InputError: the config is damaged.
  """
  values = artifacts.read_json(path / "config.json")
  return saved_config.read(values, f"{path}/config.json")
