"""Reads and writes a model's config.json and safetensors files.

Weights are read by slices from a file that is mapped only while it is read: a
host reads only the slices that it holds, and memory never holds the whole file
in addition to the parameters.
"""

from collections.abc import Mapping
import os
import pathlib
import re
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from zsgen.core import artifacts, errors, hub, paths, strict_json

CONFIG, WEIGHTS = "config.json", "model.safetensors"
INDEX = "model.safetensors.index.json"
_FILES = ("*.json", "*.safetensors", "tokenizer.model", "*.jinja")
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")
# How the library reports an error of the operating system.
_ERROR_NUMBER = re.compile(r"\(os error (\d+)\)")
_CONVERSION = (
    "transformers.AutoModelForCausalLM.from_pretrained(DIRECTORY)"
    ".save_pretrained(ANOTHER)"
)


def locate(name: str) -> pathlib.Path:
  """Returns the directory of a model, downloaded from the hub if necessary.

  Raises:
    InputError: there is no such directory and no such model.
  """
  return hub.locate(name, _FILES, "config.model.init", "model")


def digest(directory: pathlib.Path) -> str:
  """Returns the SHA-256 over the files that define the parameters.

  Raises:
    InputError: zsgen exported the files, and they have changed since.
  """
  names = [
      CONFIG,
      *sorted({path.name for path in _locate_weights(directory).values()}),
  ]
  return artifacts.digest(artifacts.digest_used(directory, names))


def read_json(path: pathlib.Path) -> dict[str, Any]:
  """Reads a JSON object from a file of unknown origin.

  Raises:
    InputError: the file is missing or does not hold a JSON object.
  """
  if not path.is_file():
    raise errors.InputError(
        f"{path} does not exist. A model's directory holds {CONFIG} and"
        f" {WEIGHTS}, or shards with {INDEX}; download all of them."
    )
  content = strict_json.read(path, "Download it again.", unique=False)
  if not isinstance(content, dict):
    raise errors.InputError(f"{path} is not a JSON object. Download it again.")
  return content


class Tensors:
  """The weights of a directory, by name.

  Attributes:
    directory: the directory of the model.
    shapes: the shape of each weight.
    types: the element type of each weight, by its name in safetensors.

  Raises:
    InputError: there are no safetensors, one of them is damaged, or the index
      does not match them.
  """

  def __init__(self, directory: pathlib.Path):
    self.directory = directory
    self._paths = _locate_weights(directory)
    self.shapes: dict[str, tuple[int, ...]] = {}
    self.types: dict[str, str] = {}
    pairs = set()
    for path in sorted(set(self._paths.values())):
      with _open(path) as file:
        for name in file.keys():
          view = file.get_slice(name)
          self.shapes[name] = tuple(view.get_shape())
          self.types[name] = view.get_dtype()
          pairs.add((name, path))
    misplaced = sorted({name for name, _ in pairs ^ set(self._paths.items())})
    if misplaced:
      raise errors.InputError(
          f"{directory}: {INDEX} and the shards disagree about the file of"
          f" {len(misplaced)} weights: {', '.join(misplaced)}. Download all of"
          " them again."
      )

  def read(self, name: str, index: tuple[slice, ...]) -> np.ndarray:
    """Reads a slice of a weight, in the file's element type.

    The part of the slice that is out of bounds is left out.
    """
    bounds = [
        axis.indices(size)[:2]
        for axis, size in zip(index, self.shapes[name], strict=True)
    ]
    with _open(self._paths[name]) as file:
      if any(start >= stop for start, stop in bounds):
        return np.zeros([max(stop - start, 0) for start, stop in bounds])
      return file.get_slice(name)[tuple(slice(*bound) for bound in bounds)]


def write_tensors(
    path: pathlib.Path, tensors: Mapping[str, np.ndarray]
) -> None:
  """Writes a safetensors file that transformers reads.

  Raises:
    OSError: the file cannot be written.
  """
  try:
    # transformers refuses files without this field.
    safetensors.numpy.save_file(dict(tensors), path, {"format": "pt"})
  except safetensors.SafetensorError as error:
    match = _ERROR_NUMBER.search(str(error))
    if not match:
      raise
    code = int(match[1])
    raise OSError(code, os.strerror(code), str(path)) from error
  path.chmod(0o644)  # Like the other files.


def _locate_weights(directory: pathlib.Path) -> dict[str, pathlib.Path]:
  """Returns the file of each weight."""
  if (directory / INDEX).is_file():
    weight_map = read_json(directory / INDEX).get("weight_map")
    if not isinstance(weight_map, Mapping) or not all(
        isinstance(name, str) and pathlib.PurePath(name).name == name
        for name in weight_map.values()
    ):
      raise errors.InputError(
          f"{directory / INDEX}: weight_map does not give a file of the"
          " directory for each weight. Download it again."
      )
    option = f"{directory / INDEX}: weight_map"
    shards = {
        name: paths.resolve_inside(directory, name, option)
        for name in sorted(set(weight_map.values()))
    }
    paths_by_name = {name: shards[file] for name, file in weight_map.items()}
    for path in sorted(set(paths_by_name.values())):
      if not path.is_file():
        raise errors.InputError(
            f"{path} does not exist, but {INDEX} names it. Download all of"
            " the model's shards."
        )
    return paths_by_name
  if (directory / WEIGHTS).is_file():
    path = directory / WEIGHTS
    with _open(path) as file:
      return dict.fromkeys(file.keys(), path)
  pickled = sorted(path for kind in _PICKLES for path in directory.glob(kind))
  if pickled:
    raise errors.InputError(
        f"{directory}: its weights are pickles ({pickled[0].name}), which can"
        " run code and are never read. Convert them once, where torch is"
        f" installed: {_CONVERSION}."
    )
  raise errors.InputError(
      f"{directory}: neither {WEIGHTS} nor {INDEX} exists. Download the"
      " model's safetensors."
  )


def _open(path: pathlib.Path) -> Any:
  try:
    return safetensors.safe_open(path, framework="numpy")
  except (safetensors.SafetensorError, ValueError, OSError) as error:
    raise errors.InputError(
        f"{path} is not a safetensors file ({error}). Download it again."
    ) from error
