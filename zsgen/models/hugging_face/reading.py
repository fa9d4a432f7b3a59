"""Weights from safetensors onto the mesh, each host only what it holds."""

from collections.abc import Mapping, Sequence
import functools
import math
import pathlib
import re
from typing import Any

from flax import traverse_util
import jax
import numpy as np

from zsgen.core import config, errors
from zsgen.models import model
from zsgen.models.hugging_face import families, files
from zsgen.models.hugging_face import names as names_lib

# Bytes at which jax wants a buffer to begin.
_ALIGNED = 64

# Element types that are read; others are codes of a quantization.
_FLOATS = ("F32", "BF16", "F16", "F64")


def load(
    directory: pathlib.Path, arch: config.Model, shardings: Mapping[str, Any]
) -> dict[str, Any]:
  """Reads weights: all of them, or none.

  Largest parameters come first and each is read by the slices that a device
  holds, so that host memory never has much beside the parameters.

  Args:
    directory: in Hugging Face's layout.
    arch: as `arch_of` says; `vocab_multiple` pads the vocabulary by zeros.
    shardings: of each parameter, as nested dictionaries.

  Returns:
    Nested dictionaries of float32 arrays with those shardings.

  Raises:
    InputError: a file that is missing or damaged, or weights that are
      missing, left over or of another shape.
  """
  names = families.known()[families.kind_of(directory)].names
  tensors = files.Tensors(directory)
  new = model.Model.from_config(arch).init
  shapes = _flat(jax.eval_shape(new, jax.random.key(0)))
  reader = _Reader(tensors, arch, names, shapes)
  reader.check()
  places = _flat(shardings)
  found = {}
  for path in sorted(shapes, key=lambda path: (-shapes[path].size, path)):
    found[path] = jax.make_array_from_callback(
        shapes[path].shape, places[path], functools.partial(reader.read, path)
    )
    # Copies are made in the background: never two parameters' at once.
    jax.block_until_ready(found[path])
  return traverse_util.unflatten_dict(found, sep="/")


class _Reader:
  """Slices of parameters from a directory's weights."""

  def __init__(
      self,
      tensors: files.Tensors,
      arch: config.Model,
      names: names_lib.Names,
      shapes: Mapping[str, jax.ShapeDtypeStruct],
  ):
    self._tensors = tensors
    self._arch = arch
    self._names = names
    self._shapes = shapes
    # What the file calls each weight: models without a head have no prefix.
    self._called = {self._full(name): name for name in tensors.shapes}

  def check(self) -> None:
    """Raises listing every weight that is not as config.json says."""
    wanted = self._wanted()
    found = {
        name: self._tensors.shapes[called]
        for name, called in self._called.items()
        if not re.fullmatch(self._names.buffers, name)
    }
    if self._arch.tied and names_lib.HEAD in found:
      self._check_tied()
      del found[names_lib.HEAD]
    wrong = [f"{name} is missing" for name in sorted({*wanted} - {*found})]
    wrong += [
        f"{name} {list(found[name])} is left over"
        for name in sorted({*found} - {*wanted})
    ]
    wrong += [
        f"{name} is {list(found[name])}, not {list(wanted[name])}"
        for name in sorted({*found} & {*wanted})
        if found[name] != wanted[name]
    ]
    types = {name: self._tensors.types[self._called[name]] for name in found}
    wrong += [
        f"{name} is of {types[name]}, not of {' or '.join(_FLOATS)}"
        for name in sorted({*found} & {*wanted})
        if types[name] not in _FLOATS
    ]
    if wrong:
      raise errors.InputError(
          f"{self._tensors.directory}: {len(wrong)} weights do not fit"
          f" {files.CONFIG}: {'; '.join(wrong)}. Nothing was taken; download"
          " the model again."
      )

  def read(self, path: str, index: tuple[slice, ...]) -> np.ndarray:
    """A slice of a parameter, float32."""
    shape = self._shapes[path].shape
    index = tuple(
        slice(*each.indices(size))
        for each, size in zip(index, shape, strict=True)
    )
    sources = names_lib.sources(path, self._arch, self._names)
    out = _zeros([each.stop - each.start for each in index])
    if path.startswith("blocks/"):
      for place, source in enumerate(sources[index[0]]):
        self._fill(out[place], source, shape[1:], index[1:])
    else:
      self._fill(out, sources[0], shape, index)
    return out

  def _fill(
      self,
      out: np.ndarray,
      source: names_lib.Source,
      shape: tuple[int, ...],
      index: tuple[slice, ...],
  ) -> None:
    """Reads a slice of one layer; what is beyond the file's rows stays 0."""
    called = self._called[source.name]
    inputs = _flattened(shape[: source.inputs], index[: source.inputs])
    width = math.prod(shape[source.inputs :])
    outputs = _flattened(shape[source.inputs :], index[source.inputs :])
    first = source.part * width
    outputs = slice(first + outputs.start, first + outputs.stop)
    if not source.inputs:
      out[...] = self._tensors.read(called, (outputs,)).reshape(out.shape)
      return
    wanted = (outputs, inputs) if source.flipped else (inputs, outputs)
    found = self._tensors.read(called, wanted)
    found = found.T if source.flipped else found
    rows = out.reshape(inputs.stop - inputs.start, -1)
    rows[: found.shape[0], : found.shape[1]] = found

  def _wanted(self) -> dict[str, tuple[int, ...]]:
    """Names and shapes that the weights must have."""
    wanted = {}
    for path, leaf in self._shapes.items():
      shape = leaf.shape[1:] if path.startswith("blocks/") else leaf.shape
      for source in names_lib.sources(path, self._arch, self._names):
        sizes = self._sizes(path, shape, source)
        wanted[source.name] = sizes[::-1] if source.flipped else sizes
    return wanted

  def _sizes(
      self, path: str, shape: tuple[int, ...], source: names_lib.Source
  ) -> tuple[int, ...]:
    """Inputs and outputs of a weight in the file, or outputs alone."""
    if path in ("embedding", "head/kernel"):
      known = (self._arch.vocab_size, self._arch.width)
      return known if path == "embedding" else known[::-1]
    outputs = math.prod(shape[source.inputs :]) * source.parts
    if not source.inputs:
      return (outputs,)
    return math.prod(shape[: source.inputs]), outputs

  def _full(self, name: str) -> str:
    prefix = self._names.prefix
    if name == names_lib.HEAD or any(
        each.startswith(prefix) for each in self._tensors.shapes
    ):
      return name
    return prefix + name

  def _check_tied(self) -> None:
    """Raises if a head is there that the tied model would not use."""
    embedding = self._names.prefix + self._names.top["embedding"]
    both = [
        self._tensors.read(self._called[name], (slice(None), slice(None)))
        for name in (names_lib.HEAD, embedding)
        if name in self._called
    ]
    if len(both) == 2 and not np.array_equal(*both):
      raise errors.InputError(
          f"{self._tensors.directory}: {files.CONFIG} says tie_word_embeddings,"
          f" but {names_lib.HEAD} differs from {embedding}. Set it to false"
          " there, or download the model again."
      )


def _zeros(shape: Sequence[int]) -> np.ndarray:
  """Float32 zeros where the CPU's devices take arrays without a copy."""
  size = 4 * math.prod(shape)
  raw = np.zeros(size + _ALIGNED, np.uint8)
  first = -raw.ctypes.data % _ALIGNED
  return raw[first : first + size].view(np.float32).reshape(shape)


def _flat(tree: Mapping[str, Any]) -> dict[str, Any]:
  return traverse_util.flatten_dict(tree, sep="/")


def _flattened(shape: tuple[int, ...], index: tuple[slice, ...]) -> slice:
  """The slice of axes that are flattened into one; only the first is cut."""
  if not shape:
    return slice(0, 1)
  if any(
      (each.start, each.stop) != (0, size)
      for each, size in zip(index[1:], shape[1:], strict=True)
  ):
    raise AssertionError(
        "zsgen.core.mesh.RULES split the first of such axes only."
    )
  step = math.prod(shape[1:])
  return slice(index[0].start * step, index[0].stop * step)
