"""Chunks of a prepare that was stopped are checked before they are used."""

import shutil

import pytest

from tests.helpers import choice_tables
from zsgen.core import config, errors
from zsgen.data import chunks, prepare, publish


@pytest.fixture
def folder(tmp_path, monkeypatch):
  """Returns chunks of five examples, left by an interrupted prepare."""
  path = choice_tables.write(tmp_path / "rows.jsonl", choice_tables.rows())
  data = config.build(
      config.Data,
      source="table",
      path=str(path),
      heldout={"h": config.Heldout(share=0.5)},
  )

  def stop(path, encoded, *_):
    assert len(list(encoded)) == 5
    raise KeyboardInterrupt

  monkeypatch.setattr(chunks, "SIZE", 5)
  monkeypatch.setattr(publish, "write", stop)
  with pytest.raises(KeyboardInterrupt):
    prepare.prepare(tmp_path / "stores", data, 0)
  (partial,) = (tmp_path / "stores").iterdir()
  assert chunks.count_complete(partial) == 5
  return partial


def test_any_flip_is_noticed(folder):
  file = folder / "chunk-00001.arrow"
  content = file.read_bytes()
  for position in range(0, len(content), 1 + len(content) // 60):
    changed = bytearray(content)
    changed[position] ^= 4
    file.write_bytes(changed)
    with pytest.raises(errors.InputError, match=r"chunk-00001\.arrow: is dam"):
      list(chunks.read(folder))


@pytest.mark.parametrize("length", [0, 31, 32, -1])
def test_a_truncated_file_is_noticed(folder, length):
  file = folder / "chunk-00001.arrow"
  file.write_bytes(file.read_bytes()[:length])
  with pytest.raises(errors.InputError, match="is damaged"):
    list(chunks.read(folder))


def test_swapped_chunks_are_noticed(folder):
  first, last = (folder / f"chunk-0000{i}.arrow" for i in (0, 2))
  shutil.move(first, folder / "kept")
  shutil.move(last, first)
  shutil.move(folder / "kept", last)
  with pytest.raises(errors.InputError, match="is damaged"):
    list(chunks.read(folder))
