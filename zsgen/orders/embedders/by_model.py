"""What an embedder by a decoder provides, and what it is given.

A layer above reads the parameters: those that a run starts from, or those of a
checkpoint of any run. Nothing here imports jax.
"""

import abc
from collections.abc import Callable
import dataclasses
import pathlib
import shutil
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import numpy as np

from zsgen.core import config, errors, schema, storage
from zsgen.core.schema import option
from zsgen.data import store as store_lib
from zsgen.data import tokenizers
from zsgen.orders.embedders import encoded

if TYPE_CHECKING:
  import jax

  from zsgen.models import model as model_lib


@dataclasses.dataclass(frozen=True)
class Options:
  """The option of all embedders by a model."""

  # Element type of the model's activations when it embeds.
  feature_dtype: str = option("float32", choices=("float32", "bfloat16"))


class Adam(NamedTuple):
  """The optimizer's constants at a checkpoint.

  Attributes:
    count: the number of updates so far.
    b1: decay of the first moment.
    b2: decay of the second moment.
    eps: is added outside of the square root.
    learning_rate: of the update that led to the checkpoint.
  """

  count: int
  b1: float
  b2: float
  eps: float
  learning_rate: float


class Loaded(NamedTuple):
  """A model and its parameters on a mesh.

  Attributes:
    model: the model, which computes on the mesh.
    trained: the parameters that are trained.
    frozen: the others; {} without adapters.
    mesh: the devices, which do not split the positions of rows.
    description: what the parameters are, for people.
    moments: the first and the second moments of the trained parameters; None
      if they were not asked for, or before the first step.
    adam: the optimizer's constants; None without moments.
    advice: what to do if they give vectors that are not finite.
  """

  model: "model_lib.Model"
  trained: Any
  frozen: Any
  mesh: "jax.sharding.Mesh"
  description: str
  moments: tuple[Any, Any] | None = None
  adam: Adam | None = None
  advice: str = "Use other parameters."


class Models(NamedTuple):
  """Gives models by the name of a checkpoint.

  The name is "RUN@STEP", or "" for the run's own parameters: those that it
  starts from, or those of a step before which its order is arranged anew.

  Attributes:
    recipe: returns all that decides the parameters, as JSON values.
    shapes: returns the architecture, and the shapes of the trained parameters.
    load: reads a checkpoint, given its name, the element type of activations
      and whether its moments are read.
  """

  recipe: Callable[[str], dict[str, Any]]
  shapes: Callable[[str], tuple[config.Model, Any]]
  load: Callable[[str, str, bool], Loaded]


def _refuse(*_: Any) -> NoReturn:
  """Raises InputError: there is no model here."""
  raise errors.InputError(
      "config.order.embedder needs the model of a config: make the order by"
      " python -m zsgen.main --stage=order."
  )


# Stands where no model is known.
NO_MODELS = Models(_refuse, _refuse, _refuse)


class ModelEmbedder(abc.ABC):
  """An embedder that reads the rows of a store by a model."""

  @property
  @abc.abstractmethod
  def checkpoints(self) -> tuple[str, ...]:
    """Names of the checkpoints that it reads, see `Models`."""

  @property
  def reads_run(self) -> bool:
    """Whether it reads parameters that training changes."""
    return not all(self.checkpoints)

  @abc.abstractmethod
  def parameters(self) -> dict[str, Any]:
    """Returns what determines its vectors beside the models, as JSON values."""

  @abc.abstractmethod
  def check(self, models: Models) -> None:
    """Raises InputError for options that do not fit a model."""

  @abc.abstractmethod
  def embed_rows(
      self,
      store: store_lib.Store,
      ids: np.ndarray,
      text: str,
      models: Models,
      partial: pathlib.Path,
      log: Callable[[str], None],
  ) -> encoded.Encoded:
    """Embeds examples of a store, on all devices of all processes.

    Args:
      store: the examples.
      ids: which of them, rows of the store, int64 [n].
      text: `config.order.text`.
      models: gives the parameters.
      partial: a directory for what should survive a kill.
      log: is called with lines about the progress.

    Returns:
      Their vectors, float32 [n, D], the same in every process.

    Raises:
      InputError: the examples do not fit the model, or a vector is not finite.
    """


def check_checkpoint(name: str, location: str) -> None:
  """Raises InputError for a name of a checkpoint that is not "RUN@STEP"."""
  run, _, step = name.rpartition("@")
  if not (run and step.isascii() and step.isdigit()):
    raise errors.InputError(
        f"{location} is {schema.show(name)}; it must be a run's directory or"
        " URL, @ and the number of a step: 'RUN@STEP'."
    )
  if storage.is_url(run):
    storage.check_workdir(run, location)


def check_rows(
    store: store_lib.Store, lengths: np.ndarray, arch: config.Model
) -> None:
  """Raises InputError for rows that a model cannot read.

  Args:
    store: the rows.
    lengths: the tokens that are read of each, int [n].
    arch: the architecture of the model.
  """
  vocabulary = tokenizers.load(store.path / store_lib.TOKENIZER).vocab_size
  if vocabulary > arch.vocab_size:
    raise errors.InputError(
        f"config.order.embedder: the tokenizer of {store.path} has {vocabulary}"
        f" ids, but the model that embeds has {arch.vocab_size} rows for them."
        " Use a checkpoint of a run with this tokenizer."
    )
  longest = int(lengths.max())
  if longest > arch.max_positions:
    raise errors.InputError(
        f"config.order.embedder: the longest example has {longest} tokens, but"
        f" the model that embeds has {arch.max_positions} positions. Lower"
        " config.data.max_length, or raise config.model.max_positions."
    )


def check_finite(
    vectors: np.ndarray, ids: np.ndarray, loaded: Loaded, partial: pathlib.Path
) -> None:
  """Raises InputError for vectors that are not finite.

  Args:
    vectors: float32 [n, D].
    ids: the example of each, int64 [n].
    loaded: the parameters.
    partial: the directory of computed vectors, which is deleted then.
  """
  is_wrong = ~np.isfinite(vectors).all(axis=1)
  if is_wrong.any():
    shutil.rmtree(partial, ignore_errors=True)
    advice = loaded.advice
    if loaded.model.arch.dtype != "float32":
      advice = "Set config.order.feature_dtype='float32'."
    raise errors.InputError(
        f"config.order.embedder: the vectors of {is_wrong.sum()} of {len(ids)}"
        f" examples are not finite, the first is example"
        f" {ids[is_wrong.argmax()]}. They come from: {loaded.description}."
        f" {advice}"
    )
