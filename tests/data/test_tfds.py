"""A TFDS data set, made by TFDS' own builder, as a suite."""

import dataclasses
import json
import pathlib
import shutil

import numpy as np
import pytest

from zsgen.core import config, errors
from zsgen.data import suite
from zsgen.data.sources import child
from zsgen.data.sources import tfds as source

tfds = pytest.importorskip("tensorflow_datasets")

from zsgen.data.sources.child import tfds_rows  # noqa: E402

KINDS = ("odd", "even")
ROWS = {"train": 6, "validation": 2, "test": 3}
QA = {
    "task": "kind",
    "input": "question/text",
    "target": "answers/text",
    "definition": "raw",
}


class HereQa(tfds.core.GeneratorBasedBuilder):
  """Questions in JSON lines, a file for each split."""

  VERSION = tfds.core.Version("1.2.0")
  BUILDER_CONFIGS = [tfds.core.BuilderConfig(name="plain", version="1.2.0")]
  files = pathlib.Path()

  def _info(self):
    features = tfds.features
    return tfds.core.DatasetInfo(
        builder=self,
        disable_shuffling=True,
        features=features.FeaturesDict(
            {
                "question": {"text": features.Text(), "number": np.int64},
                "answers": features.Sequence({"text": features.Text()}),
                "label": features.ClassLabel(names=["no", "yes"]),
                "kind": features.ClassLabel(names=KINDS),
                "score": np.float32,
                "image": features.Image(shape=(2, 2, 3)),
                "grid": features.Tensor(shape=(2, 2), dtype=np.int32),
                "raw": features.Tensor(shape=(), dtype=np.object_),
                "steps": features.Dataset({"text": features.Text()}),
            }
        ),
    )

  def _split_generators(self, dl_manager):
    return {split: self._generate_examples(split) for split in ROWS}

  def _generate_examples(self, split):
    for line in (self.files / f"{split}.jsonl").read_text().splitlines():
      row = json.loads(line)
      row["image"] = np.zeros((2, 2, 3), np.uint8)
      row["raw"] = b"\xff" if row.pop("broken") else b"Do it."
      yield row["question"]["number"], row


def _line(split: str, i: int) -> dict:
  return {
      "question": {"text": f"{split} {i} é?", "number": i},
      "answers": {"text": [f"a{i}", "b"][: i % 2 + 1]},
      "label": -1 if split == "test" else i % 2,
      "kind": i % 2,
      "score": i / 10,
      "grid": [[1, 2], [3, 4]],
      "steps": [{"text": "one"}],
      "broken": split == "train" and i == 4,
  }


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> pathlib.Path:
  """Returns a directory of prepared data sets."""
  files = tmp_path_factory.mktemp("files")
  for split, count in ROWS.items():
    lines = [json.dumps(_line(split, i)) for i in range(count)]
    (files / f"{split}.jsonl").write_text("\n".join(lines))
  HereQa.files = files
  path = tmp_path_factory.mktemp("prepared")
  HereQa(data_dir=str(path)).download_and_prepare()
  return path


def _reader(path, dataset="here_qa", splits=("train",), **fields):
  return tfds_rows.Reader(
      {
          "dataset": dataset,
          "data_dir": str(path),
          "splits": splits,
          "fields": vars(config.Fields(**{**QA, **fields})),
      }
  )


@pytest.mark.slow
def test_a_suite_by_a_child(prepared, tmp_path, monkeypatch, capfd):
  data = config.build(
      config.Data,
      source="tfds",
      path=str(prepared),
      dataset="here_qa/plain:1.2.0",
      draw="first",
      fields=config.Fields(**QA, choices="answers/text"),
      heldout={"heldout": config.Heldout(split="test")},
  )
  with pytest.raises(errors.InputError, match=r"row 4: is not UTF-8.* Fix"):
    source.tfds(data, 0, tmp_path)
  data = dataclasses.replace(data, on_bad_row="skip")
  # Nothing is read again.
  monkeypatch.setattr(child, "_run", None)
  suite = source.tfds(data, 0, tmp_path)
  assert "tfds here_qa/plain/1.2.0: 9 rows, done" in capfd.readouterr().err
  keys = {}
  for example in suite.examples():
    assert example.definition == "Do it."
    keys.setdefault((example.task, example.split), []).append(example.key)
    number = int(example.key)
    assert example.input.endswith(f" {number} é?")
    assert example.targets == (f"a{number}", "b")[: number % 2 + 1]
    assert example.choices == example.targets
  assert keys == {
      ("odd", "train"): ["0", "2"],
      ("even", "train"): ["1", "3", "5"],
      ("odd.test", "heldout"): ["0", "2"],
      ("even.test", "heldout"): ["1"],
  }
  assert suite.notes["read"]["bad_rows"]["count"] == 1
  names = {path.name for path in suite.files}
  assert "here_qa-train.tfrecord-00000-of-00001" in names
  assert "kind.labels.txt" in names


def test_one_task_without_a_field(prepared):
  reader = _reader(prepared, splits=["train", "validation"], task="")
  rows = [row for row in reader.rows() if isinstance(row, suite.Example)]
  assert {row.task for row in rows} == {"here_qa"}
  assert reader.notes["unlabelled"] == "here_qa"
  assert [row.split for row in rows] == ["train"] * 5 + ["validation"] * 2


@pytest.mark.parametrize(
    ("target", "split", "expected"),
    [
        ("label", "validation", [["no"], ["yes"]]),
        ("label", "test", [[], [], []]),
        ("score", "validation", [["0.0"], ["0.1"]]),
        ("question/number", "validation", [["0"], ["1"]]),
    ],
)
def test_values_become_text(prepared, target, split, expected):
  rows = _reader(prepared, splits=[split], target=target, key="score").rows()
  rows = list(rows)
  assert [list(row.targets) for row in rows] == expected
  assert [row.key for row in rows] == ["0.0", "0.1", "0.2"][: len(rows)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"dataset": "here_qu"},
            "not prepared in .* and nothing is downloaded",
        ),
        ({"dataset": "mnist"}, "not prepared in .* and nothing is downloaded"),
        ({"dataset": "here_qa/other"}, "not prepared in"),
        ({"dataset": "here_qa:9.9.9"}, "not prepared in"),
        ({"dataset": "../here qa"}, "not prepared in"),
        (
            {"splits": ["train", "tset"]},
            "no split 'tset'. Did you mean \"test\"",
        ),
        ({"task": "tasks"}, "no feature 'tasks'.*one task"),
        ({"input": "question/txt"}, 'Did you mean "question/text"'),
        ({"input": "question"}, "is no text: FeaturesDict"),
        ({"input": "answers/text"}, "is no text: a list of Text"),
        ({"input": "steps/text"}, "no feature 'steps/text'"),
        ({"target": "image"}, "is no text: Image"),
        ({"target": "grid"}, "is no text: Tensor"),
    ],
)
def test_bad_names(prepared, options, message):
  with pytest.raises(errors.InputError, match=message):
    _reader(prepared, **options)


def _copy(prepared, tmp_path):
  """Copies the data set to another, writable directory."""
  copy = tmp_path / "here_qa/plain/1.2.0"
  shutil.copytree(prepared / "here_qa/plain/1.2.0", copy)
  return copy


def test_damaged_files(prepared, tmp_path):
  copy = _copy(prepared, tmp_path)
  (train,) = copy.glob("*train*")
  train.write_bytes(train.read_bytes()[:-9])
  with pytest.raises(
      errors.InputError, match=r"row 5: cannot be read.*DataLoss"
  ):
    list(_reader(tmp_path).rows())


def test_files_elsewhere_are_not_read(prepared, tmp_path):
  """Checks that the names in the description cannot lead elsewhere."""
  copy = _copy(prepared, tmp_path)
  (train,) = copy.glob("*train*")
  train.rename(tmp_path / train.name)
  train.symlink_to(tmp_path / train.name)
  message = r"dataset_info\.json: splits: .*train.* must name a file inside"
  with pytest.raises(errors.InputError, match=message):
    _reader(tmp_path)
  train.unlink()
  info = copy / "dataset_info.json"
  text = info.read_text()
  template = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
  assert template in text
  info.write_text(text.replace(template, f"../../../{template}"))
  with pytest.raises(errors.InputError, match=message):
    _reader(tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dataset": ""}, "config.data.dataset: is empty"),
        ({"path": ""}, "config.data.path: is empty"),
        ({"module": "m"}, "config.data.module is not an option"),
        ({"heldout": {}}, "config.data.heldout: is empty"),
    ],
)
def test_bad_options(tmp_path, options, message):
  heldout = {"heldout": config.Heldout(split="test")}
  options = {"dataset": "d", "path": "p", "heldout": heldout} | options
  with pytest.raises(errors.InputError, match=message):
    source.tfds(
        config.build(config.Data, source="tfds", **options), 0, tmp_path
    )
