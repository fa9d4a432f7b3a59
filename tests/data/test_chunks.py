"""Chunks of a prepare that was stopped are checked before they are used."""

import shutil

import chosen
import pytest

from zsgen.core import config, errors
from zsgen.data import chunks, prepare, publish


@pytest.fixture
def folder(tmp_path, monkeypatch):
  """Chunks of five examples, left by a prepare that was stopped."""
  path = chosen.write(tmp_path / "rows.jsonl", chosen.rows())
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
  (found,) = (tmp_path / "stores").iterdir()
  assert chunks.count_complete(found) == 5
  return found


def test_any_flip_is_noticed(folder):
  file = folder / "chunk-00001.arrow"
  whole = file.read_bytes()
  for place in range(0, len(whole), 1 + len(whole) // 60):
    changed = bytearray(whole)
    changed[place] ^= 4
    file.write_bytes(changed)
    with pytest.raises(errors.InputError, match=r"chunk-00001\.arrow: is dam"):
      list(chunks.read(folder))


@pytest.mark.parametrize("length", [0, 31, 32, -1])
def test_a_file_that_is_cut_is_noticed(folder, length):
  file = folder / "chunk-00001.arrow"
  file.write_bytes(file.read_bytes()[:length])
  with pytest.raises(errors.InputError, match="is damaged"):
    list(chunks.read(folder))


def test_chunks_that_changed_places_are_noticed(folder):
  first, last = (folder / f"chunk-0000{i}.arrow" for i in (0, 2))
  shutil.move(first, folder / "kept")
  shutil.move(last, first)
  shutil.move(folder / "kept", last)
  with pytest.raises(errors.InputError, match="is damaged"):
    list(chunks.read(folder))
