"""Files of a model's directory: config.json, and weights as safetensors.

A weight is read by slices, from a file that is mapped only meanwhile: a host
touches what it holds, and memory never has the file beside the parameters.
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
_WANTED = ("*.json", "*.safetensors", "tokenizer.model", "*.jinja")
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")
# What the library says of an error of the system's.
_NUMBER = re.compile(r"\(os error (\d+)\)")
_CONVERT = (
    "transformers.AutoModelForCausalLM.from_pretrained(DIRECTORY)"
    ".save_pretrained(ANOTHER)"
)


def locate(name: str) -> pathlib.Path:
  """A directory that is there, or a model downloaded from the hub.

  Raises:
    InputError: there is neither.
  """
  return hub.locate(name, _WANTED, "config.model.init", "model")


def digest(directory: pathlib.Path) -> str:
  """SHA-256 over the files that decide the parameters.

  Raises:
    InputError: zsgen exported them, and they are not what it wrote.
  """
  names = [CONFIG, *sorted({path.name for path in _places(directory).values()})]
  return artifacts.digest(artifacts.digest_used(directory, names))


def read_json(path: pathlib.Path) -> dict[str, Any]:
  """A JSON object that somebody else wrote.

  Raises:
    InputError: it is not there, or is none.
  """
  if not path.is_file():
    raise errors.InputError(
        f"{path} is not there. A model's directory holds {CONFIG} and"
        f" {WEIGHTS}, or shards with {INDEX}; download all of them."
    )
  found = strict_json.read(path, "Download it again.", unique=False)
  if not isinstance(found, dict):
    raise errors.InputError(f"{path} is not a JSON object. Download it again.")
  return found


class Tensors:
  """The weights of a directory, by name.

  Attributes:
    directory: where they are.
    shapes: of each weight.
    types: of each weight's elements, as safetensors calls them.

  Raises:
    InputError: no safetensors are there, one of them is damaged, or the index
      says otherwise than they do.
  """

  def __init__(self, directory: pathlib.Path):
    self.directory = directory
    self._places = _places(directory)
    self.shapes: dict[str, tuple[int, ...]] = {}
    self.types: dict[str, str] = {}
    held = set()
    for path in sorted(set(self._places.values())):
      with _open(path) as file:
        for name in file.keys():
          found = file.get_slice(name)
          self.shapes[name] = tuple(found.get_shape())
          self.types[name] = found.get_dtype()
          held.add((name, path))
    wrong = sorted({name for name, _ in held ^ set(self._places.items())})
    if wrong:
      raise errors.InputError(
          f"{directory}: {INDEX} and the shards do not agree on the place of"
          f" {len(wrong)} weights: {', '.join(wrong)}. Download all of them"
          " again."
      )

  def read(self, name: str, index: tuple[slice, ...]) -> np.ndarray:
    """A slice of a weight, in the file's element type.

    What is beyond its axes is left out.
    """
    bounds = [
        each.indices(size)[:2]
        for each, size in zip(index, self.shapes[name], strict=True)
    ]
    with _open(self._places[name]) as file:
      if any(start >= stop for start, stop in bounds):
        return np.zeros([max(stop - start, 0) for start, stop in bounds])
      return file.get_slice(name)[tuple(slice(*each) for each in bounds)]


def write_tensors(
    path: pathlib.Path, tensors: Mapping[str, np.ndarray]
) -> None:
  """Writes a safetensors file that transformers reads.

  Raises:
    OSError: it cannot be written.
  """
  try:
    # transformers refuses files that do not say so.
    safetensors.numpy.save_file(dict(tensors), path, {"format": "pt"})
  except safetensors.SafetensorError as error:
    number = _NUMBER.search(str(error))
    if not number:
      raise
    code = int(number[1])
    raise OSError(code, os.strerror(code), str(path)) from error
  path.chmod(0o644)  # As the files beside it.


def _places(directory: pathlib.Path) -> dict[str, pathlib.Path]:
  """The file that each weight is in."""
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
    where = f"{directory / INDEX}: weight_map"
    found = {
        name: paths.resolve_inside(directory, name, where)
        for name in sorted(set(weight_map.values()))
    }
    places = {name: found[file] for name, file in weight_map.items()}
    for path in sorted(set(places.values())):
      if not path.is_file():
        raise errors.InputError(
            f"{path} is not there, though {INDEX} names it. Download all of"
            " the model's shards."
        )
    return places
  if (directory / WEIGHTS).is_file():
    path = directory / WEIGHTS
    with _open(path) as file:
      return dict.fromkeys(file.keys(), path)
  pickled = sorted(each for kind in _PICKLES for each in directory.glob(kind))
  if pickled:
    raise errors.InputError(
        f"{directory}: its weights are pickles ({pickled[0].name}), which can"
        " run code and are never read. Convert them once, where torch is"
        f" installed: {_CONVERT}."
    )
  raise errors.InputError(
      f"{directory}: neither {WEIGHTS} nor {INDEX} is there. Download the"
      " model's safetensors."
  )


def _open(path: pathlib.Path) -> Any:
  try:
    return safetensors.safe_open(path, framework="numpy")
  except (safetensors.SafetensorError, ValueError, OSError) as error:
    raise errors.InputError(
        f"{path} is not a safetensors file ({error}). Download it again."
    ) from error
