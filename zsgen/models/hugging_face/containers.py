"""Safetensors files: weights are mapped by rows, and written one by one.

A file is the length of its header (8 bytes, little-endian), the header (JSON:
element type, shape and bytes of each weight) and the weights. The library
`safetensors` checks files that are read. It writes only what is in memory as a
whole, so files are written here, with the same bytes.
"""

from collections.abc import Callable, Mapping
import io
import json
import math
import mmap
import pathlib
import struct
from typing import Any, NamedTuple

from jax import numpy as jnp
import numpy as np
import safetensors

from zsgen.core import errors

# NumPy's types of the element types that are read and written.
DTYPES = {
    "F64": np.dtype(np.float64),
    "F32": np.dtype(np.float32),
    "F16": np.dtype(np.float16),
    "BF16": np.dtype(jnp.bfloat16),
}
# transformers refuses files without this field.
_METADATA = {"__metadata__": {"format": "pt"}}
_LENGTH = "<Q"
_ALIGNED = 8
# Bytes of a weight that are converted and written at a time.
_PIECE = 2**22


class Weight(NamedTuple):
  """The location of a weight.

  Attributes:
    path: the file.
    type: the element type, by its name in safetensors.
    shape: the shape.
    first: the position of its first byte in the file.
  """

  path: pathlib.Path
  type: str
  shape: tuple[int, ...]
  first: int


def read_header(path: pathlib.Path) -> dict[str, Weight]:
  """Returns the weights of a file, by name.

  Raises:
    InputError: the file is damaged, or is not a safetensors file.
  """
  try:
    # Checks sizes and offsets of all weights.
    with safetensors.safe_open(path, framework="numpy"):
      pass
    with open(path, "rb") as file:
      (length,) = struct.unpack(_LENGTH, file.read(struct.calcsize(_LENGTH)))
      header: dict[str, Any] = json.loads(file.read(length))
      data = file.tell()
  except (safetensors.SafetensorError, ValueError, OSError) as error:
    raise errors.InputError(
        f"{path} is not a safetensors file ({error}). Download it again."
    ) from error
  header.pop("__metadata__", None)
  return {
      name: Weight(
          path,
          fields["dtype"],
          tuple(fields["shape"]),
          data + fields["data_offsets"][0],
      )
      for name, fields in header.items()
  }


def map_rows(weight: Weight, rows: slice) -> np.ndarray:
  """Maps rows of a weight, along its first axis.

  The part of the slice that is out of bounds is left out. The file remains
  mapped, and in memory if needed, as long as the array exists.

  Returns:
    A read-only array in the file's element type.

  Raises:
    InputError: the file was cut after its header was read.
  """
  start, stop, _ = rows.indices(weight.shape[0])
  shape = (max(stop - start, 0), *weight.shape[1:])
  dtype = DTYPES[weight.type]
  size = math.prod(shape) * dtype.itemsize
  if not size:
    return np.zeros(shape, dtype)
  row = size // shape[0]
  first = weight.first + start * row
  before = first % mmap.ALLOCATIONGRANULARITY
  try:
    with open(weight.path, "rb") as file:
      mapped = mmap.mmap(
          file.fileno(),
          before + size,
          access=mmap.ACCESS_READ,
          offset=first - before,
      )
  except (OSError, ValueError) as error:
    raise errors.InputError(
        f"{weight.path} cannot be read any more ({error}): it was changed"
        " while it was read. Download it again."
    ) from error
  flat = np.frombuffer(mapped, dtype, math.prod(shape), before)
  return flat.reshape(shape)


def write(
    path: pathlib.Path,
    shapes: Mapping[str, tuple[int, ...]],
    dtype: np.dtype,
    build: Callable[[str], np.ndarray],
) -> None:
  """Writes a file, one weight after the other.

  Args:
    path: the file.
    shapes: the shape of each weight, by name.
    dtype: the element type of all weights: float32 or bfloat16.
    build: returns the weight of a name; only one is held at a time, and its
      conversion takes a few MB.

  Raises:
    OSError: the file cannot be written.
  """
  names = sorted(shapes)
  try:
    with open(path, "wb") as file:
      file.write(_header(shapes, names, dtype))
      for name in names:
        _write_weight(file, build(name), dtype)
  except OSError as error:
    # Errors of `write` do not name the file.
    raise OSError(error.errno, error.strerror, str(path)) from error


def _header(
    shapes: Mapping[str, tuple[int, ...]], names: list[str], dtype: np.dtype
) -> bytes:
  """Returns the header with its length, as the library writes it."""
  kinds = {kind: name for name, kind in DTYPES.items()}
  header: dict[str, Any] = dict(_METADATA)
  end = 0
  for name in names:
    first, end = end, end + math.prod(shapes[name]) * dtype.itemsize
    header[name] = {
        "dtype": kinds[dtype],
        "shape": list(shapes[name]),
        "data_offsets": [first, end],
    }
  text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
  text += b" " * (-len(text) % _ALIGNED)
  return struct.pack(_LENGTH, len(text)) + text


def _write_weight(
    file: io.BufferedWriter, array: np.ndarray, dtype: np.dtype
) -> None:
  """Writes the bytes of an array; a copy holds some of its rows at a time."""
  row = math.prod(array.shape[1:]) * dtype.itemsize
  rows = max(_PIECE // max(row, 1), 1)
  for first in range(0, len(array), rows):
    piece = np.ascontiguousarray(array[first : first + rows], dtype)
    # The buffer protocol does not know bfloat16.
    file.write(piece.reshape(-1).view(np.uint8).data)
