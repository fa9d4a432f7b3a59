"""Reward models: a decoder with a linear map to one number.

A Hugging Face directory has it as a sequence classifier with one label
(Qwen3ForSequenceClassification and those of the other families), or in the
layout of UltraRM. The reward of a text is read at its last token.
"""

from collections.abc import Mapping
import dataclasses
import pathlib
from typing import Any

import jax
from jax import numpy as jnp
from jaxtyping import Float, Int
import numpy as np

from zsgen.core import config, errors
from zsgen.core import mesh as mesh_lib
from zsgen.models import decoder, hugging_face
from zsgen.models import execution as execution_lib
from zsgen.models import model as model_lib
from zsgen.models.arrays import Array
from zsgen.models.hugging_face import files

# Weights [1, width] of the map, by their name in the file.
_MAPS = ("score.weight", "regression_head.weight")


@dataclasses.dataclass(frozen=True)
class RewardModel:
  """A reward model as pure functions of its parameters.

  Attributes:
    directory: its files.
    arch: the architecture of the decoder.
    map_name: the name of the map's weight in the file.
    mesh: the devices.
  """

  directory: pathlib.Path
  arch: config.Model
  map_name: str
  mesh: jax.sharding.Mesh

  def load(self) -> dict[str, Any]:
    """Returns the parameters on the mesh: of the `decoder`, and the `map` [D].

    Raises:
      InputError: a file is damaged, or weights are missing or unexpected.
    """
    model = model_lib.Model.from_config(self.arch)
    shapes = jax.eval_shape(model.init, jax.random.key(0))
    shardings = mesh_lib.shardings(shapes, self.mesh)
    params = hugging_face.load(
        self.directory, self.arch, shardings, separate=_MAPS
    )
    tensors = files.Tensors(self.directory)
    (weights,) = tensors.map_rows(self.map_name, slice(0, 1))
    vector = np.asarray(weights).astype(np.float32)
    return {
        "decoder": params,
        "map": mesh_lib.put(vector, mesh_lib.replicated(self.mesh)),
    }

  def rewards(
      self,
      params: Mapping[str, Any],
      tokens: Int[Array, "B T"],
      positions: Int[Array, "B T"],
      segments: Int[Array, "B T"],
      ends: Int[Array, "B S"],
  ) -> Float[Array, "B S"]:
    """Returns the reward at some positions of rows of segments, float32.

    Args:
      params: from `load`.
      tokens: the texts, a segment each.
      positions: of the tokens in their segments.
      segments: the number of the segment of each token; 0 is padding.
      ends: the positions in the row of the last tokens.
    """
    device = self.mesh.devices.flat[0]
    backend = execution_lib.choose_backend("auto", device, self.arch).backend
    execution = execution_lib.Execution(attention=backend, mesh=self.mesh)
    with execution_lib.precision(self.arch.dtype):
      x: Any = decoder.Decoder(self.arch, execution=execution).apply(
          {"params": params["decoder"]}, tokens, positions, segments
      )
      last = jnp.take_along_axis(x, ends[..., None], axis=1)
      return jnp.einsum("BSD,D->BS", last.astype(jnp.float32), params["map"])


def open_model(
    directory: pathlib.Path, dtype: str, mesh: jax.sharding.Mesh
) -> RewardModel:
  """Opens the directory of a reward model; reads no weights yet.

  Args:
    directory: a directory in Hugging Face's layout.
    dtype: of activations.
    mesh: the devices.

  Raises:
    InputError: it is not a reward model, or its decoder is not supported.
  """
  settings = files.read_json(directory / files.CONFIG)
  labels = settings.get("num_labels", len(settings.get("id2label") or [""]))
  shapes = files.Tensors(directory).shapes
  names = [name for name in _MAPS if name in shapes]
  if not names:
    raise errors.InputError(
        f"{directory}: has neither {' nor '.join(_MAPS)}, so it is not a reward"
        " model. Name the directory of a sequence classifier with one label."
    )
  arch = hugging_face.arch_of(directory)
  if labels != 1 or shapes[names[0]] != (1, arch.width):
    raise errors.InputError(
        f"{directory}: {names[0]} is {list(shapes[names[0]])} and there are"
        f" {labels} labels. A reward is one number: the weight must be"
        f" [1, {arch.width}], and {files.CONFIG} have one label (id2label)."
    )
  # As if it shared the embedding: it has no head.
  arch = dataclasses.replace(arch, tied=True, dtype=dtype)
  return RewardModel(directory, arch, names[0], mesh)
