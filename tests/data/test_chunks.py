"""Chunks of a prepare that was stopped are checked before they are used."""

import shutil

import numpy as np
import pyarrow as pa
import pytest

from zsgen import errors
from zsgen.data import chunks


def _chunk(number: int) -> chunks.Chunk:
  table = pa.table({"key": [f"{number}-{i}" for i in range(9)]})
  tokens = np.arange(99, dtype=np.uint32) + number
  return chunks.Chunk(tokens, np.ones(99, np.uint8), table, {"cut": number})


@pytest.fixture
def folder(tmp_path):
  for number in range(3):
    chunks.write(tmp_path, number, _chunk(number))
  return tmp_path


def test_chunks_come_back(folder):
  assert chunks.done(folder) == 3
  for number, chunk in enumerate(chunks.read(folder)):
    assert chunk.table["key"].equals(_chunk(number).table["key"])
    np.testing.assert_array_equal(chunk.tokens, _chunk(number).tokens)
    assert chunk.prompts == {"cut": number}


@pytest.mark.parametrize("suffix", ["npz", "parquet"])
def test_any_flip_is_noticed_or_has_no_effect(folder, suffix):
  file = folder / f"chunk-00001.{suffix}"
  whole = file.read_bytes()
  noticed = 0
  for place in range(0, len(whole), 29):
    changed = bytearray(whole)
    changed[place] ^= 4
    file.write_bytes(changed)
    try:
      chunk = list(chunks.read(folder))[1]
    except errors.InputError as error:
      assert "chunk-00001.parquet: is damaged" in str(error)
      noticed += 1
    else:
      assert chunk.table["key"].equals(_chunk(1).table["key"])
      np.testing.assert_array_equal(chunk.tokens, _chunk(1).tokens)
      np.testing.assert_array_equal(chunk.mask, _chunk(1).mask)
      assert chunk.prompts == {"cut": 1}
  assert noticed > len(whole) // 58


@pytest.mark.parametrize(
    "suffixes", [("npz",), ("parquet",), ("npz", "parquet")]
)
def test_chunks_that_changed_places_are_noticed(folder, suffixes):
  for suffix in suffixes:
    first, last = (folder / f"chunk-0000{i}.{suffix}" for i in (0, 2))
    shutil.move(first, folder / "kept")
    shutil.move(last, first)
    shutil.move(folder / "kept", last)
  with pytest.raises(errors.InputError, match="is damaged"):
    list(chunks.read(folder))
