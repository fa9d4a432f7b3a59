"""Writes a directory that transformers loads."""

from collections.abc import Callable, Iterator, Mapping
import math
import pathlib
from typing import Any

from flax import traverse_util
from jax import numpy as jnp
import numpy as np

from zsgen.core import artifacts, config, errors
from zsgen.models.hugging_face import config_files, containers, families, files
from zsgen.models.hugging_face import names as names_lib

_DTYPES = {"bfloat16": jnp.bfloat16, "float32": np.float32}
# Largest size of a file of weights, in bytes.
_SHARD = 2_000_000_000


def save(
    directory: pathlib.Path,
    params: Mapping[str, Any],
    arch: config.Model,
    dtype: str = "float32",
    tokens: config_files.Tokens | None = None,
    base: config_files.Base | None = None,
    largest: int = _SHARD,
) -> None:
  """Writes config.json, generation_config.json and safetensors.

  Either all files are written or none. Rows that pad the vocabulary are left
  out. In addition to the parameters, memory holds at most one weight of a
  layer.

  Args:
    directory: a directory that does not exist or is empty.
    params: parameters, as nested dictionaries of arrays.
    arch: their architecture.
    dtype: element type of the files: "float32" or "bfloat16".
    tokens: token ids of the exported tokenizer; none by default.
    base: the files of the base, whose other settings are kept.
    largest: the largest size of a file of weights, in bytes.

  Raises:
    InputError: the directory is not empty, or no Hugging Face family has this
      architecture.
  """
  if directory.exists() and any(directory.iterdir()):
    raise errors.InputError(
        f"{directory} is not empty, and weights are never overwritten."
        " Choose another directory, or delete this one."
    )
  with artifacts.writing(directory) as partial:
    write(partial, params, arch, dtype, tokens, base, largest)


def write(
    directory: pathlib.Path,
    params: Mapping[str, Any],
    arch: config.Model,
    dtype: str = "float32",
    tokens: config_files.Tokens | None = None,
    base: config_files.Base | None = None,
    largest: int = _SHARD,
) -> None:
  """Writes the files of `save` one by one into an existing empty directory."""
  kind = write_config(
      directory, arch, dtype, tokens or config_files.Tokens(), base
  )
  flat: dict[str, Any] = traverse_util.flatten_dict(params, sep="/")
  names = families.known()[kind].names
  pieces = _group_pieces(flat, arch, names)
  shapes = {path: leaf.shape for path, leaf in flat.items()}
  write_weights(
      directory,
      names_lib.weight_shapes(shapes, arch, names),
      lambda name: _tensor(flat, pieces[name], arch),
      dtype,
      largest,
  )


def write_config(
    directory: pathlib.Path,
    arch: config.Model,
    dtype: str,
    tokens: config_files.Tokens,
    base: config_files.Base | None = None,
) -> str:
  """Writes config.json and generation_config.json; returns the model_type.

  Raises:
    InputError: no Hugging Face family has this architecture.
  """
  kind, settings, generation = config_files.describe(arch, dtype, tokens, base)
  artifacts.write_json(directory / files.CONFIG, settings)
  artifacts.write_json(directory / config_files.GENERATION, generation)
  return kind


def write_weights(
    directory: pathlib.Path,
    shapes: Mapping[str, tuple[int, ...]],
    build: Callable[[str], np.ndarray],
    dtype: str,
    largest: int = _SHARD,
) -> None:
  """Writes weights to one file, or to shards with an index.

  Args:
    directory: an existing directory.
    shapes: the shape of each weight, by name.
    build: returns the weight of a name; memory holds only one.
    dtype: element type of the files: "float32" or "bfloat16".
    largest: the largest size of a file, in bytes.
  """
  kind = np.dtype(_DTYPES[dtype])
  sizes = {
      name: math.prod(shape) * kind.itemsize
      for name, shape in sorted(shapes.items())
  }
  shards = list(_shards(sizes, largest))
  weight_map = {}
  for number, names in enumerate(shards, 1):
    file = files.WEIGHTS
    if len(shards) > 1:
      file = f"model-{number:05}-of-{len(shards):05}.safetensors"
    containers.write(
        directory / file, {name: shapes[name] for name in names}, kind, build
    )
    weight_map |= dict.fromkeys(names, file)
  if len(shards) > 1:
    index = {
        "metadata": {"total_size": sum(sizes.values())},
        "weight_map": weight_map,
    }
    artifacts.write_json(directory / files.INDEX, index)


def _shards(sizes: Mapping[str, int], largest: int) -> Iterator[list[str]]:
  """Yields the names of the weights of each file."""
  names: list[str] = []
  room = largest
  for name, size in sizes.items():
    if names and size > room:
      yield names
      names, room = [], largest
    names.append(name)
    room -= size
  yield names


def _group_pieces(
    flat: Mapping[str, Any], arch: config.Model, names: names_lib.Names
) -> dict[str, list[tuple[str, int | None, names_lib.Source]]]:
  """Returns the pieces of each weight: path, layer in a stack and source."""
  groups: dict[str, list] = {}
  for path in flat:
    is_stacked = path.startswith("blocks/")
    for layer, source in enumerate(names_lib.sources(path, arch, names)):
      piece = (path, layer if is_stacked else None, source)
      groups.setdefault(source.name, []).append(piece)
  return {
      name: sorted(pieces, key=lambda piece: piece[2].part)
      for name, pieces in sorted(groups.items())
  }


def _tensor(
    flat: Mapping[str, Any],
    pieces: list[tuple[str, int | None, names_lib.Source]],
    arch: config.Model,
) -> np.ndarray:
  """Builds a weight in the layout of the file."""
  arrays = []
  for path, layer, source in pieces:
    leaf = flat[path]
    array = np.asarray(leaf if layer is None else leaf[layer])
    inputs = math.prod(array.shape[: source.inputs])
    arrays.append(array.reshape(inputs, -1) if source.inputs else array.ravel())
  path, _, source = pieces[0]
  array = np.concatenate(arrays, axis=-1) if len(arrays) > 1 else arrays[0]
  if path == "embedding":
    array = array[: arch.vocab_size]
  if path == "head/kernel":
    array = array[:, : arch.vocab_size]
  return array.T if source.flipped else array
