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

  def stop(*_):
    raise KeyboardInterrupt

  monkeypatch.setattr(chunks, "SIZE", 5)
  monkeypatch.setattr(publish, "write", stop)
  with pytest.raises(KeyboardInterrupt):
    prepare.prepare(tmp_path / "stores", data, 0)
  (found,) = (tmp_path / "stores").iterdir()
  assert chunks.done(found) == 5
  return found


def _content(folder) -> list:
  return [
      [each.to_pydict() if hasattr(each, "to_pydict") else list(each)]
      for chunk in chunks.read(folder)
      for each in chunk
  ]


@pytest.mark.parametrize("suffix", ["npz", "parquet"])
def test_any_flip_is_noticed_or_has_no_effect(folder, suffix):
  before = _content(folder)
  file = folder / f"chunk-00001.{suffix}"
  whole = file.read_bytes()
  noticed = 0
  places = range(0, len(whole), 1 + len(whole) // 60)
  for place in places:
    changed = bytearray(whole)
    changed[place] ^= 4
    file.write_bytes(changed)
    try:
      assert _content(folder) == before
    except errors.InputError as error:
      assert "chunk-00001.parquet: is damaged, or chunk-00001.npz" in str(error)
      noticed += 1
  assert noticed > len(places) // 2


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
    _content(folder)
