"""Reads safetensors onto the mesh; each host reads only what it holds."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent import futures
import functools
import math
import mmap
import os
import pathlib
import re
from typing import Any, NamedTuple

from flax import traverse_util
import jax
from jax import numpy as jnp
import numpy as np

from zsgen.core import config, errors
from zsgen.models import model
from zsgen.models.hugging_face import families, files
from zsgen.models.hugging_face import names as names_lib

# Supported element types; others are codes of a quantization.
_FLOATS = ("F32", "BF16", "F16", "F64")
# Bytes of a column that are transposed together: two lines of the cache.
_COLUMN = 128
# Elements of a weight that a thread maps at a time.
_PIECE = 2**24
_MOST_THREADS = 8


def load(
    directory: pathlib.Path,
    arch: config.Model,
    shardings: Mapping[str, Any],
    separate: Sequence[str] = (),
) -> dict[str, Any]:
  """Reads all weights, or none.

  The largest parameters come first, and each is read in the slices that a
  device holds, so that host memory holds little more than the parameters.

  Args:
    directory: a directory in Hugging Face's layout.
    arch: the result of `arch_of`; `vocab_multiple` pads the vocabulary with
      zeros.
    shardings: the shardings of the parameters, as nested dictionaries.
    separate: names of weights that the caller reads.

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
  flat_shardings = _flat(shardings)
  params = {}
  threads = min(os.cpu_count() or 1, _MOST_THREADS)
  with futures.ThreadPoolExecutor(threads) as pool:
    reader = _Reader(tensors, arch, names, shapes, pool)
    reader.check(separate)
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


class _Piece(NamedTuple):
  """Rows of a weight, and where they are copied to.

  Attributes:
    name: the name of the weight in the file.
    first: the first row.
    columns: the columns, of matrices.
    out: zeros of a parameter with the file's layout, [rows] or [rows, columns]:
      all of each float32, or its first half if the file has bfloat16.
  """

  name: str
  first: int
  columns: slice
  out: np.ndarray


class _Reader:
  """Reads slices of parameters from a directory's weights."""

  def __init__(
      self,
      tensors: files.Tensors,
      arch: config.Model,
      names: names_lib.Names,
      shapes: Mapping[str, jax.ShapeDtypeStruct],
      pool: futures.Executor,
  ):
    self._tensors = tensors
    self._pool = pool
    self._arch = arch
    self._names = names
    self._shapes = shapes
    # Names in the file: those of models without a head have no prefix.
    self._file_names = {self._full(name): name for name in tensors.shapes}

  def check(self, separate: Sequence[str]) -> None:
    """Raises InputError that lists every weight that does not fit config.json.

    Args:
      separate: names of weights that are read by others.
    """
    expected = names_lib.weight_shapes(
        {path: leaf.shape for path, leaf in self._shapes.items()},
        self._arch,
        self._names,
    )
    shapes = {
        name: self._tensors.shapes[file_name]
        for name, file_name in self._file_names.items()
        if not re.fullmatch(self._names.buffers, name)
        and file_name not in separate
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
    pieces: list[_Piece] = []
    if path.startswith("blocks/"):
      for layer, source in enumerate(sources[index[0]]):
        pieces += self._pieces(out[layer], source, shape[1:], index[1:])
    else:
      pieces += self._pieces(out, sources[0], shape, index)
    for _ in self._pool.map(self._copy, pieces):
      pass  # Raises the first error.
    return out

  def _pieces(
      self,
      out: np.ndarray,
      source: names_lib.Source,
      shape: tuple[int, ...],
      index: tuple[slice, ...],
  ) -> Iterator[_Piece]:
    """Yields the pieces of a slice of one layer.

    Rows and columns beyond those of the file remain 0.
    """
    name = self._file_names[source.name]
    if self._tensors.types[name] == "BF16":
      out = _first_halves(out)
    inputs = _flattened(shape[: source.inputs], index[: source.inputs])
    width = math.prod(shape[source.inputs :])
    outputs = _flattened(shape[source.inputs :], index[source.inputs :])
    first = source.part * width
    outputs = slice(first + outputs.start, first + outputs.stop)
    if not source.inputs:
      yield _Piece(name, outputs.start, slice(None), out.reshape(-1))
      return
    target = out.reshape(inputs.stop - inputs.start, -1)
    rows, columns = inputs, outputs
    if source.flipped:
      target, rows, columns = target.T, outputs, inputs
    size = max(_PIECE // self._tensors.shapes[name][1], 1)
    for row in range(0, len(target), size):
      piece = target[row : row + size]
      yield _Piece(name, rows.start + row, columns, piece)

  def _copy(self, piece: _Piece) -> None:
    """Copies a piece, a few rows at a time, which stay in the cache."""
    rows = slice(piece.first, piece.first + len(piece.out))
    weight = self._tensors.map_rows(piece.name, rows)
    if weight.dtype == jnp.bfloat16:
      weight = weight.view(np.uint16)  # Copied without the GIL.
    if weight.ndim == 1:
      piece.out[...] = weight
      return
    weight = weight[:, piece.columns]
    out = piece.out[: len(weight), : weight.shape[1]]
    height = _COLUMN // weight.itemsize
    buffer = _buffer(height, weight.shape[1], weight.dtype)
    for row in range(0, len(weight), height):
      block = weight[row : row + height]
      buffer[: len(block)] = block
      out[row : row + height] = buffer[: len(block)]

  def _full(self, name: str) -> str:
    """Returns a tensor's name with the prefix that the files have."""
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
    names = [
        self._file_names[name]
        for name in (names_lib.HEAD, embedding)
        if name in self._file_names
    ]
    if len(names) == 2 and not self._are_equal(*names):
      raise errors.InputError(
          f"{self._tensors.directory}: {files.CONFIG} says tie_word_embeddings,"
          f" but {names_lib.HEAD} differs from {embedding}. Set it to false"
          " there, or download the model again."
      )

  def _are_equal(self, first: str, second: str) -> bool:
    """Returns whether two matrices of the file are equal."""
    shape = self._tensors.shapes[first]
    if self._tensors.shapes[second] != shape:
      return False
    size = max(_PIECE // shape[1], 1)
    return all(
        np.array_equal(
            self._tensors.map_rows(first, slice(row, row + size)),
            self._tensors.map_rows(second, slice(row, row + size)),
        )
        for row in range(0, shape[0], size)
    )


def _first_halves(zeros: np.ndarray) -> np.ndarray:
  """Returns the first halves of float32 zeros as uint16, of the same shape.

  A bfloat16 is the first half of a float32 whose second half is 0.
  """
  return zeros.view(np.uint16)[..., 1::2]


def _buffer(rows: int, columns: int, dtype: np.dtype) -> np.ndarray:
  """Returns memory whose rows begin in different sets of the cache.

  Rows of a power of two would push one another out of it.
  """
  line = 64 // dtype.itemsize
  return np.empty((rows, columns + line), dtype)[:, :columns]


def _zeros(shape: Sequence[int]) -> np.ndarray:
  """Returns float32 zeros that CPU devices use without a copy.

  They begin at a page. NumPy's own zeros ask for huge pages, for which a kernel
  whose memory is fragmented moves pages: that took most of the time. Pages that
  processes could share take 1.5 times as long as private ones.
  """
  count = math.prod(shape)
  flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
  buffer = mmap.mmap(-1, max(4 * count, 1), flags=flags)
  return np.frombuffer(buffer, np.float32, count).reshape(shape)


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
