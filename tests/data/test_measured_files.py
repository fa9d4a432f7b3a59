"""Checksums of files that are measured while they are written."""

import errno
import hashlib
import pathlib
import zlib

import numpy as np
import pytest

from zsgen.data import ahead, blocks


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
  measured = writer.measured()
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
  digest = writer.measured().digest
  assert digest == hashlib.sha256(values.tobytes()).hexdigest()


def test_a_failed_write_is_raised_by_close():
  writer = blocks.MeasuredWriter(pathlib.Path("/dev/full"))
  writer.write(np.zeros(1 << 20, np.uint8))
  with pytest.raises(OSError) as error:
    writer.close()
  assert error.value.errno == errno.ENOSPC
  writer.close()  # It is closed, although a write has failed.


def test_a_consumer_calls_in_sequence():
  values = []
  consumer = ahead.Consumer(values.append)
  for value in range(50):
    consumer.add(value)
  consumer.close()
  assert values == list(range(50))


def test_a_consumer_calls_nothing_after_an_error():
  calls = []

  def fail(value):
    calls.append(value)
    raise ValueError(value)

  consumer = ahead.Consumer(fail)
  consumer.add(1)
  with pytest.raises(ValueError, match="1"):
    consumer.add(2)
  with pytest.raises(ValueError, match="1"):
    consumer.close()
  assert calls == [1]
