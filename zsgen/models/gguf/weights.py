"""Converts the tensors of a GGUF file to weights in Hugging Face's layout."""

from collections.abc import Mapping
import pathlib
from typing import Any

from flax import traverse_util
import jax
import numpy as np

from zsgen.core import config, errors
from zsgen.models import hugging_face, model
from zsgen.models.gguf import archs, files
from zsgen.models.hugging_face import families
from zsgen.models.hugging_face import names as names_lib

NAMES = names_lib.Names(
    prefix="",
    layer="blk.{}.",
    top={"embedding": "token_embd.weight", "final_norm": "output_norm"},
    block={
        "attention_norm": "attn_norm",
        "attention/query": "attn_q",
        "attention/key": "attn_k",
        "attention/value": "attn_v",
        "attention/out": "attn_output",
        "attention/query_norm": "attn_q_norm",
        "attention/key_norm": "attn_k_norm",
        "attention_post_norm": "post_attention_norm",
        "mlp_norm": "ffn_norm",
        "mlp/gate": "ffn_gate",
        "mlp/up": "ffn_up",
        "mlp/down": "ffn_down",
        "mlp_post_norm": "post_ffw_norm",
    },
    head="output.weight",
)
_PERMUTED = ("attn_q.", "attn_k.")


def write(
    directory: pathlib.Path,
    file: files.File,
    arch: config.Model,
    family: str,
    dtype: str,
) -> None:
  """Writes the weights as safetensors; one tensor at a time is dequantized.

  Args:
    directory: an existing directory.
    file: the GGUF file.
    arch: its architecture.
    family: the model_type of the directory's config.json.
    dtype: element type of the weights: "float32" or "bfloat16".

  Raises:
    InputError: tensors are missing, unexpected, damaged or of another shape.
  """
  shapes = _shapes(arch)
  _check(file, names_lib.weight_shapes(shapes, arch, NAMES))
  names = families.known()[family].names
  origins = {
      weight.name: origin.name
      for path in shapes
      for weight, origin in zip(
          names_lib.sources(path, arch, names),
          names_lib.sources(path, arch, NAMES),
          strict=True,
      )
  }
  hugging_face.write_weights(
      directory,
      names_lib.weight_shapes(shapes, arch, names),
      lambda name: _weight(file, origins[name], arch),
      dtype,
  )


def _shapes(arch: config.Model) -> dict[str, tuple[int, ...]]:
  """Returns the shape of each parameter of an architecture, by path."""
  init = model.Model.from_config(arch).init
  tree = jax.eval_shape(init, jax.random.key(0))
  flat: dict[str, Any] = traverse_util.flatten_dict(tree, sep="/")
  return {path: leaf.shape for path, leaf in flat.items()}


def _check(file: files.File, expected: Mapping[str, tuple[int, ...]]) -> None:
  """Raises InputError that lists every tensor that does not fit the fields."""
  shapes = {
      name: tensor.shape
      for name, tensor in file.tensors.items()
      if name != archs.FREQUENCIES
  }
  if problems := names_lib.mismatches(shapes, expected):
    raise errors.InputError(
        f"{file.path}: {len(problems)} tensors do not fit its fields:"
        f" {'; '.join(problems)}. The model is not supported, or the file is"
        " damaged."
    )


def _weight(file: files.File, name: str, arch: config.Model) -> np.ndarray:
  """Returns a tensor as the Hugging Face family has it."""
  array = file.read(name)
  if archs.kind_of(file).is_permuted and any(
      part in name for part in _PERMUTED
  ):
    return _unpermute(array, arch.head_width)
  if arch.norm_plus_one and name.endswith("norm.weight"):
    return array - 1  # GGUF has the factor itself.
  return array


def _unpermute(array: np.ndarray, head_width: int) -> np.ndarray:
  """Returns rows in Hugging Face's order.

  Rotary positions pair rows (2 i, 2 i + 1) of a head in GGUF, as in Meta's
  code, and rows (i, i + head_width / 2) here.
  """
  pairs = array.reshape(-1, head_width // 2, 2, *array.shape[1:])
  return pairs.swapaxes(1, 2).reshape(array.shape)
