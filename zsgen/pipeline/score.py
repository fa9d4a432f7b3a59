"""Scores of training examples by a model: by the start, before the order."""

from collections.abc import Callable
import functools
import pathlib
import shutil
from typing import Any

import jax
import numpy as np

from zsgen.core import config as config_lib
from zsgen.core import errors, hosts
from zsgen.core import mesh as mesh_lib
from zsgen.data import store as store_lib
from zsgen.data import suite, tokenizers
from zsgen.evals import answer_stores, example_losses
from zsgen.orders import model_scores
from zsgen.pipeline import checks, contexts, features
from zsgen.pipeline import console as console_lib
from zsgen.train import finite, starts, trees

# Given parameters, returns what to do about a loss that is not finite.
Advise = Callable[[trees.Params], str]

# Tokens with loss that an example needs, if the first one does not count.
_LEAST = 2


def make_scorer(
    config: config_lib.Config,
    workdir: pathlib.Path,
    store: store_lib.Store,
    start: starts.Start,
    console: console_lib.Console,
) -> model_scores.Scorer:
  """Returns what scores and embeds the examples of a store by a model.

  Nothing is read or computed before it is needed.

  Args:
    config: the options, with the architecture of the start.
    workdir: the directory of all artifacts.
    store: the examples.
    start: the parameters that score; embedders may name others.
    console: prints the progress.
  """
  scoring = _Scoring(config, workdir, store, start, console)
  models = features.make_models(config, start)
  return model_scores.Scorer(scoring.recipe, scoring.obtain, models)


class _Scoring:
  """The scores of a config; see `make_scorer` for the arguments."""

  def __init__(
      self,
      config: config_lib.Config,
      workdir: pathlib.Path,
      store: store_lib.Store,
      start: starts.Start,
      console: console_lib.Console,
  ):
    self._config = config
    self._workdir = workdir
    self._store = store
    self._start = start
    self._console = console
    self._ids = store.split_ids(suite.TRAIN)

  def recipe(self, name: str) -> dict[str, Any]:
    """Returns all that decides the scores; weights by their content."""
    science = config_lib.science(self._config)
    del science["model"]["init"]
    return {
        "score": name,
        "store": self._store.fingerprint,
        "seed": self._config.init_seed,  # Draws new parameters.
        "model": science["model"],
        **self._start.recipe(),
    }

  def obtain(self, name: str) -> np.ndarray:
    """Returns the named score of each training example, float32 [n].

    Raises:
      InputError: an example is too long for the model, or has no answer token;
        a loss is not finite; or the artifact is damaged.
    """
    recipe = self.recipe(name)
    values = model_scores.find(self._workdir, recipe)
    if values is None:
      self._compute(name, recipe)
      values = model_scores.find(self._workdir, recipe)
    assert values is not None, "the first process has just written them"
    path = model_scores.path_of(self._workdir, recipe)
    self._console.log(f"scores   {path}")
    return values

  def _compute(self, name: str, recipe: dict[str, Any]) -> None:
    """Computes scores, and writes them."""
    mesh = mesh_lib.make(self._config.machine.mesh)
    losses = Losses(
        self._config, self._store, self._ids, mesh, self._console.log
    )
    losses.check(name)
    path = model_scores.path_of(self._workdir, recipe)
    partial = path.with_name(f".{path.name}.partial")
    self._console.log(f"scores   {name} by {self._start.description}")
    rules = self._config.machine.mesh.rules
    params = self._start.load_all(mesh, rules)
    values = losses.compute(name, params, self._advise, partial)
    if hosts.is_first():
      shape = dict(mesh.shape)
      model_scores.save(self._workdir, recipe, self._store, values, shape)
      shutil.rmtree(partial, ignore_errors=True)
    hosts.wait("the scores")

  def _advise(self, params: trees.Params) -> str:
    """Returns what to do about a loss of the start that is not finite."""
    beginning = finite.look_at(params, self._start.description)
    return finite.explain(beginning, self._config.model)


class Losses:
  """Scores of examples by losses of parameters.

  Args:
    config: the options, with the architecture of the parameters.
    store: the examples.
    ids: which of them, int64 [n].
    mesh: the devices.
    log: prints a line on the progress.
  """

  def __init__(
      self,
      config: config_lib.Config,
      store: store_lib.Store,
      ids: np.ndarray,
      mesh: jax.sharding.Mesh,
      log: Callable[[str], None],
  ):
    self._config = config
    self._store = store
    self._ids = ids
    self._mesh = mesh
    self._log = log

  def check(self, name: str) -> None:
    """Raises InputError for examples that the named score does not have."""
    checks.check_vocabulary(self._config)
    checks.check_lengths(self._config, self._store, [self._ids])
    least = _LEAST if name == "ifd" and self._begin is None else 1
    is_short = self._store.loss_lengths[self._ids] < least
    if is_short.any():
      raise errors.InputError(
          f"config.order.score is {name!r}, but {is_short.sum()} training"
          f" examples have fewer than {least} tokens with loss, the first is"
          f" example {self._ids[is_short.argmax()]}. Raise"
          " config.data.max_length, leave out config.data.unanswered, or use"
          " another score."
      )

  def compute(
      self,
      name: str,
      params: trees.Params,
      advise: Advise,
      partial: pathlib.Path,
  ) -> np.ndarray:
    """Returns the named score of each example, float [n].

    Args:
      name: one of `model_scores.NAMES`.
      params: all parameters, on the mesh.
      advise: returns what to do about a loss that is not finite.
      partial: a directory for what is computed; it survives a kill.

    Raises:
      InputError: a loss is not finite, or there is no ratio.
    """
    if name == "loss":
      return self._losses(self._store, params, advise, partial)
    views = {
        "prompt": answer_stores.AnswerStore(self._store, self._begin),
        "alone": answer_stores.PromptlessStore(self._store, self._begin),
    }
    losses = {
        part: (
            self._losses(view, params, advise, partial / part).astype(
                np.float64
            )
        )
        for part, view in views.items()
    }
    is_zero = losses["alone"] == 0
    if is_zero.any():
      raise errors.InputError(
          "config.order.score is 'ifd', but without their prompts"
          f" {is_zero.sum()} training examples have a loss of 0, the first is"
          f" example {self._ids[is_zero.argmax()]}: there is no ratio. Use"
          " another score, or other parameters."
      )
    return losses["prompt"] / losses["alone"]

  def _losses(
      self,
      store: store_lib.Store,
      params: trees.Params,
      advise: Advise,
      partial: pathlib.Path,
  ) -> np.ndarray:
    """Returns the mean loss of each example, float32 [n].

    Raises:
      InputError: a loss is not finite.
    """
    context = contexts.make(self._config, store, self._mesh)
    values = example_losses.compute(
        params, self._ids, context, partial, self._log
    )
    is_wrong = ~np.isfinite(values)
    count, first = hosts.broadcast(
        "losses", [int(is_wrong.sum()), int(is_wrong.argmax())]
    )
    if count:
      advice = advise(params)
      shutil.rmtree(partial, ignore_errors=True)
      raise errors.InputError(
          f"config.order.score: the loss of {count} of {len(values)} training"
          f" examples is not finite, the first is example {self._ids[first]}."
          f" {advice}"
      )
    return values

  @functools.cached_property
  def _begin(self) -> int | None:
    """The token that begins a text; None if there is none."""
    return tokenizers.load(self._store.path / store_lib.TOKENIZER).bos_id
