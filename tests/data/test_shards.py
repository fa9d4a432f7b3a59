"""Shards make the bytes of one process, whoever makes them, and how often."""

from concurrent import futures
import errno
import functools
import json
import os
import pathlib
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.helpers import artifact_files
from zsgen.core import artifacts, config, errors
from zsgen.core import shards as core_shards
from zsgen.data import blocks, chunks, prepare, shards
from zsgen.data.shards import command as shards_command
from zsgen.data.shards import job as job_lib
from zsgen.data.sources import flan_mini, items
from zsgen.data.tokenizers import bpe

_SHARE = {"h": config.Heldout(share=0.3)}


@pytest.fixture(autouse=True)
def small_work(monkeypatch):
  """Divides small sources into many work items and chunks."""
  monkeypatch.setattr(items, "SIZE", 700)
  monkeypatch.setattr(chunks, "SIZE", 20)


def _write_table(folder: pathlib.Path) -> config.Data:
  """Writes bad, blank, repeated and unread things in files of three formats."""
  rows = [
      {
          "task": f"t{i % 7}",
          "input": f"é {i % 90} " * (i % 9 + 1),
          "target": f"{i % 5}",
          "choices": [str(j) for j in range(5)],
          "unread": i % 3,
      }
      for i in range(240)
  ]
  (folder / "rows").mkdir()
  lines = [json.dumps(row, ensure_ascii=False) for row in rows[:100]]
  lines[50] = '{"task": "t1", "input": "x"}'
  lines[20:20] = ["", " \t"]
  (folder / "rows/a.jsonl").write_text("\ufeff" + "\n".join(lines), "utf-8")
  pq.write_table(
      pa.Table.from_pylist(rows[100:180]),
      folder / "rows/b.parquet",
      row_group_size=9,
  )
  (folder / "rows/c.json").write_text(json.dumps(rows[180:]))
  return config.build(
      config.Data,
      source="table",
      path=str(folder / "rows"),
      fields=config.Fields(choices="choices"),
      heldout=_SHARE,
      deduplicate=True,
      on_bad_row="skip",
      label="random",
  )


def _write_chat(folder: pathlib.Path) -> config.Data:
  """Writes conversations without a task: rows are held out."""
  turns = [{"role": "user", "content": "a"}, {"role": "assistant"}] * 2
  rows = [
      {"messages": [{"content": f"b {i}", **turn} for turn in turns]}
      for i in range(90)
  ]
  (folder / "chat.jsonl").write_text("\n".join(map(json.dumps, rows)))
  path = str(folder / "chat.jsonl")
  return config.build(config.Data, source="chat", path=path, heldout=_SHARE)


def _write_p3(folder: pathlib.Path) -> config.Data:
  """Writes rows of T0's tasks with answers to choose from."""
  rows = [
      {
          "task": ("imdb_a", "hellaswag_b", "anli_c")[i % 3],
          "inputs_pretokenized": f"Is it {i}?",
          "targets_pretokenized": ("yes", "no")[i % 2],
          "answer_choices": ["yes", "no"],
      }
      for i in range(90)
  ]
  (folder / "p3.jsonl").write_text("\n".join(map(json.dumps, rows)))
  return config.build(config.Data, source="p3", path=str(folder / "p3.jsonl"))


def _write_flan_mini(folder: pathlib.Path) -> config.Data:
  """Writes an array, of which some rows are of no listed task."""
  rows = [
      {
          "id": f"id {i}",
          "source": "abcd"[i % 4],
          "conversations": [
              {"from": "human", "value": f"ask {i}"},
              {"from": "gpt", "value": f"say {i}"},
          ],
      }
      for i in range(90)
  ]
  (folder / flan_mini.ROWS).write_text(json.dumps(rows))
  lists = {"train_key_list": ["c", "a"], "eval_key_list": ["b"]}
  (folder / flan_mini.KEYS).write_text(json.dumps(lists))
  return config.build(
      config.Data, source="flan_mini", path=str(folder), draw="sample"
  )


@pytest.fixture
def table(tmp_path) -> config.Data:
  return _write_table(tmp_path)


def _run(root, data, index, count) -> shards.Progress:
  return shards.prepare_shard(root, data, 3, shards.Shard(index, count))


def _run_all(root, data, count) -> list[shards.Progress]:
  """Runs all shards, in another sequence in each round."""
  for index in range(count):
    _run(root, data, index, count)
  return [_run(root, data, index, count) for index in reversed(range(count))]


def _check_bytes(folder, data, counts) -> dict[str, str]:
  """Checks that shards make the bytes of one process; returns those."""
  prepare.prepare(folder / "whole/stores", data, 3)
  expected = artifact_files.read_all(folder / "whole/stores")
  for count in counts:
    root = folder / f"{count}/stores"
    progress = _run_all(root, data, count)
    store = shards.merge(root, data, 3)
    assert artifact_files.read_all(root) == expected
    assert sum(part.rows for part in progress) == len(store)
    assert sum(part.tokens for part in progress) == store.lengths.sum()
  return expected


def test_any_number_of_shards_makes_the_same_store(tmp_path, table):
  _check_bytes(tmp_path, table, (1, 2, 7))
  job = _begin(tmp_path / "stores", table)
  assert len(job.items) > 14
  assert len(job.open_plan()) > 7


@pytest.mark.parametrize("write", [_write_chat, _write_p3, _write_flan_mini])
def test_sources_of_files(tmp_path, write):
  _check_bytes(tmp_path, write(tmp_path), (2,))


def test_natural_instructions(tmp_path, niv2):
  data = config.build(
      config.Data,
      source="niv2",
      path=str(niv2),
      prompt="niv2",
      shots=1,
      train_instances=30,
  )
  _check_bytes(tmp_path, data, (2,))


def test_the_scan_of_all_is_drawn_from(tmp_path, table):
  root = tmp_path / "stores"
  progress = [_run(root, table, i, 2) for i in (0, 1, 1)]
  assert progress[0].unscanned and not progress[0].is_encoded
  assert not progress[1].unscanned and not progress[1].is_encoded
  assert progress[2].is_encoded and progress[2].chunks


def test_shards_that_wait_run_once(tmp_path, table):
  """Runs two shards in threads, which wait for each other."""
  prepare.prepare(tmp_path / "whole/stores", table, 3)
  root = tmp_path / "stores"

  def run(index):
    return shards.prepare_shard(root, table, 3, shards.Shard(index, 2), 60.0)

  with futures.ThreadPoolExecutor(2) as pool:
    assert all(progress.is_encoded for progress in pool.map(run, (1, 0)))
  shards.merge(root, table, 3)
  artifact_files.assert_same(root, tmp_path / "whole/stores")


def test_shards_of_different_counts_may_overlap(tmp_path, table):
  prepare.prepare(tmp_path / "whole/stores", table, 3)
  root = tmp_path / "stores"
  for index, count in ((0, 2), (1, 3), (2, 3), (0, 3), (1, 2), (0, 2), (0, 3)):
    _run(root, table, index, count)
  shards.merge(root, table, 3)
  artifact_files.assert_same(root, tmp_path / "whole/stores")


def _begin(root, data) -> job_lib.Job:
  """Scans everything; returns the job."""
  return _job(root, data, _run(root, data, 0, 1))


def _job(root, data, progress) -> job_lib.Job:
  assert not progress.unscanned
  return job_lib.open_job(root, data, 3, create=False)


class _Killed(BaseException):
  """Stands for a signal."""


def _die_after(count, function):
  """Returns a function that raises when it is called once more than that."""
  calls = []

  @functools.wraps(function)
  def limited(*args, **kwargs):
    calls.append(args)
    if len(calls) > count:
      raise _Killed
    return function(*args, **kwargs)

  return limited, calls


@pytest.mark.parametrize(
    ("owner", "name", "count"),
    [
        (job_lib.parts, "save", 5),
        (job_lib.plan.Plan, "save", 0),
        (chunks, "write", 3),
        (prepare.publish.sealing, "seal", 0),
    ],
)
def test_stopped_work_continues(
    tmp_path, table, monkeypatch, owner, name, count
):
  root = tmp_path / "stores"
  function = getattr(owner, name)
  with monkeypatch.context() as patched:
    patched.setattr(owner, name, _die_after(count, function)[0])
    with pytest.raises(_Killed):
      _run_all(root, table, 1)
      shards.merge(root, table, 3)
  counted, calls = _die_after(1000, function)
  monkeypatch.setattr(owner, name, counted)
  progress = _run_all(root, table, 1)
  job = _job(root, table, progress[0])
  store = shards.merge(root, table, 3)
  counts = {"save": len(job.items), "write": progress[0].chunks}
  if count:
    assert len(calls) == counts[name] - count
  assert progress[0].rows == len(store)
  prepare.prepare(tmp_path / "whole/stores", table, 3)
  artifact_files.assert_same(root, tmp_path / "whole/stores")


def test_retries_change_nothing(tmp_path, table):
  root = tmp_path / "stores"
  (first,) = _run_all(root, table, 1)
  content = artifact_files.read_all(root)
  assert _run(root, table, 0, 1) == first
  assert artifact_files.read_all(root) == content
  store = shards.merge(root, table, 3)
  assert shards.merge(root, table, 3).fingerprint == store.fingerprint
  assert [path.name for path in root.iterdir()] == [store.path.name]


def test_a_store_that_exists_is_not_prepared_again(
    tmp_path, table, monkeypatch
):
  root = tmp_path / "stores"
  _run_all(root, table, 1)
  store = shards.merge(root, table, 3)
  content = artifact_files.read_all(root)
  with monkeypatch.context() as patched:
    patched.setattr(job_lib, "open_job", None)  # Nothing is begun.
    progress = _run(root, table, 1, 2)
  assert artifact_files.read_all(root) == content
  line = shards_command.describe_progress(progress, shards.Shard(1, 2))
  assert line == (
      "shard 1/2: the store exists already."
      f" {store.path}: {len(store)} rows, fingerprint {store.fingerprint}"
  )
  with open(tmp_path / "rows/a.jsonl", "a") as file:
    file.write("\n")
  with pytest.raises(errors.InputError, match=r"a\.jsonl.* changed"):
    _run(root, table, 1, 2)


def test_work_of_another_process_is_kept(tmp_path, table, monkeypatch):
  """Simulates two processes that do the same work item at the same time."""
  root, save = tmp_path / "stores", job_lib.parts.save
  finished = []

  def save_late(part, folder, owner):
    if not finished:
      finished.append(True)
      _run(root, table, 0, 2)  # All that the other process does.
    save(part, folder, owner)

  monkeypatch.setattr(job_lib.parts, "save", save_late)
  _run_all(root, table, 2)
  shards.merge(root, table, 3)
  prepare.prepare(tmp_path / "whole/stores", table, 3)
  artifact_files.assert_same(root, tmp_path / "whole/stores")


def test_two_merges_at_once(tmp_path, table, monkeypatch):
  """Lets another process merge, and delete the chunks, while one begins."""
  root, write = tmp_path / "stores", prepare.publish.write
  _run_all(root, table, 1)
  stores = []

  def write_late(*args):
    monkeypatch.setattr(prepare.publish, "write", write)
    stores.append(shards.merge(root, table, 3))
    write(*args)

  monkeypatch.setattr(prepare.publish, "write", write_late)
  stores.append(shards.merge(root, table, 3))
  assert stores[0].fingerprint == stores[1].fingerprint
  assert [path.name for path in root.iterdir()] == [stores[0].path.name]


@pytest.mark.parametrize(
    ("owner", "name"), [(job_lib.Job, "scan"), (chunks, "write")]
)
def test_a_merge_while_a_shard_is_at_work(
    tmp_path, table, monkeypatch, owner, name
):
  """Lets another process do all, and merge, before a shard writes something."""
  root, write, stores = tmp_path / "stores", getattr(owner, name), []

  def write_late(*args):
    monkeypatch.setattr(owner, name, write)
    _run(root, table, 0, 1)
    stores.append(shards.merge(root, table, 3))
    write(*args)

  monkeypatch.setattr(owner, name, write_late)
  progress = _run(root, table, 0, 1)
  assert progress.store.fingerprint == stores[0].fingerprint
  assert [path.name for path in root.iterdir()] == [stores[0].path.name]


@pytest.mark.parametrize("name", ["tokens.bin", "examples.parquet"])
def test_a_file_that_cannot_be_written(tmp_path, table, monkeypatch, name):
  """Lets the write of one file fail, as on a full disk."""
  root, create = tmp_path / "stores", blocks.MeasuredWriter
  _run_all(root, table, 1)
  before = artifact_files.read_all(root)

  def create_full(path):
    return create(pathlib.Path("/dev/full") if path.name == name else path)

  with monkeypatch.context() as patched:
    patched.setattr(blocks, "MeasuredWriter", create_full)
    with pytest.raises(OSError) as error:
      shards.merge(root, table, 3)
  assert error.value.errno == errno.ENOSPC
  assert artifact_files.read_all(root) == before
  shards.merge(root, table, 3)


def _check_refused(root, data, message) -> None:
  """Checks that nothing is merged, and why."""
  before = artifact_files.read_all(root)
  with pytest.raises(errors.InputError, match=message):
    shards.merge(root, data, 3)
  assert artifact_files.read_all(root) == before


def test_missing_shards_are_named(tmp_path, table):
  root = tmp_path / "stores"
  _check_refused(root, table, "no shard of this config is prepared")
  _run(root, table, 0, 2)
  # Nobody else has them.
  message = r"work items are not scanned: 1, 3, 5, .*…\..* is skipped\.$"
  _check_refused(root, table, message)
  _run(root, table, 1, 2)
  _check_refused(root, table, r"chunks are not encoded: 0, 1, 2, ")
  _run(root, table, 1, 2)
  _check_refused(root, table, r"chunks are not encoded: 0, 2, 4, .*No store")


def test_shards_of_another_config_are_named(tmp_path, table):
  root = tmp_path / "stores"
  _run(root, table, 0, 1)
  changed = config.build(
      config.Data,
      **{**_options(table), "max_length": table.max_length - 1},
  )
  _check_refused(root, changed, "another config: max_length is")


def _options(data: config.Data) -> dict:
  """Returns the options of a table as `config.build` takes them."""
  names = ("source", "path", "fields", "heldout", "label")
  return {name: getattr(data, name) for name in names} | {
      "deduplicate": True,
      "on_bad_row": "skip",
  }


def test_a_job_that_is_moved_or_of_another_version_is_named(tmp_path, table):
  root = tmp_path / "stores"
  job = _begin(root, table)
  moved = core_shards.path_of(prepare.path_of(root, table, 4))
  job.path.rename(moved)
  for check in (shards.merge, lambda *args: job_lib.open_job(*args, True)):
    with pytest.raises(errors.InputError, match="seed is 3 there and 4 here"):
      check(root, table, 4)
  moved.rename(job.path)
  fields = artifacts.read_sealed(job.path / core_shards.JOB, "", "")
  newer = {**fields, "format": fields["format"] + 1}
  artifacts.write_sealed(job.path / core_shards.JOB, newer)
  _check_refused(root, table, "another version of zsgen began these shards")


@pytest.fixture
def use_tokenizer(tmp_path, table):
  """Returns a function that trains the tokenizer of a table on a text."""

  def use(text: str) -> config.Data:
    shutil.rmtree(tmp_path / "bpe", ignore_errors=True)
    bpe.write(bpe.train([[text]], bpe.SMALLEST + 2), tmp_path / "bpe")
    return config.build(
        config.Data,
        **_options(table),
        tokenizer="hf",
        tokenizer_path=str(tmp_path / "bpe"),
    )

  return use


def test_another_tokenizer_is_named(tmp_path, use_tokenizer):
  """Gives one of two workers other files at the same path."""
  root, lines = tmp_path / "stores", []

  def run(text, index):
    data, shard = use_tokenizer(text), shards.Shard(index, 2)
    return shards.prepare_shard(root, data, 3, shard, report=lines.append)

  first, second = run("aaaa", 0), run("bbbb", 1)
  assert first.unscanned and second.unscanned
  jobs = {
      text: core_shards.path_of(prepare.path_of(root, use_tokenizer(text), 3))
      for text in ("aaaa", "bbbb")
  }
  others = f"{jobs['aaaa']} has shards of another config: tokenizer is"
  # The first worker was alone.
  assert [others in line for line in lines if "another" in line] == [True]
  for text, other, numbers in (("aaaa", "bbbb", "1, 3"), ("bbbb", "aaaa", "0")):
    done = len(list(jobs[other].glob("rows-*")))
    made_by = json.loads((jobs[other] / "job.json").read_text())["made_by"]
    fingerprint = made_by["tokenizer"][:16]
    _check_refused(
        root,
        use_tokenizer(text),
        rf"are not scanned: {numbers}, .*{jobs[other].name} has shards of"
        rf" another config: tokenizer is '{fingerprint}…' there and '.*…' here"
        rf" \(work items scanned: {done}, chunks encoded: 0\)\. If both are",
    )


def test_another_tokenizer_of_the_second_round_is_named(
    tmp_path, use_tokenizer
):
  root, data = tmp_path / "stores", use_tokenizer("aaaa")
  for index in (0, 1, 0):
    _run(root, data, index, 2)
  _run(root, use_tokenizer("bbbb"), 1, 2)
  message = r"not encoded: 1, 3.*another config: tokenizer is.*scanned: [1-9]"
  _check_refused(root, use_tokenizer("aaaa"), message)


def test_the_nearest_jobs_are_named(tmp_path, table):
  root, lines = tmp_path / "stores", []
  _run(root, table, 0, 2)
  shards.prepare_shard(root, table, 4, shards.Shard(0, 2))
  far = config.build(config.Data, **{**_options(table), "max_length": 99})
  shards.prepare_shard(root, far, 5, shards.Shard(0, 2))
  message = r"another config: seed is 4 there and 3 here \(.*directory\.$"
  _check_refused(root, table, message)
  # Other files are another corpus, though their work items may be the same.
  unrelated = _write_chat(tmp_path)
  shards.prepare_shard(
      root, unrelated, 3, shards.Shard(0, 2), report=lines.append
  )
  assert lines and not any("another" in line for line in lines)


def test_other_code_is_named(tmp_path, table, monkeypatch):
  root, software = tmp_path / "stores", job_lib._software()
  _run(root, table, 0, 2)
  for name in ("the version of numpy", "the file zsgen/data/chunks.py"):
    with monkeypatch.context() as patched:
      changed = {**software, name: "else"}
      patched.setattr(job_lib, "_software", lambda changed=changed: changed)
      message = f"another installation: {name} is .* there and else here"
      with pytest.raises(errors.InputError, match=message):
        _run(root, table, 1, 2)
      _check_refused(root, table, message)


def test_changed_files_are_named(tmp_path, table):
  root, rows = tmp_path / "stores", tmp_path / "rows"
  _run(root, table, 0, 2)
  text = (rows / "a.jsonl").read_text("utf-8")
  os.utime(rows / "a.jsonl", ns=(1, 1))
  _run(root, table, 1, 2)  # Only the time is different.
  (rows / "a.jsonl").write_text(text.replace("t1", "t2", 1), "utf-8")
  for message in ("a.jsonl: changed since the shards", "others .*d.jsonl"):
    with pytest.raises(errors.InputError, match=message):
      _run(root, table, 0, 2)
    _check_refused(root, table, message)
    (rows / "a.jsonl").write_text(text, "utf-8")
    (rows / "d.jsonl").write_text(text, "utf-8")


def test_a_file_that_changes_during_its_scan(tmp_path, table, monkeypatch):
  root, scan = tmp_path / "stores", job_lib.parts.scan

  def change(*args):
    with open(tmp_path / "rows/a.jsonl", "a") as file:
      file.write("\n")
    return scan(*args)

  monkeypatch.setattr(job_lib.parts, "scan", change)
  with pytest.raises(errors.InputError, match=r"a\.jsonl: changed since"):
    _run(root, table, 0, 1)
  (job,) = root.iterdir()
  assert [path.name for path in job.iterdir()] == ["job.json"]


def test_files_of_another_job_are_refused(tmp_path, table):
  root = tmp_path / "stores"
  job = _begin(root, table)
  second = core_shards.path_of(prepare.path_of(root, table, 4))
  shards.prepare_shard(root, table, 4, shards.Shard(0, 1))
  shutil.copy(second / "chunk-00001.arrow", job.path)
  _check_refused(root, table, r"chunk-00001.arrow: is damaged. It may be of")
  (job.path / "chunk-00001.arrow").unlink()
  _run(root, table, 0, 1)
  for name in ("plan", "rows-00003"):
    backup = job.path / f"kept-{name}"
    (job.path / name).rename(backup)
    shutil.copytree(second / name, job.path / name)
    _check_refused(root, table, f"{name}/.*.json: is damaged, was changed or")
    shutil.rmtree(job.path / name)
    backup.rename(job.path / name)
  shards.merge(root, table, 3)


@pytest.mark.parametrize(
    "name", ["rows-00003/examples.arrow", "rows-00003/rows.npy"]
)
def test_damaged_scans_are_found_before_the_draw(tmp_path, table, name):
  root = tmp_path / "stores"
  _run(root, table, 0, 2)
  (path,) = root.glob(f".*.shards/{name.replace('3', '4')}")
  content = bytearray(path.read_bytes())
  content[-1] ^= 1
  path.write_bytes(content)
  with pytest.raises(errors.InputError, match=f"{path.name}: is damaged"):
    _run(root, table, 1, 2)
  assert not list(root.glob(".*.shards/plan"))


def test_bad_rows_are_reported_by_the_draw(tmp_path, table):
  root = tmp_path / "stores"
  data = config.build(config.Data, **{**_options(table), "on_bad_row": "error"})
  with pytest.raises(errors.InputError) as expected:
    prepare.prepare(tmp_path / "whole/stores", data, 3)
  with pytest.raises(errors.InputError) as error:
    _run_all(root, data, 1)
  assert str(error.value) == str(expected.value)
  assert "a.jsonl, line 53" in str(error.value)


def test_other_sources_are_prepared_by_one_process(tmp_path):
  data = config.build(config.Data, source="synth")
  with pytest.raises(errors.InputError, match="synth is prepared by one"):
    _run(tmp_path / "stores", data, 0, 2)


@pytest.mark.parametrize("text", ["2/2", "1", "-1/2", "0/0", "a/b", "1/2/3"])
def test_bad_shards(text):
  with pytest.raises(errors.InputError, match=f"--shard={text}: is not"):
    shards.parse_shard(text)
  assert shards.parse_shard("1/2") == (1, 2)
