"""Natural Instructions in the publisher's layout."""

import collections
import json

import pytest

from zsgen import config, errors
from zsgen.data.sources import niv2 as niv2_lib


def _suite(clone, seed=0, **options):
  data = config.Data(source="niv2", path=str(clone), **options)
  return niv2_lib.niv2(data, seed, clone.parent / "scratch")


def test_official_split_and_caps(niv2):
  suite = _suite(niv2, train_instances=10, heldout_instances=5)
  examples = list(suite.examples())
  counts = collections.Counter((each.task, each.split) for each in examples)
  assert counts == {
      ("task001_even", "train"): 10,
      ("task002_odd", "train"): 10,
      ("task003_copy", "train"): 10,
      ("task004_large", "heldout"): 5,
  }
  assert len({each.key for each in examples}) == len(examples)
  assert examples[0].definition == "From a list of numbers give even ones."
  assert len(suite.files) == 6


def test_the_seed_draws_instances(niv2):
  def keys(seed):
    return [each.key for each in _suite(niv2, seed).examples()]

  assert keys(0) == keys(0)
  assert keys(0) != keys(1)


def test_a_task_in_both_lists(niv2):
  listed = niv2 / "splits/default/test_tasks.txt"
  listed.write_text("task001_even\n")
  with pytest.raises(errors.InputError, match="task001_even is a held-out"):
    _suite(niv2)


def _rewrite(niv2, change):
  path = niv2 / "tasks/task002_odd.json"
  task = json.loads(path.read_text())
  change(task)
  path.write_text(json.dumps(task))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.pop("Definition"), '"Definition" is missing'),
        (lambda t: t.update(Definition=[3]), "is not text"),
        (lambda t: t.update(Definition=[]), "is not text"),
        (lambda t: t.update(Instances=[]), "no instances"),
        (lambda t: t["Instances"][7].pop("output"), r"Instances\[7\].*missing"),
        (lambda t: t["Instances"][7].update(output=[]), "empty answer"),
        (lambda t: t["Instances"].__setitem__(7, "x"), "JSON object"),
    ],
)
def test_bad_fields_name_file_and_place(niv2, change, said):
  _rewrite(niv2, change)
  with pytest.raises(errors.InputError, match=said) as error:
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
  listed = niv2 / "splits/default/train_tasks.txt"
  task = niv2 / "tasks/task001_even.json"
  for path in (listed, task):
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
  assert len(list(_suite(niv2).examples())) == 95
  listed.write_bytes("t\xe4sk".encode("latin-1"))
  with pytest.raises(errors.InputError, match="not UTF-8"):
    _suite(niv2)
  listed.write_text("../task001_even")
  with pytest.raises(errors.InputError, match="no task name"):
    _suite(niv2)


@pytest.mark.parametrize("content", ["[" * 100_000, "1" * 5000])
def test_json_that_python_refuses(niv2, content):
  (niv2 / "tasks/task001_even.json").write_text(content)
  with pytest.raises(errors.InputError, match=r"task001_even\.json: broken"):
    list(_suite(niv2).examples())
