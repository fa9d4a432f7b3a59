"""Hidden states of a decoder as vectors (RDS+, 2503.01807).

An example's vector is the mean of the hidden states of its tokens, in which the
i-th token has a weight of i. The tokens are those that training reads, template
and end token included.
"""

from collections.abc import Callable
import dataclasses
import pathlib
from typing import Any

import numpy as np

from zsgen.core import errors, registry
from zsgen.core.schema import option
from zsgen.data import store as store_lib
from zsgen.orders.embedders import by_model, encoded

# Tokens of a device's batch, including padding.
_TOKENS = 8192


@dataclasses.dataclass(frozen=True)
class Options(by_model.Options):
  """The options of `hidden`."""

  # Checkpoint whose parameters embed texts, "RUN@STEP": a run's directory or
  # URL, and a step. "": the parameters that the run starts from and, when its
  # order is arranged anew, those at that step.
  checkpoint: str = option("", machine=True)
  # Number of blocks after which hidden states are read. 0: those of the
  # embedding; -1: those of the last block, after the final norm.
  hidden_layer: int = option(-1, low=-1)

  @staticmethod
  def check(section: Any, location: str) -> None:
    """Raises InputError for a checkpoint that is not "RUN@STEP"."""
    if section.checkpoint:
      by_model.check_checkpoint(section.checkpoint, f"{location}.checkpoint")


@registry.embedder("hidden", options=Options)
class Hidden(by_model.ModelEmbedder):
  """Position-weighted means of hidden states."""

  def __init__(self, options: Options):
    self._options = options

  @property
  def checkpoints(self) -> tuple[str, ...]:
    """The name of the only checkpoint."""
    return (self._options.checkpoint,)

  def parameters(self) -> dict[str, Any]:
    """Returns what determines the vectors beside the model."""
    options = self._options
    return dict(layer=options.hidden_layer, dtype=options.feature_dtype)

  def check(self, models: by_model.Models) -> None:
    """Raises InputError if the model does not have the layer."""
    arch, _ = models.shapes(self._options.checkpoint)
    if self._options.hidden_layer > arch.layers:
      raise errors.InputError(
          f"config.order.hidden_layer is {self._options.hidden_layer}, but the"
          f" model has {arch.layers} blocks. Lower it; -1 is the last one."
      )

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
    arch, _ = models.shapes(self._options.checkpoint)
    by_model.check_rows(store, read_lengths(store, ids, text), arch)
    loaded = models.load(
        self._options.checkpoint, self._options.feature_dtype, False
    )
    log(f"hidden   states of {loaded.description}")
    layer = self._options.hidden_layer
    vectors = compute(loaded, store, ids, text, layer, partial, log)
    by_model.check_finite(vectors, ids, loaded, partial)
    return encoded.Encoded(vectors)


def compute(
    loaded: by_model.Loaded,
    store: store_lib.Store,
    ids: np.ndarray,
    text: str = "prompt+answer",
    layer: int = -1,
    partial: pathlib.Path | None = None,
    log: Callable[[str], None] = lambda line: None,
) -> np.ndarray:
  """Returns the vectors of examples under given parameters, float32 [n, D].

  With several processes, all of them must call this; all have the result.

  Args:
    loaded: the model and its parameters, on a mesh.
    store: the examples.
    ids: rows of the store, int64 [n].
    text: "prompt+answer", or "prompt" for the tokens before the first answer.
    layer: see `Options.hidden_layer`.
    partial: a directory for vectors that should survive a kill; None keeps
      them in memory only.
    log: is called with lines about the progress.
  """
  from zsgen.core import mesh as mesh_lib
  from zsgen.models import lora
  from zsgen.orders.embedders import pooling, row_batches

  shards = mesh_lib.row_shards(loaded.mesh)
  plan = row_batches.Plan(
      store,
      ids,
      read_lengths(store, ids, text),
      lambda length: max(1, _TOKENS // length) * shards,
  )
  params = lora.join(loaded.trained, loaded.frozen)
  pool = pooling.make(loaded.model, layer, loaded.mesh)
  vectors = np.empty((len(ids), loaded.model.arch.width), np.float32)
  return row_batches.compute(
      plan,
      lambda _, batch: pool(params, batch),
      loaded.mesh,
      row_batches.Output(vectors, partial, log, "hidden"),
  )


def read_lengths(
    store: store_lib.Store, ids: np.ndarray, text: str
) -> np.ndarray:
  """Returns the number of tokens that are read of each example, int [n].

  Args:
    store: the examples.
    ids: rows of the store, int64 [n].
    text: "prompt" for those before the first token with loss.

  Raises:
    InputError: a prompt has no tokens.
  """
  lengths = store.lengths[ids]
  if text != "prompt":
    return lengths
  first_losses = [int(store.row(i).mask.argmax()) for i in ids]
  lengths = np.where(store.loss_lengths[ids] > 0, first_losses, lengths)
  if not lengths.all():
    raise errors.InputError(
        f"config.order.text is 'prompt', but {(lengths == 0).sum()} examples"
        " have no token before their answer, the first is example"
        f" {ids[lengths.argmin()]}. Set config.order.text='prompt+answer'."
    )
  return lengths
