"""Gradients of single examples as vectors (LESS, 2402.04333).

The product of the vectors of a training example and a held-out one estimates
how much a step on the first lowers the loss of the second: it is the mean of
the cosines of their gradients at several checkpoints, weighted by the learning
rates there. Gradients of training examples are preconditioned as Adam does.
"""

from collections.abc import Callable
import dataclasses
import math
import pathlib
from typing import TYPE_CHECKING, Any

import numpy as np

from zsgen.core import errors, registry
from zsgen.core.schema import option
from zsgen.data import store as store_lib
from zsgen.data import suite
from zsgen.orders.embedders import by_model, encoded

# Tools on orders do without jax.
if TYPE_CHECKING:
  import jax

  from zsgen.orders.embedders import row_batches

_LOCATION = "config.order"
# Tokens of a device's batch, including padding, and the most bytes of the
# gradients of its examples.
_TOKENS, _BYTES = 8192, 2**28
_FLOAT_BYTES = 4
# Vectors whose norms are computed together.
_ROWS = 1024


@dataclasses.dataclass(frozen=True)
class Options(by_model.Options):
  """The options of `gradient`."""

  # Checkpoints at whose parameters gradients are taken, each "RUN@STEP": a
  # run's directory or URL, and a step. (): the parameters that the run starts
  # from, without moments of Adam, and, when its order is arranged anew, those
  # at that step, with their moments.
  checkpoints: tuple[str, ...] = option((), machine=True)
  # Trained parameters (in a run with adapters, the adapters) by which gradients
  # are taken: a regular expression for their whole path, such as
  # r"blocks/.*/mlp/.*".
  gradient_parameters: str = option(".*", kind="regex")
  # Number of dimensions to which the gradients of each checkpoint are
  # projected.
  gradient_dim: int = option(
      512, low=1, high=2**20, why="a block of the projection is held in memory"
  )
  # Seed of the random projection.
  projection_seed: int = option(0, low=0, high=2**32 - 1)

  @staticmethod
  def check(section: Any, location: str) -> None:
    """Raises InputError for options that contradict each other."""
    for number, name in enumerate(section.checkpoints):
      by_model.check_checkpoint(name, f"{location}.checkpoints[{number}]")
    if section.text != "prompt+answer":
      raise errors.InputError(
          f"{location}.text is {section.text!r}, but {location}.embedder is"
          " 'gradient': an example without its answer has no loss to"
          " differentiate. Set text='prompt+answer'."
      )


@registry.embedder("gradient", options=Options)
class Gradient(by_model.ModelEmbedder):
  """Projected gradients at one or several checkpoints."""

  def __init__(self, options: Options):
    self._options = options

  @property
  def checkpoints(self) -> tuple[str, ...]:
    """The names of the checkpoints."""
    return self._options.checkpoints or ("",)

  def parameters(self) -> dict[str, Any]:
    """Returns what determines the vectors beside the models."""
    options = self._options
    return dict(
        parameters=options.gradient_parameters,
        dim=options.gradient_dim,
        seed=options.projection_seed,
        dtype=options.feature_dtype,
    )

  def check(self, models: by_model.Models) -> None:
    """Raises InputError if there are too few parameters to project."""
    for name in self.checkpoints:
      _, shapes = models.shapes(name)
      self._check_size(shapes)

  def embed_rows(
      self,
      store: store_lib.Store,
      ids: np.ndarray,
      text: str,
      models: by_model.Models,
      partial: pathlib.Path,
      log: Callable[[str], None],
  ) -> encoded.Encoded:
    """Embeds examples of a store; see `by_model.ModelEmbedder`."""
    del text  # It is checked.
    _check_losses(store, ids)
    names, dim = self.checkpoints, self._options.gradient_dim
    vectors = np.empty((len(ids), len(names) * dim), np.float32)
    parts = np.split(vectors, len(names), axis=1)  # Views.
    rates = [
        self._embed_at(name, store, ids, models, partial / str(i), log, part)
        for i, (name, part) in enumerate(zip(names, parts, strict=True))
    ]
    for part, weight in zip(parts, _weights(rates), strict=True):
      np.multiply(part, weight, out=part)
    return encoded.Encoded(vectors)

  def _embed_at(
      self,
      name: str,
      store: store_lib.Store,
      ids: np.ndarray,
      models: by_model.Models,
      partial: pathlib.Path,
      log: Callable[[str], None],
      out: np.ndarray,
  ) -> float:
    """Writes vectors of length 1 at a checkpoint; returns its learning rate."""
    arch, _ = models.shapes(name)
    by_model.check_rows(store, store.lengths[ids], arch)
    loaded = models.load(name, self._options.feature_dtype, True)
    log(f"gradient of the losses of {loaded.description}")
    compute(loaded, store, ids, self._options, partial, log, out)
    by_model.check_finite(out, ids, loaded, partial)
    _scale_to_unit(out, ids, loaded)
    return loaded.adam.learning_rate if loaded.adam else 1.0

  def _check_size(self, shapes: Any) -> None:
    """Raises InputError for fewer parameters than dimensions, or none."""
    from zsgen.orders.embedders import example_gradients

    options = self._options
    subset, rest = example_gradients.select(shapes, options.gradient_parameters)
    count = sum(math.prod(leaf.shape) for leaf in subset.values())
    if not subset:
      raise errors.InputError(
          f"{_LOCATION}.gradient_parameters is"
          f" {options.gradient_parameters!r}, which fully matches no trained"
          f" parameter. They are: {', '.join(rest)}."
      )
    if options.gradient_dim > count:
      raise errors.InputError(
          f"{_LOCATION}.gradient_dim is {options.gradient_dim}, but the"
          f" gradient has {count} elements: the projection would be larger than"
          " what it projects. Lower it, or choose more parameters by"
          f" {_LOCATION}.gradient_parameters."
      )


def compute(
    loaded: by_model.Loaded,
    store: store_lib.Store,
    ids: np.ndarray,
    options: Options,
    partial: pathlib.Path | None = None,
    log: Callable[[str], None] = lambda line: None,
    out: np.ndarray | None = None,
) -> np.ndarray:
  """Returns projected gradients of examples at given parameters.

  With several processes, all of them must call this; all have the result.

  Args:
    loaded: the model and its parameters, on a mesh. With moments, gradients of
      training examples are preconditioned.
    store: the examples.
    ids: rows of the store, int64 [n].
    options: the parameters to differentiate by, and the projection.
    partial: a directory for vectors that should survive a kill; None keeps
      them in memory only.
    log: is called with lines about the progress.
    out: an array for the vectors; None makes one.

  Returns:
    The vectors, float32 [n, `gradient_dim`], not scaled.
  """
  from zsgen.core import mesh as mesh_lib
  from zsgen.orders.embedders import example_gradients, row_batches

  mesh = loaded.mesh
  shards = mesh_lib.row_shards(mesh)
  embed, size = example_gradients.make(
      loaded,
      options.gradient_parameters,
      options.projection_seed,
      options.gradient_dim,
  )
  rows = max(1, _BYTES // (_FLOAT_BYTES * size))
  plan = row_batches.Plan(
      store,
      ids,
      store.lengths[ids],
      lambda length: max(1, min(rows, _TOKENS // length)) * shards,
  )
  training = store.split_ids(suite.TRAIN)

  def call(ids: np.ndarray, batch: "row_batches.RowBatch") -> "jax.Array":
    """Returns the vectors of a batch."""
    flags = np.isin(ids, training)
    return embed(mesh_lib.put(flags, mesh_lib.batch_sharding(mesh)), batch)

  if out is None:
    out = np.empty((len(ids), options.gradient_dim), np.float32)
  output = row_batches.Output(out, partial, log, "gradient")
  return row_batches.compute(plan, call, mesh, output)


def _check_losses(store: store_lib.Store, ids: np.ndarray) -> None:
  """Raises InputError for examples whose loss has no gradient."""
  is_empty = store.loss_lengths[ids] == 0
  if is_empty.any():
    raise errors.InputError(
        f"{_LOCATION}.embedder is 'gradient', but {is_empty.sum()} examples"
        f" have no token with loss, the first is example"
        f" {ids[is_empty.argmax()]}."
        " Raise config.data.max_length, or leave out config.data.unanswered."
    )


def _scale_to_unit(
    vectors: np.ndarray, ids: np.ndarray, loaded: by_model.Loaded
) -> None:
  """Scales vectors to length 1 in place, float32 [n, d].

  Raises:
    InputError: a gradient is zero.
  """
  norms = np.concatenate(
      [
          np.linalg.norm(vectors[i : i + _ROWS].astype(np.float64), axis=1)
          for i in range(0, len(vectors), _ROWS)
      ]
  )
  is_zero = norms == 0
  if is_zero.any():
    raise errors.InputError(
        f"{_LOCATION}.embedder is 'gradient', but the gradients of"
        f" {is_zero.sum()} examples are zero, the first is that of example"
        f" {ids[is_zero.argmax()]}, at {loaded.description}. Choose other"
        f" parameters by {_LOCATION}.gradient_parameters."
    )
  np.divide(vectors, norms[:, None], out=vectors, casting="same_kind")


def _weights(rates: list[float]) -> list[np.float32]:
  """Returns the factor of the vectors of each checkpoint.

  The squares are the learning rates' shares of their sum.

  Raises:
    InputError: all learning rates are 0.
  """
  total = sum(rates)
  if len(rates) == 1:
    return [np.float32(1)]
  if not total:
    raise errors.InputError(
        f"{_LOCATION}.checkpoints: the learning rate is 0 at all of them, so"
        " they have no weights. Name others, or a single one."
    )
  return [np.float32(math.sqrt(rate / total)) for rate in rates]
