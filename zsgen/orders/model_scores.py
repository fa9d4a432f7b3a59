"""Scores of the training examples by a model, an artifact of a workdir.

`scores/<name>-<hash>/` holds values.npy, float32 [n], a score for each training
example in the order of ids; and manifest.json. A layer above computes them.
"""

from collections.abc import Callable, Mapping
import pathlib
from typing import Any, NamedTuple, NoReturn

import numpy as np

from zsgen.core import artifacts, errors, hosts
from zsgen.data import store as store_lib
from zsgen.orders import computed
from zsgen.orders.embedders import by_model

VALUES = "values.npy"
# loss: the mean over the tokens with loss of an example, in nats. ifd: the
# mean loss of the answer with its prompt, over that without it (2308.12032).
NAMES = ("loss", "ifd")


class Scorer(NamedTuple):
  """What scores the training examples of a store by a model, or embeds all.

  Attributes:
    recipe: returns all that decides the named scores, as JSON values.
    obtain: returns the named score of each training example, float32 [n]; it
      is computed if it does not exist yet.
    models: gives the models of embedders by a model.
  """

  recipe: Callable[[str], dict[str, Any]]
  obtain: Callable[[str], np.ndarray]
  models: by_model.Models = by_model.NO_MODELS


def _refuse(name: str) -> NoReturn:
  """Raises InputError: there is no model here."""
  raise errors.InputError(
      f"config.order.score is {name!r}, which needs the model of a config: make"
      " the order by python -m zsgen.main --stage=order."
  )


# Stands where no model is known.
NO_SCORER = Scorer(_refuse, _refuse)


def path_of(root: pathlib.Path, recipe: dict[str, Any]) -> pathlib.Path:
  """Returns the path of the scores of a recipe in a workdir."""
  return root / "scores" / artifacts.name(recipe["score"], recipe)


def find(root: pathlib.Path, recipe: dict[str, Any]) -> np.ndarray | None:
  """Returns the scores of a recipe, float32 [n], or None if there are none.

  Raises:
    InputError: the artifact is damaged.
  """
  path = path_of(root, recipe)
  if not hosts.broadcast("scores", artifacts.exists(path)):
    return None
  hosts.await_file(path)
  manifest = artifacts.check_made_by(path, recipe)
  artifacts.check_files(path, manifest["files"])
  return artifacts.load_array(path / VALUES)


def save(
    root: pathlib.Path,
    recipe: dict[str, Any],
    store: store_lib.Store,
    values: np.ndarray,
    mesh: Mapping[str, int],
) -> None:
  """Writes the artifact, for `find`.

  Args:
    root: the workdir.
    recipe: all that decides the scores.
    store: the examples.
    values: the score of each training example, float [n].
    mesh: sizes of the axes of the devices that computed them.
  """
  with computed.writing(
      *(path_of(root, recipe), recipe, store, mesh),
      kind="scores",
      count=len(values),
  ) as partial:
    np.save(partial / VALUES, values.astype(np.float32))
