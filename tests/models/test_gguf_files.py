"""Headers of GGUF files: what is read, and what is damaged."""

import struct

import numpy as np
import pytest

from tests.helpers import gguf_files
from zsgen.core import errors
from zsgen.models.gguf import files

gguf = pytest.importorskip("gguf", reason="the extra gguf is not installed")

SUPPORTED = (
    *("F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"),
    *("Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL", "IQ4_XS"),
)
_HEADER = struct.Struct("<4sIQQ")


def _string(text):
  encoded = text.encode()
  return struct.pack("<Q", len(encoded)) + encoded


def _field(key, kind, value):
  return _string(key) + struct.pack("<I", kind) + value


def _tensor(name, shape, kind=0, offset=0):
  axes = struct.pack(f"<I{len(shape)}Q", len(shape), *reversed(shape))
  return _string(name) + axes + struct.pack("<IQ", kind, offset)


def _write(path, fields=(), tensors=(), data=b"", version=3, magic=b"GGUF"):
  header = _HEADER.pack(magic, version, len(tensors), len(fields))
  header += b"".join([*fields, *tensors])
  path.write_bytes(header + bytes(-len(header) % 32) + data)
  return path


@pytest.fixture
def path(tmp_path):
  return tmp_path / "file.gguf"


def _raw(kind, rows, columns):
  """Random blocks; no scale in them is infinite."""
  block, size = gguf.GGML_QUANT_SIZES[kind]
  rng = np.random.default_rng(int(kind))
  shape = (rows, columns // block * size)
  return rng.integers(0, 256, shape, np.uint8) & 0xBF


@pytest.mark.parametrize("name", SUPPORTED)
def test_blocks_equal_those_of_the_package(name, path):
  kind = gguf.GGMLQuantizationType[name]
  raw = _raw(kind, 3, 512)
  writer = gguf.GGUFWriter(str(path), "llama")
  # Something before it, so that its offset counts.
  writer.add_tensor("first", np.arange(5, dtype=np.float32))
  writer.add_tensor("matrix", raw, raw_dtype=kind)
  gguf_files.close(writer)
  file = files.File(path)
  assert file.tensors["matrix"].shape == (3, 512)
  actual = file.read("matrix")
  assert actual.dtype == np.float32
  np.testing.assert_array_equal(actual, gguf.dequantize(raw, kind))
  np.testing.assert_array_equal(file.read("first"), np.arange(5))


def test_fields_equal_those_of_the_package(path):
  writer = gguf.GGUFWriter(str(path), "llama")
  fields = {
      "a.string": "naïve 日本",
      "a.bool": True,
      "a.uint": 2**32 - 1,
      "a.float": 1e-5,
      "a.strings": ["", "x", "ü" * 300],
      "a.ints": [1, -2, 3],
      "a.floats": [0.5, -1e6],
      "a.bools": [True, False],
  }
  for key, value in fields.items():
    gguf_files.add_field(writer, key, value)
  writer.add_uint64("a.long", 2**60)
  writer.add_int8("a.short", -3)
  writer.add_float64("a.double", 0.1)
  gguf_files.close(writer)
  actual = files.File(path).fields
  assert actual.pop("general.architecture") == "llama"
  for key, value in fields.items():
    read = actual.pop(key)
    assert (read.tolist() if isinstance(read, np.ndarray) else read) == value
  assert actual == {"a.long": 2**60, "a.short": -3, "a.double": 0.1}
  assert type(files.File(path).fields["a.bool"]) is bool


def test_a_float32_is_read_as_its_shortest_decimal(path):
  for number in (1e-5, 9.99e-6, 1e-6, 500000.0, 0.1):
    _write(path, [_field("eps", 6, struct.pack("<f", number))])
    assert files.File(path).fields["eps"] == number


def test_a_truncated_file_is_one_error_at_any_length(path):
  writer = gguf.GGUFWriter(str(path), "llama")
  for key, value in gguf_files.byte_level().items():
    gguf_files.add_field(writer, key, value)
  writer.add_tensor("matrix", np.ones((3, 32), np.float32))
  gguf_files.close(writer)
  content = path.read_bytes()
  ends = np.random.default_rng(0).integers(0, len(content) - 1, 60)
  for end in [0, 1, 4, 8, 23, 24, *ends.tolist(), len(content) - 1]:
    path.write_bytes(content[:end])
    with pytest.raises(errors.InputError, match="not a complete GGUF"):
      files.File(path)


def test_a_flipped_byte_of_a_header_raises_no_other_error(path):
  writer = gguf.GGUFWriter(str(path), "llama")
  for key, value in {"a.b": [1, 2], "c": "text", "d": ["x", "y"]}.items():
    gguf_files.add_field(writer, key, value)
  writer.add_tensor("matrix", np.ones((3, 32), np.float32))
  gguf_files.close(writer)
  content = path.read_bytes()
  for position in range(len(content) - 3 * 32 * 4):
    for value in (0x00, 0x7F, 0xFF):
      damaged = bytearray(content)
      damaged[position] = value
      path.write_bytes(damaged)
      try:
        files.File(path)
      except errors.InputError as error:
        assert len(str(error)) < 700


@pytest.mark.parametrize(
    "content, message",
    [
        (dict(magic=b"GGML"), "does not start with GGUF"),
        (dict(version=1), "version is 1, not 2 or 3"),
        (dict(version=3 << 24), "version is 50331648"),
        (dict(fields=[_field("a", 13, b"")]), "unknown type 13"),
        (
            dict(fields=[_field("a", 9, struct.pack("<IQ", 9, 1))]),
            "unknown type 9",
        ),
        (
            dict(fields=[_field("a", 9, struct.pack("<IQ", 8, 2**61))]),
            "ends after",
        ),
        (
            dict(fields=[_field("a", 9, struct.pack("<IQ", 4, 2**40))]),
            "ends after",
        ),
        (dict(fields=[_field("a", 4, bytes(4))] * 2), "field a is there twice"),
        (
            dict(fields=[_field("split.count", 2, struct.pack("<H", 3))]),
            "one of 3 parts.*llama-gguf-split",
        ),
        (
            dict(
                fields=[_field("general.alignment", 4, struct.pack("<I", 24))]
            ),
            "alignment is 24, not a power of 2",
        ),
        (dict(tensors=[_tensor("t", (1,) * 5)]), "t has 5 axes"),
        (dict(tensors=[_tensor("t", (2**40, 2**40))]), "ends after"),
        (dict(tensors=[_tensor("t", (0, 4))]), r"shape \[0, 4\]"),
        (dict(tensors=[_tensor("t", (3, 33), 8)]), r"shape \[3, 33\]"),
        (dict(tensors=[_tensor("t", (4,), 99)]), "unknown type 99"),
        (dict(tensors=[_tensor("t", (4,), 0, 8)]), "not at the offset 0"),
        (dict(tensors=[_tensor("t", (1,))] * 2), "tensor t is there twice"),
    ],
)
def test_damaged_headers_are_named(content, message, path):
  _write(path, **{"data": bytes(64), **content})
  with pytest.raises(errors.InputError, match=message) as caught:
    files.File(path)
  assert str(path) in str(caught.value)


def test_types_that_are_not_supported_are_named_at_once(path):
  tensors = [
      _tensor("a", (8,), 24, 0),  # I8
      _tensor("b", (8,), 24, 32),
      _tensor("c", (2, 32), 9, 64),  # Q8_1
      _tensor("d", (2,), 0, 160),
  ]
  _write(path, tensors=tensors, data=bytes(200))
  message = r"types Q8_1 \(1 tensors\), I8 \(2 tensors\) are not supported"
  with pytest.raises(errors.InputError, match=message):
    files.File(path)


def test_values_that_are_not_finite_are_damage(path):
  data = np.array([1.0, np.inf], np.float32).tobytes()
  _write(path, tensors=[_tensor("t", (2,))], data=data)
  with pytest.raises(errors.InputError, match="t has values that are not fin"):
    files.File(path).read("t")


def test_a_path_that_cannot_be_read_is_named(tmp_path):
  with pytest.raises(errors.InputError, match="cannot be read"):
    files.File(tmp_path / "missing.gguf")
  with pytest.raises(errors.InputError, match="cannot be read"):
    files.File(tmp_path)
