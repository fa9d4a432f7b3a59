"""Natural Instructions in the publisher's layout."""

import collections
import json

import pytest

from zsgen.core import config, errors
from zsgen.data import sources
from zsgen.data import suite as suite_lib


def _suite(clone, seed=0, **options):
  data = config.build(config.Data, source="niv2", path=str(clone), **options)
  return sources.load(data, seed, clone.parent / "scratch")


def test_official_split_and_caps(niv2):
  suite = _suite(niv2, train_instances=10, heldout_instances=5)
  examples = list(suite.examples())
  counts = collections.Counter(
      (example.task, example.split) for example in examples
  )
  assert counts == {
      ("task001_even", "train"): 10,
      ("task002_odd", "train"): 10,
      ("task003_copy", "train"): 10,
      ("task004_large", "heldout"): 5,
  }
  assert len({example.key for example in examples}) == len(examples)
  assert examples[0].definition == "From a list of numbers give even ones."
  assert len(suite.files) == 6


def test_the_seed_draws_instances(niv2):
  def keys(seed):
    return [example.key for example in _suite(niv2, seed).examples()]

  assert keys(0) == keys(0)
  assert keys(0) != keys(1)


def test_a_task_in_both_lists(niv2):
  tasks_file = niv2 / "splits/default/test_tasks.txt"
  tasks_file.write_text("task001_even\n")
  with pytest.raises(errors.InputError, match="task001_even is a held-out"):
    _suite(niv2)


def _rewrite(niv2, change):
  path = niv2 / "tasks/task002_odd.json"
  task = json.loads(path.read_text())
  change(task)
  path.write_text(json.dumps(task))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("Definition"), '"Definition" is missing'),
        (lambda t: t.update(Definition=[3]), "is not text"),
        (lambda t: t.update(Definition=None), "not a list or str"),
        (lambda t: t.update(Instances=[]), "no instances"),
        (lambda t: t["Instances"][7].pop("output"), r"Instances\[7\].*missing"),
        (lambda t: t["Instances"][7].update(output=[]), "empty answer"),
        (lambda t: t["Instances"].__setitem__(7, "x"), "JSON object"),
    ],
)
def test_bad_fields_name_file_and_position(niv2, change, message):
  _rewrite(niv2, change)
  with pytest.raises(errors.InputError, match=message) as error:
    list(_suite(niv2).examples())
  assert "task002_odd.json" in str(error.value)


def test_broken_json_names_the_line(niv2):
  path = niv2 / "tasks/task003_copy.json"
  lines = path.read_text().splitlines()
  path.write_text("\n".join([*lines[:4], "}{", *lines[4:]]))
  with pytest.raises(errors.InputError, match=r"task003_copy\.json, line 5"):
    list(_suite(niv2).examples())


def test_missing_paths(niv2, tmp_path):
  with pytest.raises(errors.InputError, match="no directory tasks/"):
    _suite(tmp_path / "nowhere")
  (niv2 / "tasks/task001_even.json").unlink()
  with pytest.raises(errors.InputError, match=r"task001_even\.json"):
    list(_suite(niv2).examples())
  (niv2 / "splits/default/train_tasks.txt").unlink()
  with pytest.raises(errors.InputError, match=r"train_tasks\.txt"):
    _suite(niv2)


def test_lists_and_files_in_other_encodings(niv2):
  tasks_file = niv2 / "splits/default/train_tasks.txt"
  task = niv2 / "tasks/task001_even.json"
  for path in (tasks_file, task):
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
  assert len(list(_suite(niv2).examples())) == 95
  tasks_file.write_bytes("t\xe4sk".encode("latin-1"))
  with pytest.raises(errors.InputError, match="not UTF-8"):
    _suite(niv2)
  tasks_file.write_text("../task001_even")
  with pytest.raises(errors.InputError, match="no task name"):
    _suite(niv2)


@pytest.mark.parametrize("content", ["[" * 100_000, "1" * 5000])
def test_json_that_python_refuses(niv2, content):
  (niv2 / "tasks/task001_even.json").write_text(content)
  with pytest.raises(
      errors.InputError, match=r"task001_even\.json, line 1: is not"
  ):
    list(_suite(niv2).examples())


def test_a_split_whose_tasks_were_all_left_out(niv2):
  (niv2 / "tasks/task004_large.json").write_text("{")
  message = (
      r"no row of the 1 tasks of heldout.* 1 bad row of task004_large was"
      r" left out: .*task004_large\.json, line 1: is not JSON"
  )
  with pytest.raises(errors.InputError, match=message):
    _suite(niv2, on_bad_row="skip")


def test_skipped_rows_are_counted(niv2):
  def change(task):
    task["Instances"][7]["output"] = []
    task["Instances"][8] = 3
    task["Instances"][9]["id"] = task["Instances"][4]["id"]

  _rewrite(niv2, change)
  (niv2 / "tasks/task003_copy.json").write_text("{")
  message = r"^4 bad rows:\n.*Instances\[7\].*(\n.*){4}on_bad_row=skip\.$"
  with pytest.raises(errors.InputError, match=message):
    _suite(niv2)
  suite = _suite(niv2, on_bad_row="skip")
  counts = collections.Counter(example.task for example in suite.examples())
  assert counts == {"task001_even": 30, "task002_odd": 27, "task004_large": 5}
  notes = suite.notes
  assert notes["bad_rows"]["count"] == 4
  assert "task003_copy.json, line 1" in notes["bad_rows"]["first"][2]
  assert "came before in task task002_odd" in notes["bad_rows"]["first"][3]
  assert notes["absent_tasks"] == {"train": 1, "heldout": 0}


def test_shots_categories_and_references(niv2):
  def change(task):
    del task["Negative Examples"]
    task["Positive Examples"].append({"input": "3", "output": ["3", "three"]})
    task["Instances"][0]["output"] = ["1", " one "]

  _rewrite(niv2, change)
  examples = list(_suite(niv2, draw="first").examples())
  first = examples[30]
  assert first.targets == ("1", "one")
  assert first.category == "Number Selection"
  assert first.shots == (
      suite_lib.Shot("1, 2", "2", "2 is even.", True),
      suite_lib.Shot("3", "3", "", True),
  )
  _rewrite(niv2, lambda task: task["Positive Examples"].append("x"))
  with pytest.raises(errors.InputError, match=r"Positive Examples\[2\]: must"):
    _suite(niv2)


def test_an_empty_input_needs_a_definition(niv2):
  _rewrite(niv2, lambda task: task["Instances"][3].update(input=" "))
  assert len(list(_suite(niv2).examples())) == 95
  _rewrite(niv2, lambda task: task.update(Definition=[""]))
  with pytest.raises(
      errors.InputError, match=r"Instances\[3\]: definition and"
  ):
    _suite(niv2)


def test_the_cross_lingual_track(niv2):
  with pytest.raises(errors.InputError, match=r"xlingual/train_tasks\.txt"):
    _suite(niv2, track="xlingual")
  for split, tasks in (("train", "task004_large"), ("test", "task001_even")):
    tasks_file = niv2 / "splits/xlingual" / f"{split}_tasks.txt"
    tasks_file.parent.mkdir(exist_ok=True)
    tasks_file.write_text(tasks)
  splits = {e.task: e.split for e in _suite(niv2, track="xlingual").examples()}
  assert splits == {"task004_large": "train", "task001_even": "heldout"}


def test_custom_heldout_sets(niv2):
  heldout = {"a": config.Heldout(tasks=("task002_odd",), split="heldout")}
  suite = _suite(niv2, heldout=heldout, train_instances=1, heldout_instances=2)
  assert suite.heldout == ("a",)
  assert [example.task for example in suite.examples()] == [
      "task001_even",
      "task003_copy",
      *["task002_odd"] * 2,
      *["task004_large"] * 2,
  ]


def test_every_draw(niv2):
  """Draws that go from task to task take a clone's tasks, too."""
  for draw in ("first_shuffle", "first_sample", "sample"):
    keys = [example.key for example in _suite(niv2, draw=draw).examples()]
    assert len(set(keys)) == 95


@pytest.mark.slow
def test_the_real_clone(real):
  suite = _suite(real("niv2"), train_instances=10**6, heldout_instances=10**6)
  notes = suite.notes
  assert notes["bad_rows"]["count"] == 0
  assert notes["verbatim"]["inputs"] == 1
  assert next(iter(notes["verbatim"]["tasks"])).startswith("task349_")
