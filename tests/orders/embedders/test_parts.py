"""Vectors on disk while texts are embedded."""

import numpy as np
import pytest

from zsgen.orders.embedders import parts

SHAPE = (6, 3)
VECTORS = np.arange(18, dtype=np.float32).reshape(SHAPE)


@pytest.fixture
def path(tmp_path):
  return parts.chunk_path(tmp_path, 7)


def _add(chunk, *rows) -> None:
  chunk.add(np.array(rows), VECTORS[[*rows]])


@pytest.fixture
def files(path, monkeypatch):
  """Writes two parts, which have the rows 0, 4 and 1."""
  monkeypatch.setattr(parts, "_SECONDS", 0)
  chunk = parts.Chunk(path, SHAPE)
  _add(chunk, 0, 4)
  _add(chunk, 1)
  return sorted(path.parent.iterdir())


def test_parts_are_resumed_and_merged_into_one_chunk(path, files):
  chunk = parts.Chunk(path, SHAPE)
  assert chunk.is_done.tolist() == [True, True, False, False, True, False]
  assert not chunk.damaged and parts.read_chunk(path, SHAPE) is None
  _add(chunk, 2, 3, 5)
  assert len([*path.parent.iterdir()]) == 3
  chunk.finish(cut=2)
  assert [*path.parent.iterdir()] == [path]
  actual = parts.read_chunk(path, SHAPE)
  np.testing.assert_array_equal(actual.vectors, VECTORS)
  assert actual.cut == 2
  assert parts.read_chunk(path, (5, 3)) is None


def test_a_part_is_written_after_some_seconds(path, monkeypatch):
  chunk = parts.Chunk(path, SHAPE)
  _add(chunk, 0)
  assert not [*path.parent.iterdir()]
  monkeypatch.setattr(parts, "_SECONDS", 0)
  _add(chunk, 4)
  (part,) = path.parent.iterdir()
  assert parts.read_arrays(part)["rows"].tolist() == [0, 4]


def test_every_flipped_bit_of_a_part_is_noticed(path, files):
  remaining, part = files
  full = part.read_bytes()
  for position in range(len(full)):
    data = bytearray(full)
    data[position] ^= 1 << position % 8
    part.write_bytes(data)
    assert parts.read_arrays(part) is None
  for data in (b"", full[:31], full[:-1], full + b"x"):
    part.write_bytes(data)
    chunk = parts.Chunk(path, SHAPE)
    assert chunk.damaged == [part] and not part.exists()
    assert np.flatnonzero(chunk.is_done).tolist() == [0, 4]
  # The number of the one that is gone is not that of one that is there.
  _add(chunk, 1)
  assert len(sorted(path.parent.glob("*.part-*"))) == 2
  assert remaining.exists()


@pytest.mark.parametrize(("shape", "lost"), [((4, 3), 1), ((6, 2), 2)])
def test_parts_of_other_texts_are_ignored(path, files, shape, lost):
  assert parts.Chunk(path, shape).damaged == files[:lost]
