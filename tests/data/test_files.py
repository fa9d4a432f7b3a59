"""Which files a path names, and what is said of the others."""

import bz2
import json
import lzma

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from zsgen.core import config, errors
from zsgen.data import sources
from zsgen.data.sources import files, split_names
from zsgen.reports import source_notes

SHARE = {"heldout": config.Heldout(share=0.5)}


def _rows(name="a", count=6):
  return [
      {"task": f"t{i % 3}", "input": f"{name} {i}", "target": str(i)}
      for i in range(count)
  ]


def _lines(name="a"):
  return "\n".join(map(json.dumps, _rows(name))).encode()


def _write(path, content=None):
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_bytes(_lines(path.name) if content is None else content)


def _suite(path, **options):
  options = {"heldout": SHARE, "source": "table"} | options
  data = config.build(config.Data, path=str(path), **options)
  return sources.load(data, 0, path.parent / "scratch")


def _inputs(suite, split="train"):
  return {e.input.split()[0] for e in suite.examples() if e.split == split}


@pytest.mark.parametrize(
    ("name", "split_of_name", "part", "stripped"),
    [
        ("train", "train", "train", ""),
        ("Training", "train", "train", ""),
        ("train-00000-of-00004", "train", "train", ""),
        ("validation-00000-of-00001-abcdef12", "validation", "validation", ""),
        ("dev", "dev", "dev", ""),
        ("val_2", "val", "val", ""),
        ("test.01", "test", "test", ""),
        ("held-out", "heldout", "heldout", ""),
        ("squad_dev", "", "dev", "squad"),
        ("my.valid-0-of-2", "", "valid", "my"),
        ("dev-v1.1", "", "dev", "dev-v1.1"),
        ("devices", "", "", "devices"),
        ("how_valid_is_it", "", "", "how_valid_is_it"),
        ("contest", "", "", "contest"),
        ("data-00000-of-00002", "", "", "data-00000-of-00002"),
    ],
)
def test_names_of_splits(name, split_of_name, part, stripped):
  assert split_names.of_name(name) == split_of_name
  assert split_names.in_name(name) == part
  assert split_names.strip_split(name, True) == stripped


@pytest.mark.parametrize(
    "name",
    [
        *("dev", "val", "valid", "validation", "test", "eval", "heldout"),
        *("dev-00000-of-00001", "mine_dev", "mine.test", "dev-v2"),
    ],
)
def test_held_out_files_are_not_trained_on(tmp_path, name):
  home = tmp_path / "data"
  _assert_splits(home, "train.jsonl", f"{name}.jsonl")


@pytest.mark.parametrize("name", ["dev", "Test", "validation"])
def test_directories_are_splits(tmp_path, name):
  _assert_splits(tmp_path / "data", "train/x.jsonl", f"{name}/y.jsonl")


def _assert_splits(home, train, heldout_path):
  """Checks that only rows of the first file are trained on."""
  _write(home / train)
  _write(home / heldout_path)
  suite = _suite(home)
  assert _inputs(suite) == {train.rpartition("/")[2]}
  assert suite.notes["unassigned_tasks"] == 3
  name = heldout_path.removesuffix(".jsonl").partition("/")[0]
  sets = {"heldout": config.Heldout(split=split_names.in_name(name))}
  suite = _suite(home, heldout=sets)
  assert _inputs(suite, "heldout") == {heldout_path.rpartition("/")[2]}


def test_a_split_beside_files_without_one_is_an_error(tmp_path):
  home = tmp_path / "data"
  for name in ("dev.jsonl", "more.jsonl", "train.jsonl"):
    _write(home / name)
  message = (
      r"dev\.jsonl is named after the split 'dev', but more\.jsonl after none"
  )
  with pytest.raises(errors.InputError, match=message):
    _suite(home)
  # The message's advice: call it by its split.
  (home / "more.jsonl").rename(home / "train-2.jsonl")
  assert _inputs(_suite(home)) == {"train.jsonl", "more.jsonl"}
  # A glob.
  assert _inputs(_suite(home / "train*.jsonl")) == {"train.jsonl", "more.jsonl"}


def test_a_column_gives_the_split_of_files_of_any_name(tmp_path):
  home = tmp_path / "data"
  for name, split in (("dev.jsonl", "test"), ("more.jsonl", "train")):
    rows = [row | {"part": split} for row in _rows(name)]
    _write(home / name, "\n".join(map(json.dumps, rows)).encode())
  suite = _suite(
      home,
      fields=config.Fields(split="part"),
      heldout={"heldout": config.Heldout(split="test")},
  )
  assert _inputs(suite) == {"more.jsonl"}


def test_only_held_out_files_leave_nothing_to_train_on(tmp_path):
  _write(tmp_path / "dev.jsonl")
  message = "left to train on.* not held out belong to the splits dev"
  for path in (tmp_path, tmp_path / "dev.jsonl"):
    with pytest.raises(errors.InputError, match=message):
      _suite(path)


def test_one_file_that_the_user_names_may_end_like_a_split(tmp_path):
  path = tmp_path / "taking_a_test.jsonl"
  _write(path)
  assert _inputs(_suite(path)) == {path.name}


@pytest.mark.parametrize(
    "name",
    [
        "b.jsonl.lz4",
        "b.zip",
        "b.xlsx",
        "b.parquet.gz",
        "sub/b.csv.br",
        "test.txt",
    ],
)
def test_unreadable_data_files_are_not_ignored(tmp_path, name):
  home = tmp_path / "data"
  _write(home / "a.jsonl")
  _write(home / name, b"?")
  message = rf"{name} looks like data, but cannot be read \(1 such file\)"
  with pytest.raises(errors.InputError, match=message):
    _suite(home)
  # The message's advice.
  assert _inputs(_suite(home / "*.jsonl")) == {"a.jsonl"}


def test_data_in_deep_directories_is_not_ignored(tmp_path):
  home = tmp_path / "data"
  for name in ("a.jsonl", "x/b.jsonl", "x/y/c.jsonl", "x/y/z/d.jsonl"):
    _write(home / name)
  message = (
      r"x/y/c\.jsonl is data that is not read \(2 such files\).*\*\*/\*\.jsonl"
  )
  with pytest.raises(errors.InputError, match=message):
    _suite(home)
  suite = _suite(home / "**/*.jsonl")
  assert _inputs(suite) == {"a.jsonl", "b.jsonl", "c.jsonl", "d.jsonl"}


def test_a_workdir_beside_the_data_is_no_data(tmp_path):
  _write(tmp_path / "a.jsonl")
  _write(tmp_path / "workdir/stores/x/examples.parquet")
  listing = files.find(str(tmp_path), tmp_path / "workdir/scratch")
  assert [file.name for file in listing.files] == ["a"]
  assert not listing.unread


def test_other_files_are_counted_and_companions_are_not(tmp_path):
  home = tmp_path / "data"
  _write(home / "a.jsonl")
  for name in ("notes.txt", "sub/more.txt", "plot.PNG", "a.jsonl.bak", "odd"):
    _write(home / name, b"?")
  for name in ("README.md", "LICENSE", "SHA256SUMS", "a.jsonl.sha256"):
    _write(home / name, b"?")
  for name in (".gitattributes", "dataset_infos.json", "sub/.hidden.jsonl"):
    _write(home / name, b"?")
  notes = _suite(home).notes
  assert notes["unread_files"] == {
      ".bak": {"count": 1, "first": "a.jsonl.bak"},
      ".txt": {"count": 2, "first": "notes.txt"},
      "": {"count": 1, "first": "odd"},
      ".PNG": {"count": 1, "first": "plot.PNG"},
  }
  lines = source_notes.describe(
      {"source": notes, "suite": "table", "prompts": {}}
  )
  assert (
      "files that are not read: 1 .bak (a.jsonl.bak), 2 .txt (notes.txt, …), 1"
      " without suffix (odd), 1 .PNG (plot.PNG)"
  ) in lines


def test_directories_that_a_glob_matches_are_reported(tmp_path):
  _write(tmp_path / "data/a.jsonl")
  _write(tmp_path / "data/sub/b.jsonl")
  notes = _suite(tmp_path / "data/*").notes
  assert notes["unread_files"] == {"/": {"count": 1, "first": "sub/"}}


@pytest.mark.parametrize("suffix", [".bz2", ".xz"])
def test_packed_files(tmp_path, suffix):
  pack = {".bz2": bz2.compress, ".xz": lzma.compress}[suffix]
  for kind, content in (
      ("jsonl", _lines()),
      ("json", json.dumps(_rows()).encode()),
      ("csv", b"task,input,target\n" + b"t0,a 1,x\nt1,a 2,y\nt2,a 3,z\n"),
  ):
    path = tmp_path / f"{kind}.{kind}{suffix}"
    path.write_bytes(pack(content))
    assert _inputs(_suite(path)) == {"a"}
  path.write_bytes(pack(_lines() * 100)[:-30])
  with pytest.raises(errors.InputError, match=r"cannot be read.*damaged"):
    _suite(path)


def test_feather_is_arrow(tmp_path):
  path = tmp_path / "a.feather"
  table = pa.Table.from_pylist(_rows())
  with pa.ipc.new_file(str(path), table.schema) as file:
    file.write_table(table)
  assert _inputs(_suite(path)) == {"a"}


@pytest.mark.parametrize("kind", ["parquet", "feather", "arrow"])
def test_a_repeated_column(tmp_path, kind):
  path = tmp_path / f"a.{kind}"
  columns = [pa.array(["t0", "t1"])] * 4
  names = ["task", "input", "target", "input"]
  table = pa.Table.from_arrays(columns, names)
  if kind == "parquet":
    pq.write_table(table, path)
  else:
    new = pa.ipc.new_file if kind == "feather" else pa.ipc.new_stream
    with new(str(path), table.schema) as file:
      file.write_table(table)
  message = rf"a\.{kind}: names the column 'input' twice"
  with pytest.raises(errors.InputError, match=message):
    _suite(path, on_bad_row="skip")


def test_links_in_a_circle_end(tmp_path):
  home = tmp_path / "data"
  _write(home / "a.jsonl")
  (home / "self").symlink_to(home)
  listing = files.find(str(home), tmp_path / "scratch")
  assert listing.files[0].name == "a"


def test_a_path_with_a_nul_character(tmp_path):
  with pytest.raises(errors.InputError, match=r"^config\.data\.path"):
    _suite(tmp_path / "a\0b")
