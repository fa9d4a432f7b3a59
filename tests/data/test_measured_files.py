"""Checksums of files that are measured while they are written."""

import hashlib
import zlib

import numpy as np
import pytest

from zsgen.data import blocks


@pytest.mark.parametrize(
    "sizes", [(), (0,), (3,), (16,), (5, 0, 11, 1), (7, 40, 1, 16, 2)]
)
def test_what_is_written_is_measured(tmp_path, monkeypatch, sizes):
  monkeypatch.setattr(blocks, "SIZE", 64)
  parts = [np.arange(size, dtype=np.uint32) * 1000 for size in sizes]
  content = b"".join(part.tobytes() for part in parts)
  path = tmp_path / "file.bin"
  with blocks.MeasuredWriter(path) as writer:
    for part in parts:
      writer.write(part)
    measured = writer.close()
  assert path.read_bytes() == content
  assert measured.digest == hashlib.sha256(content).hexdigest()
  assert measured.sums == [
      zlib.crc32(content[first : first + 64])
      for first in range(0, len(content), 64)
  ]
  assert blocks.measure(path) == measured


def test_every_second_number_is_written(tmp_path):
  values = np.arange(100, dtype=np.uint32)[::2]
  with blocks.MeasuredWriter(tmp_path / "file.bin") as writer:
    writer.write(values)
    digest = writer.close().digest
  assert digest == hashlib.sha256(values.tobytes()).hexdigest()
