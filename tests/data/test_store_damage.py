"""A store that is damaged is noticed before what it says is used."""

import json
import pathlib
import shutil

import numpy as np
import pytest

from tests.helpers import choice_tables
from zsgen.core import artifacts, config, errors
from zsgen.data import blocks, prepare, sealing, tokenizers
from zsgen.data import store as store_lib

FILES = (
    *store_lib.FILES,
    store_lib.CHOICES,
    store_lib.BLOCKS,
    "tokenizer/zsgen.json",
    artifacts.MANIFEST,
)


def _make(root: pathlib.Path, seed: int = 0) -> store_lib.Store:
  path = root / "rows.jsonl"
  if not path.exists():
    choice_tables.write(path, choice_tables.rows())
  data = config.build(
      config.Data,
      source="table",
      path=str(path),
      fields=config.Fields(choices="from"),
      heldout={"heldout": config.Heldout(share=0.5)},
  )
  return prepare.prepare(root / "stores", data, seed)


@pytest.fixture(scope="module")
def store_path(tmp_path_factory) -> pathlib.Path:
  """Prepares the stores of two seeds and returns the path of one."""
  root = tmp_path_factory.mktemp("made")
  _make(root, seed=1)
  return _make(root).path


def _content(store: store_lib.Store) -> list:
  """Reads all that a store can return."""
  ids = np.arange(len(store))
  heldout = store.split_ids("heldout")
  return [
      *(part.tolist() for i in ids for part in store.row(i)),
      store.texts(ids),
      store.keys(ids),
      store.tasks,
      store.categories,
      store.task_index.tolist(),
      store.loss_lengths.tolist(),
      store.answered(heldout),
      [part.tolist() for part in store.choices("heldout")],
      tokenizers.load(store.path / store_lib.TOKENIZER).fingerprint,
      store.manifest["counts"],
  ]


def _has_same_bytes(file: pathlib.Path, sibling: pathlib.Path) -> bool:
  return file.read_bytes() == sibling.read_bytes()


def _flip(position: float):
  def flip(file: pathlib.Path, _):
    content = bytearray(file.read_bytes())
    content[int(position * (len(content) - 1))] ^= 1
    file.write_bytes(content)

  return flip


def _exchange(file: pathlib.Path, sibling: pathlib.Path):
  content = file.read_bytes()
  file.write_bytes(sibling.read_bytes())
  sibling.write_bytes(content)


DAMAGES = {
    "flip first": _flip(0),
    "flip": _flip(0.6),
    "flip last": _flip(1),
    "truncate": lambda file, _: file.write_bytes(file.read_bytes()[:-3]),
    "empty": lambda file, _: file.write_bytes(b""),
    "zero": lambda file, _: file.write_bytes(bytes(file.stat().st_size)),
    "delete": lambda file, _: file.unlink(),
    "exchange": _exchange,
}


@pytest.mark.parametrize("name", FILES)
def test_any_damage_is_named(store_path, tmp_path, name):
  root = tmp_path / "root"
  shutil.copytree(store_path.parent, root / "stores")
  path = root / "stores" / store_path.name
  sibling = next(
      candidate
      for candidate in store_path.parent.iterdir()
      if candidate != store_path
  )
  for damage, do in DAMAGES.items():
    if damage == "exchange" and _has_same_bytes(
        store_path / name, sibling / name
    ):
      continue
    shutil.copy(sibling / name, tmp_path / "other")
    do(path / name, tmp_path / "other")
    with pytest.raises(errors.InputError) as caught:
      _content(store_lib.open_store(path))
    assert f"elete {path} to have" in str(caught.value), damage
    try:
      assert store_lib.problems(path), damage
    except errors.InputError as error:  # There is no manifest to go by.
      assert name == artifacts.MANIFEST, error
    shutil.copy(store_path / name, path / name)
  assert not store_lib.problems(path)


@pytest.mark.parametrize("name", ["tokens.bin", artifacts.MANIFEST])
def test_the_advice_works(tmp_path, name):
  store = _make(tmp_path)
  before = _content(store)
  _flip(0.6)(store.path / name, None)
  with pytest.raises(errors.InputError, match=f"elete {store.path} to have"):
    _content(_make(tmp_path))
  shutil.rmtree(store.path)
  assert _content(_make(tmp_path)) == before


@pytest.fixture
def small_blocks(monkeypatch, tmp_path) -> store_lib.Store:
  """Returns a store whose blocks are of 64 bytes: rows span several."""
  monkeypatch.setattr(blocks, "SIZE", 64)
  return _make(tmp_path)


def _damage(store: store_lib.Store, byte: int) -> None:
  content = np.memmap(store.path / "tokens.bin", np.uint8, "r+")
  content[byte] ^= 128


def test_a_damaged_block_spoils_only_rows_that_touch_it(small_blocks):
  block = 7
  spoiled = np.arange(block * 16, (block + 1) * 16)  # Tokens of the block.
  ends = np.cumsum(small_blocks.lengths)
  _damage(small_blocks, block * 64 + 63)
  store = store_lib.open_store(small_blocks.path)
  raised = []
  for example in range(len(store)):
    row = range(ends[example] - store.lengths[example], ends[example])
    try:
      store.row(example)
    except errors.InputError as error:
      assert f"tokens.bin: block {block} (bytes 448 to 512)" in str(error)
      raised.append(example)
    touches = bool({i // 16 for i in row} & set(spoiled // 16))
    assert touches == (example in raised)
  assert raised


def test_blocks_in_the_middle_of_a_row_are_checked(small_blocks):
  longest = int(small_blocks.lengths.argmax())
  begin = int(np.cumsum(small_blocks.lengths)[longest])
  begin -= int(small_blocks.lengths[longest])
  middle = begin + int(small_blocks.lengths[longest]) // 2
  small_blocks.row(longest)
  _damage(small_blocks, 4 * middle)
  small_blocks.row(longest)  # It was checked before, and is mapped as it was.
  with pytest.raises(errors.InputError, match=rf"block {4 * middle // 64} "):
    store_lib.open_store(small_blocks.path).row(longest)


def test_swapped_blocks_are_detected(small_blocks):
  file = small_blocks.path / "tokens.bin"
  content = file.read_bytes()
  assert content[:64] != content[128:192]
  file.write_bytes(content[128:192] + content[64:128] + content[:64])
  with open(file, "ab") as end:
    end.write(content[192:])
  with pytest.raises(errors.InputError, match="block 0"):
    store_lib.open_store(small_blocks.path).row(0)
  (problem,) = store_lib.problems(small_blocks.path)
  assert (
      "2 blocks do not match their checksums, the first is block 0" in problem
  )


def test_all_damages_are_listed(small_blocks):
  for name in ("mask.bin", "examples.parquet"):
    _flip(0.5)(small_blocks.path / name, None)
  (small_blocks.path / store_lib.CHOICES).unlink()
  first, second, third = store_lib.problems(small_blocks.path)
  assert "choices.npy: is missing, but" in first
  assert "examples.parquet: is damaged: block" in second
  assert "mask.bin: is damaged: block" in third
  (small_blocks.path / store_lib.BLOCKS).unlink()
  assert len(store_lib.problems(small_blocks.path)) == 4


@pytest.mark.parametrize(
    "change",
    [
        lambda offsets: offsets[::-1],
        lambda offsets: offsets[:-1],
        lambda offsets: offsets + 1,
        lambda offsets: offsets.astype(np.float64),
        lambda offsets: offsets[:0],
        lambda offsets: offsets[None],
    ],
)
def test_inconsistent_offsets_are_damage(tmp_path, change):
  store = _make(tmp_path)
  manifest = dict(store.manifest)
  offsets = np.load(store.path / "offsets.npy")
  np.save(store.path / "offsets.npy", change(offsets))
  for name in (store_lib.BLOCKS, artifacts.MANIFEST):
    (store.path / name).unlink()
  for field in ("kind", "files", "fingerprint", "digest"):
    del manifest[field]
  sealing.seal(store.path, manifest)  # All hashes are right.
  with pytest.raises(errors.InputError, match=r"offsets\.npy: is damaged"):
    store_lib.open_store(store.path)


def test_stores_of_an_older_format_must_be_prepared_again(tmp_path):
  store = _make(tmp_path)
  manifest = json.loads((store.path / artifacts.MANIFEST).read_text())
  del manifest["files"][store_lib.BLOCKS]
  del manifest["digest"], manifest["format"]
  artifacts.write_json(store.path / artifacts.MANIFEST, manifest)
  for use in (store_lib.open_store, store_lib.problems):
    with pytest.raises(errors.InputError, match="an older zsgen wrote"):
      use(store.path)
