"""Answers to choose from: in the rows of sources, and in the store."""

import dataclasses
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.helpers import choice_tables
from zsgen.core import config as config_lib
from zsgen.core import errors
from zsgen.data import prepare, sources, views
from zsgen.data import store as store_lib
from zsgen.orders import embeddings

TASKS = ("name", "pick")


def _data(path, **options):
  data = config_lib.build(
      config_lib.Data,
      source="table",
      path=str(path),
      fields=config_lib.Fields(choices="from"),
      heldout={"heldout": config_lib.Heldout(tasks=TASKS)},
      heldout_instances=100,
      draw="first",
  )
  return dataclasses.replace(data, **options)


def _prepare(tmp_path, **options):
  path = choice_tables.write(tmp_path / "t.jsonl", choice_tables.rows())
  return prepare.prepare(tmp_path / "stores", _data(path, **options), 0)


def _expected_choices():
  """Returns the choices of all held-out rows, and whether each is right."""
  rows = sorted(
      (row for row in choice_tables.rows() if row["task"] in TASKS),
      key=lambda row: row["task"],
  )
  return [
      (choice, choice in row["target"])
      for row in rows
      for choice in row["from"]
  ]


@pytest.mark.parametrize("template", ["plain", "chat"])
def test_choices_have_rows_after_all_examples(tmp_path, template):
  store = _prepare(tmp_path, template=template)
  store.verify()
  choices = store.choices("heldout")
  assert choices.rows.tolist() == list(range(store.examples, len(store)))
  texts = store.texts(choices.rows)
  answers = [answer for _, answer in texts]
  assert list(zip(answers, choices.right, strict=True)) == _expected_choices()
  assert np.unique(choices.examples).tolist() == (
      store.split_ids("heldout").tolist()
  )
  for row, example, (prompt, _) in zip(
      choices.rows, choices.examples, texts, strict=True
  ):
    assert prompt == store.texts([example])[0][0]
    full_row = store.row(example)
    answer_start = full_row.mask.argmax()
    assert store.row(row).mask.argmax() == answer_start
    np.testing.assert_array_equal(
        store.row(row).tokens[:answer_start], full_row.tokens[:answer_start]
    )


def test_rows_of_choices_change_nothing_else(tmp_path):
  store = _prepare(tmp_path)
  path = tmp_path / "t.jsonl"
  data = _data(path, fields=config_lib.Fields())
  bare = prepare.prepare(tmp_path / "stores", data, 0)
  assert bare.examples == len(bare) == store.examples
  assert bare.manifest["heldout"] == store.manifest["heldout"]
  assert store_lib.CHOICES not in bare.manifest["files"]
  assert bare.fingerprint != store.fingerprint
  for split in ("train", "heldout"):
    ids = bare.split_ids(split)
    assert ids.tolist() == store.split_ids(split).tolist()
    assert bare.texts(ids) == store.texts(ids)
  assert len(list(embeddings.texts(store, "prompt"))) == store.examples
  with pytest.raises(errors.InputError, match=r"config\.data\.fields\.choices"):
    bare.choices("heldout")


def test_views_are_of_examples(tmp_path):
  pytest.importorskip("seqio")
  names = views.register_suite(_prepare(tmp_path))
  assert names[:4] == [f"zsgen:table:{t}" for t in ("sing", "draw", *TASKS)]
  assert names[4:] == ["zsgen:table:train", "zsgen:table:heldout"]


def test_an_example_that_loses_its_answers_has_no_choices(tmp_path):
  rows = choice_tables.rows()
  rows[2]["input"] = "long " * 40
  path = choice_tables.write(tmp_path / "t.jsonl", rows)
  store = prepare.prepare(tmp_path / "s", _data(path, max_length=120), 0)
  assert store.manifest["counts"]["heldout"]["dropped"] == 1
  lost = len(rows[2]["from"])
  assert store.manifest["counts"]["heldout/choices"]["dropped"] == lost
  assert len(store.choices("heldout").rows) == len(_expected_choices()) - lost


def test_a_choice_without_its_end_is_not_compared(tmp_path):
  """Checks that half a choice, with fewer tokens to lose by, is left out."""
  rows = choice_tables.rows()
  rows[2]["from"] = [rows[2]["target"][0], "a shade " * 12]
  path = choice_tables.write(tmp_path / "t.jsonl", rows)
  store = prepare.prepare(tmp_path / "s", _data(path, max_length=60), 0)
  counts = store.manifest["counts"]
  assert counts["heldout/choices"]["answer_cut"] == 1
  assert counts["heldout/choices"].get("dropped", 0) == 0
  choices = store.choices("heldout")
  (example,) = set(store.split_ids("heldout")) - set(choices.examples)
  assert rows[2]["input"] in store.texts([example])[0][0]


def test_a_damaged_table_of_choices_is_named(tmp_path):
  store = _prepare(tmp_path)
  path = store.path / store_lib.CHOICES
  content = path.read_bytes()
  path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
  with pytest.raises(errors.InputError, match=r"choices\.npy: is damaged"):
    store.verify()
  path.unlink()
  with pytest.raises(errors.InputError, match=r"choices\.npy: is missing"):
    store_lib.open_store(store.path)


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ([], 'the field "from" has no choice'),
        (["red", 3], "must be a list of texts, not a list with a number: 3"),
        ("red", "must be a list of texts, not str: 'red'"),
        (["red", " "], 'the field "from" has an empty answer'),
        (["red", "blue", "red"], "has the choice 'red' twice"),
        (["blue"], r"none of the choices .*\['blue'\], is the answer, 'red'"),
    ],
)
def test_invalid_choices(tmp_path, choices, message):
  rows = choice_tables.rows()
  rows[3].update({"target": "red", "from": choices})
  path = choice_tables.write(tmp_path / "t.jsonl", rows)
  with pytest.raises(errors.InputError, match=rf"line 4: .*{message}"):
    sources.load(_data(path), 0, tmp_path / "scratch")
  suite = sources.load(_data(path, on_bad_row="skip"), 0, tmp_path / "scratch")
  assert suite.notes["bad_rows"]["count"] == 1


def test_a_missing_column(tmp_path):
  rows = choice_tables.rows()
  del rows[0]["from"]
  path = choice_tables.write(tmp_path / "t.jsonl", rows)
  message = r"no column 'from', which config\.data\.fields\.choices names"
  with pytest.raises(errors.InputError, match=message):
    sources.load(_data(path), 0, tmp_path / "scratch")


def _p3(choices):
  return {
      "task": "super_glue_rte_x",
      "inputs_pretokenized": "True or False? ",
      "targets_pretokenized": "\nTrue",
      "answer_choices": choices,
  }


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_p3_has_the_choices_of_its_templates(tmp_path, kind):
  trained = {**_p3(None), "task": "imdb_x"}
  rows = [trained, _p3([" True", "False\n"]), _p3(None)]
  path = tmp_path / f"p3.{kind}"
  if kind == "jsonl":
    path.write_text("\n".join(map(json.dumps, rows)))
  else:
    pq.write_table(pa.Table.from_pylist(rows), path)
  data = config_lib.build(
      config_lib.Data, source="p3", path=str(path), draw="first"
  )
  suite = sources.load(data, 0, tmp_path / "scratch")
  choices = [example.choices for example in suite.examples()]
  assert choices == [(), ("True", "False"), ()]
  store = prepare.prepare(tmp_path / "stores", data, 0)
  assert store.choices("heldout").right.tolist() == [True, False]


def test_bad_choices_of_p3(tmp_path):
  path = tmp_path / "p3.jsonl"
  path.write_text(json.dumps(_p3(["Yes", "No"])))
  data = config_lib.build(config_lib.Data, source="p3", path=str(path))
  with pytest.raises(errors.InputError, match=r'"answer_choices".*answer,'):
    sources.load(data, 0, tmp_path / "scratch")
