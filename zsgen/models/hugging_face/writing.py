"""A directory that transformers loads."""

from collections.abc import Iterator, Mapping
import math
import pathlib
from typing import Any

from flax import traverse_util
from jax import numpy as jnp
import numpy as np

from zsgen.core import artifacts, config, errors
from zsgen.models.hugging_face import config_files, families, files
from zsgen.models.hugging_face import names as names_lib

_DTYPES = {"bfloat16": jnp.bfloat16, "float32": np.float32}
# Largest file of weights, bytes.
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
  out. Besides the parameters, memory holds one file of weights at a time.

  Args:
    directory: must not hold anything yet.
    params: nested dictionaries of arrays.
    arch: the architecture that they are of.
    dtype: element type of the files: "float32" or "bfloat16".
    tokens: ids of the tokenizer beside it; none by default.
    base: what the files of the base say, which stays.
    largest: bytes of a file of weights.

  Raises:
    InputError: the directory is there and is not empty, or no Hugging Face
      family has such an architecture.
  """
  if directory.exists() and any(directory.iterdir()):
    raise errors.InputError(
        f"{directory} is there and not empty: weights are never written over."
        " Give another directory, or delete this one."
    )
  with artifacts.writing(directory) as beside:
    write(beside, params, arch, dtype, tokens, base, largest)


def write(
    directory: pathlib.Path,
    params: Mapping[str, Any],
    arch: config.Model,
    dtype: str = "float32",
    tokens: config_files.Tokens | None = None,
    base: config_files.Base | None = None,
    largest: int = _SHARD,
) -> None:
  """As `save`, file by file into a directory that is there and empty."""
  kind, said, generation = config_files.described(
      arch, dtype, tokens or config_files.Tokens(), base
  )
  flat = traverse_util.flatten_dict(params, sep="/")
  whole = _whole(flat, arch, families.known()[kind].names)
  artifacts.write_json(directory / files.CONFIG, said)
  artifacts.write_json(directory / config_files.GENERATION, generation)
  _write(directory, flat, whole, arch, dtype, largest)


def _write(
    directory: pathlib.Path,
    flat: Mapping[str, Any],
    whole: Mapping[str, list[tuple[str, int | None, names_lib.Source]]],
    arch: config.Model,
    dtype: str,
    largest: int,
) -> None:
  """Writes the weights, in one file or in shards with an index."""
  sizes = {
      name: (
          sum(_size(flat[path], place) for path, place, _ in pieces)
          * np.dtype(_DTYPES[dtype]).itemsize
      )
      for name, pieces in whole.items()
  }
  shards = list(_shards(sizes, largest))
  places = {}
  for number, names in enumerate(shards, 1):
    file = files.WEIGHTS
    if len(shards) > 1:
      file = f"model-{number:05}-of-{len(shards):05}.safetensors"
    tensors = {name: _tensor(flat, whole[name], arch, dtype) for name in names}
    files.write_tensors(directory / file, tensors)
    places |= dict.fromkeys(names, file)
  if len(shards) > 1:
    index = {
        "metadata": {"total_size": sum(sizes.values())},
        "weight_map": places,
    }
    artifacts.write_json(directory / files.INDEX, index)


def _shards(sizes: Mapping[str, int], largest: int) -> Iterator[list[str]]:
  """Names of the weights of each file."""
  names: list[str] = []
  room = largest
  for name, size in sizes.items():
    if names and size > room:
      yield names
      names, room = [], largest
    names.append(name)
    room -= size
  yield names


def _whole(
    flat: Mapping[str, Any], arch: config.Model, names: names_lib.Names
) -> dict[str, list[tuple[str, int | None, names_lib.Source]]]:
  """For each weight of the file its pieces: path, place in a stack, source."""
  found: dict[str, list] = {}
  for path in flat:
    stacked = path.startswith("blocks/")
    for place, source in enumerate(names_lib.sources(path, arch, names)):
      piece = (path, place if stacked else None, source)
      found.setdefault(source.name, []).append(piece)
  return {
      name: sorted(pieces, key=lambda piece: piece[2].part)
      for name, pieces in sorted(found.items())
  }


def _size(leaf: Any, place: int | None) -> int:
  return math.prod(leaf.shape if place is None else leaf.shape[1:])


def _tensor(
    flat: Mapping[str, Any],
    pieces: list[tuple[str, int | None, names_lib.Source]],
    arch: config.Model,
    dtype: str,
) -> np.ndarray:
  """A weight as the file has it."""
  found = []
  for path, place, source in pieces:
    leaf = flat[path]
    array = np.asarray(leaf if place is None else leaf[place])
    inputs = math.prod(array.shape[: source.inputs])
    found.append(array.reshape(inputs, -1) if source.inputs else array.ravel())
  path, _, source = pieces[0]
  array = np.concatenate(found, axis=-1) if len(found) > 1 else found[0]
  if path == "embedding":
    array = array[: arch.vocab_size]
  if path == "head/kernel":
    array = array[:, : arch.vocab_size]
  array = array.T if source.flipped else array
  return np.ascontiguousarray(array.astype(_DTYPES[dtype]))
