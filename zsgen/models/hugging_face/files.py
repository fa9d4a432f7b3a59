"""Finds and reads the files of a model: config.json and safetensors.

Weights are mapped by rows, and only while they are read: a host reads only the
rows that it holds, and memory never holds a whole file in addition to the
parameters.
"""

from collections.abc import Mapping
import pathlib
from typing import Any

import numpy as np

from zsgen.core import artifacts, errors, hub, paths, strict_json
from zsgen.models.hugging_face import containers

CONFIG, WEIGHTS = "config.json", "model.safetensors"
INDEX = "model.safetensors.index.json"
_FILES = ("*.json", "*.safetensors", "tokenizer.model", "*.jinja")
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")
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
    paths_by_name = _locate_weights(directory)
    self._weights: dict[str, containers.Weight] = {}
    pairs = set()
    for path in sorted(set(paths_by_name.values())):
      weights = containers.read_header(path)
      self._weights |= weights
      pairs |= {(name, path) for name in weights}
    misplaced = sorted({name for name, _ in pairs ^ set(paths_by_name.items())})
    if misplaced:
      raise errors.InputError(
          f"{directory}: {INDEX} and the shards disagree about the file of"
          f" {len(misplaced)} weights: {', '.join(misplaced)}. Download all of"
          " them again."
      )
    self.shapes = {name: item.shape for name, item in self._weights.items()}
    self.types = {name: item.type for name, item in self._weights.items()}

  def map_rows(self, name: str, rows: slice) -> np.ndarray:
    """Maps rows of a weight, in the file's element type.

    See `containers.map_rows`.
    """
    return containers.map_rows(self._weights[name], rows)


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
    return dict.fromkeys(containers.read_header(path), path)
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
