"""Safetensors files, which are mapped by rows and written one by one."""

import errno
import os
import pathlib
import weakref

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy

from zsgen.core import errors
from zsgen.models.hugging_face import containers

FLOAT32, BFLOAT16 = np.dtype(np.float32), np.dtype(ml_dtypes.bfloat16)


def _arrays():
  rng = np.random.default_rng(0)
  return {
      "b.weight": rng.standard_normal((7, 5), np.float32),
      "a.weight": rng.standard_normal((5, 9), np.float32).T,
      "a.bias": rng.standard_normal(9, np.float32),
      "größe": np.zeros((0, 3), np.float32),
  }


def _write(path, arrays, dtype=FLOAT32):
  shapes = {name: array.shape for name, array in arrays.items()}
  containers.write(path, shapes, dtype, arrays.__getitem__)


@pytest.mark.parametrize("piece", [1, 40, 2**22])
@pytest.mark.parametrize("dtype", [FLOAT32, BFLOAT16])
def test_files_equal_those_of_the_library(tmp_path, monkeypatch, dtype, piece):
  monkeypatch.setattr(containers, "_PIECE", piece)
  arrays = _arrays()
  _write(tmp_path / "file", arrays, dtype)
  converted = {
      name: np.ascontiguousarray(array.astype(dtype))
      for name, array in arrays.items()
  }
  expected = safetensors.numpy.save(converted, {"format": "pt"})
  assert (tmp_path / "file").read_bytes() == expected


@pytest.mark.parametrize("dtype", [FLOAT32, BFLOAT16])
def test_one_weight_at_a_time_is_held(tmp_path, dtype):
  arrays, references = _arrays(), []

  def build(name):
    assert not any(reference() is not None for reference in references)
    array = arrays[name].copy()
    references.append(weakref.ref(array))
    return array

  shapes = {name: array.shape for name, array in arrays.items()}
  containers.write(tmp_path / "file", shapes, dtype, build)
  assert len(references) == len(arrays)


@pytest.mark.parametrize("element", [np.float16, np.float64, BFLOAT16, FLOAT32])
def test_rows_equal_those_of_the_library(tmp_path, element):
  arrays = {
      name: np.ascontiguousarray(array.astype(element))
      for name, array in _arrays().items()
  }
  safetensors.numpy.save_file(arrays, tmp_path / "file")
  header = containers.read_header(tmp_path / "file")
  assert {name: weight.shape for name, weight in header.items()} == {
      name: array.shape for name, array in arrays.items()
  }
  for rows in (slice(None), slice(2, 5), slice(3, 99), slice(50, 60)):
    for name, array in arrays.items():
      mapped = containers.map_rows(header[name], rows)
      assert mapped.dtype == element and not mapped[:0].size
      np.testing.assert_array_equal(mapped, array[rows])
  if element == FLOAT32:
    with pytest.raises(ValueError, match="read-only"):
      containers.map_rows(header["b.weight"], slice(None))[0] = 1


def test_a_file_truncated_while_it_is_read(tmp_path):
  _write(tmp_path / "file", _arrays())
  header = containers.read_header(tmp_path / "file")
  os.truncate(tmp_path / "file", 100)
  with pytest.raises(errors.InputError, match="changed while it was read"):
    containers.map_rows(header["b.weight"], slice(None))
  with pytest.raises(errors.InputError, match="is not a safetensors file"):
    containers.read_header(tmp_path / "file")


def test_errors_of_the_system_name_the_file(tmp_path):
  (tmp_path / "file").write_bytes(b"")
  with pytest.raises(OSError) as caught:
    _write(tmp_path / "file" / "x", {})
  assert caught.value.errno == errno.ENOTDIR
  assert str(caught.value.filename).endswith("x")


def test_a_full_disk_names_the_file():
  with pytest.raises(OSError) as caught:
    _write(pathlib.Path("/dev/full"), _arrays())
  assert caught.value.errno == errno.ENOSPC
  assert caught.value.filename == "/dev/full"
