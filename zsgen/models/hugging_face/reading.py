"""Reads safetensors onto the mesh; each host reads only what it holds."""

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

# Alignment of buffers that JAX uses without a copy, in bytes.
_ALIGNED = 64

# Supported element types; others are codes of a quantization.
_FLOATS = ("F32", "BF16", "F16", "F64")


def load(
    directory: pathlib.Path, arch: config.Model, shardings: Mapping[str, Any]
) -> dict[str, Any]:
  """Reads all weights, or none.

  The largest parameters come first, and each is read in the slices that a device
  holds, so that host memory holds little more than the parameters.

  Args:
    directory: a directory in Hugging Face's layout.
    arch: the result of `arch_of`; `vocab_multiple` pads the vocabulary with
      zeros.
    shardings: the shardings of the parameters, as nested dictionaries.

  Returns:
    Nested dictionaries of float32 arrays with those shardings.

  Raises:
    InputError: a file is missing or damaged, or weights are missing,
      unexpected or have another shape.
  """
  names = families.known()[families.kind_of(directory)].names
  tensors = files.Tensors(directory)
  init = model.Model.from_config(arch).init
  shapes = _flat(jax.eval_shape(init, jax.random.key(0)))
  reader = _Reader(tensors, arch, names, shapes)
  reader.check()
  flat_shardings = _flat(shardings)
  params = {}
  for path in sorted(shapes, key=lambda path: (-shapes[path].size, path)):
    read: Any = functools.partial(reader.read, path)
    params[path] = jax.make_array_from_callback(
        shapes[path].shape,
        flat_shardings[path],
        read,
    )
    # Copies run in the background; wait, to hold one at a time.
    jax.block_until_ready(params[path])
  return traverse_util.unflatten_dict(params, sep="/")


class _Reader:
  """Reads slices of parameters from a directory's weights."""

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
    # Names in the file: those of models without a head have no prefix.
    self._file_names = {self._full(name): name for name in tensors.shapes}

  def check(self) -> None:
    """Raises InputError that lists every weight that does not fit config.json."""
    expected = names_lib.weight_shapes(
        {path: leaf.shape for path, leaf in self._shapes.items()},
        self._arch,
        self._names,
    )
    shapes = {
        name: self._tensors.shapes[file_name]
        for name, file_name in self._file_names.items()
        if not re.fullmatch(self._names.buffers, name)
    }
    if self._arch.tied and names_lib.HEAD in shapes:
      self._check_tied()
      del shapes[names_lib.HEAD]
    problems = names_lib.mismatches(shapes, expected)
    types = {
        name: self._tensors.types[self._file_names[name]] for name in shapes
    }
    problems += [
        f"{name} is {types[name]}, not {' or '.join(_FLOATS)}"
        for name in sorted({*shapes} & {*expected})
        if types[name] not in _FLOATS
    ]
    if problems:
      raise errors.InputError(
          f"{self._tensors.directory}: {len(problems)} weights do not fit"
          f" {files.CONFIG}: {'; '.join(problems)}. Nothing was loaded;"
          " download the model again."
      )

  def read(self, path: str, index: tuple[slice, ...]) -> np.ndarray:
    """Reads a slice of a parameter, as float32."""
    shape = self._shapes[path].shape
    index = tuple(
        slice(*axis.indices(size))
        for axis, size in zip(index, shape, strict=True)
    )
    sources = names_lib.sources(path, self._arch, self._names)
    out = _zeros([axis.stop - axis.start for axis in index])
    if path.startswith("blocks/"):
      for layer, source in enumerate(sources[index[0]]):
        self._fill(out[layer], source, shape[1:], index[1:])
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
    """Reads a slice of one layer; rows beyond those of the file remain 0."""
    name = self._file_names[source.name]
    inputs = _flattened(shape[: source.inputs], index[: source.inputs])
    width = math.prod(shape[source.inputs :])
    outputs = _flattened(shape[source.inputs :], index[source.inputs :])
    first = source.part * width
    outputs = slice(first + outputs.start, first + outputs.stop)
    if not source.inputs:
      out[...] = self._tensors.read(name, (outputs,)).reshape(out.shape)
      return
    matrix_index = (outputs, inputs) if source.flipped else (inputs, outputs)
    matrix = self._tensors.read(name, matrix_index)
    matrix = matrix.T if source.flipped else matrix
    rows = out.reshape(inputs.stop - inputs.start, -1)
    rows[: matrix.shape[0], : matrix.shape[1]] = matrix

  def _full(self, name: str) -> str:
    prefix = self._names.prefix
    if name == names_lib.HEAD or any(
        weight.startswith(prefix) for weight in self._tensors.shapes
    ):
      return name
    return prefix + name

  def _check_tied(self) -> None:
    """Raises InputError if the file has a head that the tied model would not
    use.
    """
    embedding = self._names.prefix + self._names.top["embedding"]
    arrays = [
        self._tensors.read(self._file_names[name], (slice(None), slice(None)))
        for name in (names_lib.HEAD, embedding)
        if name in self._file_names
    ]
    if len(arrays) == 2 and not np.array_equal(arrays[0], arrays[1]):
      raise errors.InputError(
          f"{self._tensors.directory}: {files.CONFIG} says tie_word_embeddings,"
          f" but {names_lib.HEAD} differs from {embedding}. Set it to false"
          " there, or download the model again."
      )


def _zeros(shape: Sequence[int]) -> np.ndarray:
  """Returns float32 zeros that CPU devices use without a copy."""
  size = 4 * math.prod(shape)
  raw = np.zeros(size + _ALIGNED, np.uint8)
  first = -raw.ctypes.data % _ALIGNED
  return raw[first : first + size].view(np.float32).reshape(shape)


def _flat(tree: Mapping[str, Any]) -> dict[str, Any]:
  return traverse_util.flatten_dict(tree, sep="/")


def _flattened(shape: tuple[int, ...], index: tuple[slice, ...]) -> slice:
  """Returns the slice of flattened axes, of which only the first is split."""
  if not shape:
    return slice(0, 1)
  if any(
      (axis.start, axis.stop) != (0, size)
      for axis, size in zip(index[1:], shape[1:], strict=True)
  ):
    raise AssertionError(
        "zsgen.core.mesh.RULES may split only the first of such axes."
    )
  step = math.prod(shape[1:])
  return slice(index[0].start * step, index[0].stop * step)
