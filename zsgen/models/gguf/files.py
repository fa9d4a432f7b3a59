"""Reads GGUF files: their fields, and their tensors as float32.

The header is parsed here, and no length in it is used before it is compared
with the file's: files come from anywhere, and a damaged length must not fill
memory. The package `gguf` knows the layouts of quantized blocks.
"""

from collections.abc import Iterator
import dataclasses
import math
import mmap
import pathlib
import struct
from typing import Any

import numpy as np

from zsgen.core import errors, texts

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
# Types of values by their numbers in the file; scalars as NumPy's types.
_BOOL, _STRING, _ARRAY = 7, 8, 9
_SCALARS = {
    0: "<u1",
    1: "<i1",
    2: "<u2",
    3: "<i2",
    4: "<u4",
    5: "<i4",
    6: "<f4",
    _BOOL: "<u1",
    10: "<u8",
    11: "<i8",
    12: "<f8",
}
_SIZE = struct.Struct("<Q")
_ALIGNMENT = "general.alignment"
_MOST_AXES = 4


@dataclasses.dataclass(frozen=True)
class Tensor:
  """The location of a tensor.

  Attributes:
    type: a `gguf.GGMLQuantizationType`.
    shape: the axes, outputs first: GGUF itself lists them in reverse.
    offset: of the first byte in the file.
    size: number of bytes.
  """

  type: Any
  shape: tuple[int, ...]
  offset: int
  size: int


class File:
  """A GGUF file; its tensors are read one at a time.

  Attributes:
    path: the file.
    fields: the metadata by key: numbers, strings, lists of strings, and arrays
      of numbers.
    tensors: the tensors by name.

  Raises:
    InputError: the file cannot be read, is damaged, incomplete or a part of
      several, or a type of its tensors is not supported; or the package `gguf`
      is missing.
  """

  def __init__(self, path: pathlib.Path):
    self.path = path
    self._gguf = _package()
    try:
      with open(path, "rb") as file:
        self._data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
      self.fields, self.tensors = self._read_header(_Cursor(self._data))
    except OSError as error:
      reason = error.strerror or str(error)
      raise errors.InputError(f"{path}: cannot be read ({reason}).") from error
    except ValueError as error:
      raise errors.InputError(
          f"{path}: is not a complete GGUF file ({error}). Download it again."
      ) from error
    self._check_types()

  def read(self, name: str) -> np.ndarray:
    """Returns a tensor as float32.

    Raises:
      InputError: it has values that are not finite.
    """
    tensor = self.tensors[name]
    data = np.frombuffer(self._data, np.uint8, tensor.size, tensor.offset)
    rows = data.reshape(*tensor.shape[:-1], -1)
    with np.errstate(all="ignore"):
      array = self._gguf.dequantize(rows, tensor.type).astype(np.float32)
    if not np.isfinite(array).all():
      raise errors.InputError(
          f"{self.path}: the tensor {name} has values that are not finite. The"
          " file is damaged; download it again."
      )
    return array.reshape(tensor.shape)

  def _read_header(
      self, cursor: "_Cursor"
  ) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Reads fields and tensors' places.

    Raises:
      ValueError: the file is damaged or not supported.
    """
    if cursor.take(4) != _MAGIC:
      raise ValueError("it does not start with GGUF")
    version = cursor.number("<u4")
    if version not in _VERSIONS:
      raise ValueError(
          f"its version is {version}, not {' or '.join(map(str, _VERSIONS))}"
      )
    tensors, fields = cursor.number("<u8"), cursor.number("<u8")
    pairs = (
        (cursor.string(), cursor.value(cursor.number("<u4")))
        for _ in range(fields)
    )
    metadata = _unique(pairs, "field")
    if (parts := metadata.get("split.count", 1)) not in (0, 1):
      raise ValueError(
          f"it is one of {parts} parts; merge them with llama-gguf-split"
      )
    infos = _unique((cursor.tensor() for _ in range(tensors)), "tensor")
    return metadata, self._locate(infos, cursor, metadata)

  def _locate(
      self,
      infos: dict[str, tuple[tuple[int, ...], int, int]],
      cursor: "_Cursor",
      metadata: dict[str, Any],
  ) -> dict[str, Tensor]:
    """Returns the tensors, which follow one another without a gap."""
    alignment = metadata.get(_ALIGNMENT, 32)
    if not isinstance(alignment, int) or alignment.bit_count() != 1:
      raise ValueError(f"{_ALIGNMENT} is {alignment!r}, not a power of 2")
    begin = -(-cursor.position // alignment) * alignment
    expected, tensors = 0, {}
    for name, (shape, number, offset) in infos.items():
      kind, size = self._size(name, shape, number)
      if offset != expected:
        raise ValueError(
            f"the tensor {_short(name)} is not at the offset {expected}"
        )
      expected = -(-(offset + size) // alignment) * alignment
      if begin + offset + size > len(self._data):
        raise ValueError(
            f"it has {len(self._data):,} bytes, but the tensor {_short(name)} ends"
            f" after {begin + offset + size:,}"
        )
      tensors[name] = Tensor(kind, shape, begin + offset, size)
    return tensors

  def _size(
      self, name: str, shape: tuple[int, ...], number: int
  ) -> tuple[Any, int]:
    """Returns the type of a tensor and its number of bytes."""
    try:
      kind = self._gguf.GGMLQuantizationType(number)
    except ValueError as error:
      raise ValueError(
          f"the tensor {_short(name)} has the unknown type {number}"
      ) from error
    block, size = self._gguf.GGML_QUANT_SIZES[kind]
    if not math.prod(shape) or shape[-1] % block:
      raise ValueError(f"the tensor {_short(name)} has the shape {list(shape)}")
    return kind, math.prod(shape) // block * size

  def _check_types(self) -> None:
    """Raises InputError that names all types that cannot be dequantized."""
    counts: dict[Any, int] = {}
    for tensor in self.tensors.values():
      counts[tensor.type] = counts.get(tensor.type, 0) + 1
    refused = [
        f"{kind.name} ({count} tensors)"
        for kind, count in sorted(counts.items())
        if not self._is_supported(kind)
    ]
    if refused:
      raise errors.InputError(
          f"{self.path}: the types {', '.join(refused)} are not supported: the"
          " package gguf does not dequantize them. Use a file of another"
          " quantization, such as Q8_0 or Q4_K_M."
      )

  def _is_supported(self, kind: Any) -> bool:
    """Returns whether the package can dequantize a type."""
    _, size = self._gguf.GGML_QUANT_SIZES[kind]
    try:
      self._gguf.dequantize(np.zeros((1, size), np.uint8), kind)
    except NotImplementedError:
      return False
    return True


class _Cursor:
  """Reads values from a position on; raises ValueError at the end."""

  def __init__(self, data: mmap.mmap):
    self._data = data
    self.position = 0

  def take(self, size: int) -> bytes:
    """Reads `size` bytes; raises ValueError if fewer are left."""
    return self._data[self._advance(size) : self.position]

  def number(self, kind: str) -> int:
    """Reads an integer of one of NumPy's types."""
    return int(self._numbers(kind, 1)[0])

  def string(self) -> str:
    """Reads a string in UTF-8, which its size precedes."""
    (size,) = _SIZE.unpack(self.take(_SIZE.size))
    return self.take(size).decode()

  def value(self, kind: int) -> Any:
    """Reads a value of a type, as `File.fields` has it."""
    if kind == _STRING:
      return self.string()
    if kind == _ARRAY:
      return self._array()
    values = self._typed(kind, 1)
    if values.dtype != np.float32:
      return values[0].item()
    # The shortest number that is this float32: 1e-05, not 9.99999974e-06.
    return float(str(values[0]))

  def tensor(self) -> tuple[str, tuple[tuple[int, ...], int, int]]:
    """Reads the name of a tensor; its shape, type and relative offset."""
    name, axes = self.string(), self.number("<u4")
    if not 1 <= axes <= _MOST_AXES:
      raise ValueError(f"the tensor {_short(name)} has {axes} axes")
    shape = self._numbers("<u8", axes)[::-1].tolist()
    number, offset = self.number("<u4"), self.number("<u8")
    return name, (tuple(shape), number, offset)

  def _array(self) -> Any:
    """Reads an array of strings or of numbers."""
    kind, size = self.number("<u4"), self.number("<u8")
    if kind == _STRING:
      # Each string has at least its length.
      self._check(size * _SIZE.size)
      return [self.string() for _ in range(size)]
    return self._typed(kind, size)

  def _typed(self, kind: int, size: int) -> np.ndarray:
    """Reads numbers of a type, as the file numbers types."""
    if kind not in _SCALARS:
      raise ValueError(f"a field has the unknown type {kind}")
    values = self._numbers(_SCALARS[kind], size)
    return values != 0 if kind == _BOOL else values

  def _numbers(self, kind: str, size: int) -> np.ndarray:
    begin = self._advance(size * np.dtype(kind).itemsize)
    return np.frombuffer(self._data, kind, size, begin)

  def _advance(self, size: int) -> int:
    """Moves on; returns the position before."""
    self._check(size)
    begin, self.position = self.position, self.position + size
    return begin

  def _check(self, size: int) -> None:
    if self.position + size > len(self._data):
      raise ValueError(f"it ends after {len(self._data):,} bytes")


def _unique(pairs: Iterator[tuple[str, Any]], noun: str) -> dict[str, Any]:
  """Returns pairs as a dict.

  Raises:
    ValueError: a name is there twice.
  """
  values: dict[str, Any] = {}
  for name, value in pairs:
    if name in values:
      raise ValueError(f"the {noun} {_short(name)} is there twice")
    values[name] = value
  return values


def _short(name: str) -> str:
  return texts.short(name, 80)


def _package() -> Any:
  """Imports the optional package gguf."""
  try:
    import gguf  # Optional: extra gguf.
  except ImportError as error:
    raise errors.InputError(
        "GGUF files need the package gguf: pip install 'zsgen[gguf]'."
    ) from error
  return gguf
