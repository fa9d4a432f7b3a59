"""P3's rows, in the layouts in which they are found."""

import collections
import json

import pyarrow as pa
import pytest

from zsgen.core import config, errors
from zsgen.data import sources

TASKS = ("imdb_Movie", "super_glue_rte_must_be_true", "race_high_Taking_a_test")


def _rows(task=None, count=2):
  labelled = {"task": task} if task else {}
  return [
      {
          **labelled,
          "inputs": [3, 4],
          "inputs_pretokenized": f" {task} {i}\n",
          "targets_pretokenized": "\nyes ",
      }
      for i in range(count)
  ]


def _lines(path, rows):
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_text("\n".join(map(json.dumps, rows)))


def _suite(path, **options):
  data = config.build(config.Data, source="p3", path=str(path), **options)
  return sources.load(data, 0, path.parent / "scratch")


def _splits(suite):
  return {example.task: example.split for example in suite.examples()}


def test_files_that_are_splits(tmp_path):
  """Checks that the names of files come before T0's lists."""
  _lines(tmp_path / "train.jsonl", _rows(TASKS[0]) + _rows(TASKS[2]))
  _lines(tmp_path / "heldout.jsonl", _rows(TASKS[1]))
  suite = _suite(tmp_path)
  assert _splits(suite) == dict(
      zip(TASKS, ("train", "heldout", "train"), strict=True)
  )
  example = next(suite.examples())
  assert (example.input, example.targets) == ("imdb_Movie 0", ("yes",))
  assert (example.category, example.definition) == ("imdb", "")


@pytest.mark.parametrize("layout", ["names", "folders", "column"])
def test_the_split_of_t0(tmp_path, layout):
  for task in TASKS:
    if layout == "names":
      _lines(tmp_path / f"{task}.jsonl", _rows())
    elif layout == "folders":
      _lines(tmp_path / task / "train-00000-of-00001.jsonl", _rows())
    else:
      _lines(tmp_path / f"{task[0]}.jsonl", _rows(task))
  suite = _suite(tmp_path)
  assert _splits(suite) == {TASKS[0]: "train", TASKS[1]: "heldout"}
  assert suite.notes["unassigned_tasks"] == 1
  suite = _suite(
      tmp_path,
      heldout={
          "rte": config.Heldout(categories=("super_glue_rte",)),
          "heldout": config.Heldout(tasks=TASKS[2:]),
      },
  )
  assert _splits(suite) == {
      TASKS[0]: "train",
      TASKS[1]: "rte",
      TASKS[2]: "heldout",
  }


def _saved(path, rows):
  """Writes a directory as `datasets` 2 to 5 does: Arrow streams and a list."""
  path.mkdir(parents=True)
  names = ["data-00000-of-00002.arrow", "data-00001-of-00002.arrow"]
  table = pa.Table.from_pylist(rows)
  for i, name in enumerate(names):
    with pa.ipc.new_stream(path / name, table.schema) as stream:
      stream.write_table(table.slice(i * 3, 3))
  listing = {"_data_files": [{"filename": name} for name in names]}
  (path / "state.json").write_text(json.dumps(listing))


def test_directories_in_the_layout_of_datasets(tmp_path):
  for task in TASKS[:2]:
    _saved(tmp_path / "tasks" / task, _rows(count=5))
  counts = collections.Counter(
      example.task for example in _suite(tmp_path / "tasks").examples()
  )
  assert counts == {TASKS[0]: 5, TASKS[1]: 5}
  splits = {"train": TASKS[0], "test": TASKS[1]}
  for split, task in splits.items():
    _saved(tmp_path / "saved" / split, _rows(task, 5))
  listing = json.dumps({"splits": list(splits)})
  (tmp_path / "saved" / "dataset_dict.json").write_text(listing)
  suite = _suite(tmp_path / "saved")
  assert _splits(suite) == {TASKS[0]: "train", TASKS[1]: "test"}
  (tmp_path / "saved/test/data-00001-of-00002.arrow").unlink()
  with pytest.raises(errors.InputError, match="data-00001-of-00002"):
    _suite(tmp_path / "saved")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("state.json", "[]", "must be a JSON object"),
        ("state.json", '{"_data_files": [3]}', "must be a JSON object"),
        ("dataset_dict.json", '{"splits": "train"}', "not a list"),
        ("dataset_dict.json", '{"splits": ["test"]}', "'test' is missing"),
        ("dataset_dict.json", '{"splits": [".."]}', "must name a file inside"),
        (
            "state.json",
            '{"_data_files": [{"filename": "/etc/hostname.arrow"}]}',
            "'/etc/hostname.arrow' must name a file inside",
        ),
    ],
)
def test_damage_to_directories_of_datasets(tmp_path, name, content, message):
  _saved(tmp_path / "saved", _rows(TASKS[0], 5))
  (tmp_path / "saved" / name).write_text(content)
  with pytest.raises(errors.InputError, match=rf"{name}: .*{message}"):
    _suite(tmp_path / "saved")


def test_broken_lists_in_directories_of_datasets(tmp_path):
  _saved(tmp_path / "saved", _rows(TASKS[0], 5))
  (tmp_path / "saved" / "state.json").write_text("{\n[")
  with pytest.raises(errors.InputError, match=r"state\.json, line 2: is not"):
    _suite(tmp_path / "saved")


def test_a_training_templates_other_parts_are_not_trained_on(tmp_path):
  """Checks that only the training parts of T0's data sets are trained on."""
  imdb, rte, _ = TASKS
  for task in (imdb, rte):
    for part in ("train", "validation"):
      _lines(tmp_path / task / f"{part}.jsonl", _rows(count=4))
  suite = _suite(tmp_path)
  validation_task = f"{imdb}.validation"
  assert _splits(suite) == {
      imdb: "train",
      rte: "heldout",
      validation_task: "validation",
  }
  files = {e.key.rpartition(":")[0] for e in suite.examples() if e.task == imdb}
  assert files == {f"{imdb}/train"}
  suite = _suite(tmp_path, heldout={"rte": config.Heldout(tasks=(rte,))})
  assert _splits(suite) == {imdb: "train", rte: "rte"}
  assert suite.notes["unassigned_tasks"] == 1


def test_templates_whose_files_end_in_splits(tmp_path):
  imdb, rte, race = TASKS
  for part in ("train", "test"):
    _lines(tmp_path / f"{imdb}_{part}.jsonl", _rows(count=4))
    _lines(tmp_path / f"{rte}-{part}.jsonl", _rows(count=4))
  _lines(tmp_path / f"{race}.jsonl", _rows(count=4))
  with pytest.raises(
      errors.InputError, match="is named after the split 'test'"
  ):
    _suite(tmp_path)
  (tmp_path / f"{race}.jsonl").unlink()
  suite = _suite(tmp_path)
  assert _splits(suite) == {
      imdb: "train",
      rte: "train",
      f"{imdb}.test": "test",
      f"{rte}.test": "test",
  }


def test_directories_saved_by_datasets(tmp_path):
  """Checks what the library itself saves, where it is installed."""
  datasets = pytest.importorskip("datasets")
  saved = {
      "train": datasets.Dataset.from_list(_rows(TASKS[0], 5)),
      "test": datasets.Dataset.from_list(_rows(TASKS[1], 5)),
  }
  datasets.DatasetDict(saved).save_to_disk(
      tmp_path / "saved", num_shards={"train": 2, "test": 1}
  )
  suite = _suite(tmp_path / "saved")
  assert [(e.task, e.key[:5]) for e in suite.examples()].count(
      (TASKS[0], "train")
  ) == 5
  saved["train"].save_to_disk(tmp_path / "tasks" / TASKS[0])
  saved["test"].save_to_disk(tmp_path / "tasks" / TASKS[1])
  suite = _suite(tmp_path / "tasks")
  assert _splits(suite) == {TASKS[0]: "train", TASKS[1]: "heldout"}


def test_bad_rows(tmp_path):
  rows = _rows(TASKS[0]) + _rows(TASKS[1])
  rows[1]["targets_pretokenized"] = " "
  _lines(tmp_path / "rows.jsonl", rows)
  message = 'line 2: the field "targets_pretokenized" is empty'
  with pytest.raises(errors.InputError, match=message):
    _suite(tmp_path)
  _lines(tmp_path / "rows.jsonl", [{"task": "imdb_x"}])
  with pytest.raises(errors.InputError, match='"inputs_pretokenized" is miss'):
    _suite(tmp_path)


@pytest.mark.slow
def test_real_rows(real):
  suite = _suite(real("p3"), deduplicate=True, train_instances=5)
  splits = collections.Counter(_splits(suite).values())
  assert splits == {"train": 276, "heldout": 47}
  assert suite.notes["duplicates"] == 511
  assert suite.notes["unassigned_tasks"] == 0


@pytest.mark.slow
def test_t0_lists_agree_with_the_real_split(real, tmp_path):
  """Read without their files' names, the rows fall into the same splits."""
  rows = real("p3")
  content = "".join(
      (rows / f"{name}.jsonl").read_text("utf-8")
      for name in ("train", "heldout")
  )
  (tmp_path / "all.jsonl").write_text(content, "utf-8")
  once = dict(train_instances=1, heldout_instances=1)
  assert _splits(_suite(tmp_path, **once)) == _splits(_suite(rows, **once))
