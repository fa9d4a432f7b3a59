"""The user's own tables: every format, the same suite."""

import json
import os
import subprocess
import sys

import pytest

from tests.helpers import tables
from zsgen.core import config, errors
from zsgen.data import prompts, sources, tokenizers
from zsgen.data.sources import example_file, records
from zsgen.reports import source_notes


@pytest.mark.parametrize(
    "name",
    [
        "t.json",
        "t.jsonl",
        "t.ndjson.gz",
        "t.json.gz",
        "t.jsonl.zst",
        "t.csv",
        "t.csv.zst",
        "t.tsv",
        "t.tsv.gz",
        "t.parquet",
        "t.arrow",
    ],
)
def test_every_format_gives_the_same_suite(tmp_path, name):
  path = tmp_path / name
  rows = tables.rows()
  tables.write(path, rows)
  suite = tables.load(path)
  assert suite.heldout == ("test",)
  assert suite.files == (path,)
  examples = list(suite.examples())
  assert examples == list(suite.examples())
  assert [(e.task, e.split) for e in examples] == [
      *[("a", "train")] * 2,
      *[("c", "train")] * 2,
      *[("b", "test")] * 2,
  ]
  by_key = {row["name"]: row for row in rows}
  for example in examples:
    row = by_key[example.key]
    assert (example.input, example.targets) == (row["input"], (row["target"],))
    assert (example.definition, example.category) == (row["about"], row["kind"])


def test_a_directory_and_a_glob(tmp_path):
  rows = tables.rows()
  below = tmp_path / "data" / "more"
  below.mkdir(parents=True)
  tables.write(tmp_path / "data" / "one.jsonl", rows[:3])
  tables.write(below / "two.csv", rows[3:])
  (tmp_path / "data" / "README.md").write_text("about")
  (tmp_path / "data" / ".hidden.jsonl").write_text("{")
  fields = config.Fields()
  examples = tables.examples(tmp_path / "data", fields, heldout=tables.PLAIN)
  assert {e.key for e in examples} == {
      f"{name}:{i}" for name in ("one", "more/two") for i in range(3)
  }
  for pattern in ("data/*.jsonl", "dat?/one.jsonl"):
    assert (
        len(tables.examples(tmp_path / pattern, fields, heldout=tables.PLAIN))
        == 3
    )
  for empty_path in ("nowhere", "*.parquet", "data/README.md"):
    with pytest.raises(errors.InputError, match="has no file"):
      tables.load(tmp_path / empty_path, fields, heldout=tables.PLAIN)
  with pytest.raises(errors.InputError, match=r"config\.data\.path is empty"):
    sources.load(config.build(config.Data, source="table"), 0, tmp_path)


def test_a_glob_over_directories(tmp_path):
  """Files of one name in different places keep their keys apart."""
  for name in ("a/x", "b/x", "b/y/z"):
    (tmp_path / name).mkdir(parents=True)
    tables.write(tmp_path / name / "t.jsonl", tables.rows(3))
  fields = config.Fields()
  examples = tables.examples(
      tmp_path / "**/*.jsonl", fields, heldout=tables.PLAIN
  )
  assert len({e.key for e in examples}) == len(examples) == 9


def test_a_scratch_that_cannot_be_written(tmp_path, monkeypatch):
  monkeypatch.setattr(example_file, "_ROWS", 2)
  tables.write(tmp_path / "t.csv", tables.rows())
  (tmp_path / "scratch").write_text("a file")
  with pytest.raises(errors.InputError, match=r"scratch: rows .* be copied"):
    tables.load(tmp_path / "t.csv")


def test_files_that_are_named_after_splits(tmp_path):
  """Checks tasks in both: the held-out part is a task of its own."""
  tables.write(tmp_path / "train-00000-of-00002.parquet", tables.rows()[:3])
  tables.write(tmp_path / "train-00001-of-00002.parquet", tables.rows()[3:])
  tables.write(tmp_path / "validation.parquet", tables.rows(2))
  suite = tables.load(tmp_path, config.Fields(key="name"))
  assert suite.heldout == ("validation",)
  tasks = {(e.task, e.split) for e in suite.examples()}
  assert tasks == {
      *((name, "train") for name in "abc"),
      ("a.validation", "validation"),
      ("b.validation", "validation"),
  }
  assert suite.notes["verbatim"]["inputs"] == 2


def test_no_task_column_and_several_answers(tmp_path):
  path = tmp_path / "t.jsonl"
  tables.write(path, [{"q": f"q{i}", "a": ["x", "y"]} for i in range(20)])
  fields = config.Fields(task="", input="q", target="a")
  share = {
      "heldout": config.Heldout(share=0.2),
      "more": config.Heldout(share=0.1),
  }
  examples = tables.examples(path, fields, heldout=share)
  tasks = [example.task for example in examples]
  assert tasks == [*["table"] * 14, *["table.heldout"] * 4, *["table.more"] * 2]
  assert sorted(e.key for e in examples) == sorted(map(str, range(20)))
  assert examples[0].targets == ("x", "y")
  assert examples == tables.examples(path, fields, heldout=share)
  assert examples != tables.examples(path, fields, heldout=share, seed=1)


def test_plain_text_without_input(tmp_path):
  path = tmp_path / "t.jsonl"
  tables.write(path, [{"task": name, "text": f"a {name}"} for name in "abc"])
  fields = config.Fields(input="", target="text")
  examples = tables.examples(path, fields, heldout=tables.PLAIN)
  assert [(e.input, e.targets) for e in examples] == [
      ("", ("a a",)),
      ("", ("a c",)),
      ("", ("a b",)),
  ]


def test_definitions_and_choices_may_be_left_out_row_by_row(tmp_path):
  path = tmp_path / "t.jsonl"
  rows = [
      row | {"about": definition, "from": choices, "target": "x"}
      for row, definition, choices in zip(
          tables.rows(),
          ("Say it.", "", None, " ", "Say it.", "Say it."),
          (["x", "y"], None, None, ["x"], ["x"], ["x"]),
          strict=True,
      )
  ]
  path.write_text("\n".join(map(json.dumps, rows)))
  fields = config.Fields(definition="about", choices="from", key="name")
  suite = tables.load(path, fields, heldout=tables.PLAIN)
  actual = {e.key: (e.definition, e.choices) for e in suite.examples()}
  assert [actual[f"row-{i}"] for i in range(4)] == [
      ("Say it.", ("x", "y")),
      ("", ()),
      ("", ()),
      ("", ("x",)),
  ]
  # Without a definition there must be a question.
  rows[1]["input"] = ""
  path.write_text("\n".join(map(json.dumps, rows)))
  with pytest.raises(errors.InputError, match='line 2: the field "input" is'):
    tables.load(path, fields, heldout=tables.PLAIN)


def test_columns_that_nothing_reads_are_counted(tmp_path):
  rows = [row | {"empty": None, "list": []} for row in tables.rows()]
  rows[0]["odd\ud800"] = 1
  path = tmp_path / "t.jsonl"
  path.write_text("\n".join(map(json.dumps, rows)))
  notes = tables.load(path).notes
  assert notes["unread_fields"] == {"unread": 6, "odd\\ud800": 1}
  lines = source_notes.describe(
      {"source": notes, "suite": "table", "prompts": {}}
  )
  assert (
      "table: 2 fields of rows are not read: unread (6), odd\\ud800 (1)"
      in lines
  )
  for name in ("t.csv", "t.parquet"):
    tables.write(tmp_path / name, tables.rows())
    assert tables.load(tmp_path / name).notes["unread_fields"] == {"unread": 6}


def test_a_held_out_set_with_a_seed_is_the_same_in_all_runs(tmp_path):
  path = tmp_path / "t.jsonl"
  rows = [
      {"task": f"t{i % 8}", "input": f"q{i}", "target": ["a", "b"]}
      for i in range(160)
  ]
  tables.write(path, rows)

  def draw(config_seed, set_seed):
    options = dict(
        draw="seed",
        train_instances=4,
        heldout_instances=4,
        label="random",
        heldout={"heldout": config.Heldout(share=0.4, seed=set_seed)},
    )
    suite = tables.load(path, config.Fields(), config_seed, **options)
    data = config.build(config.Data, source="table", **options)
    show = prompts.get(data, tokenizers.Bytes(), config_seed)
    splits = {"train": [], "heldout": []}
    for example in suite.examples():
      answer = [s.text for s in show(example) if s.loss]
      splits[example.split].append((example.task, example.key, answer))
    return splits

  first, second = draw(1, 7), draw(2, 7)
  assert first["heldout"] == second["heldout"] != draw(1, 8)["heldout"]
  assert first["train"] != second["train"]
  assert draw(1, None)["heldout"] != draw(2, None)["heldout"]
  assert draw(1, None) == draw(1, 1)


def test_a_seed_of_a_set_where_all_sets_are_drawn_together(tmp_path):
  tables.write(tmp_path / "t.jsonl", tables.rows())
  sets = {"heldout": config.Heldout(tasks=("b",), seed=1)}
  message = (
      r"heldout\.seed: config\.data\.draw='sample' draws all .* seed, first"
  )
  with pytest.raises(errors.InputError, match=message):
    tables.load(tmp_path / "t.jsonl", heldout=sets, draw="sample")
  assert (
      len(tables.examples(tmp_path / "t.jsonl", heldout=sets, draw="first"))
      == 6
  )


def test_a_listed_task_whose_rows_were_left_out(tmp_path):
  rows = tables.rows(9)
  for row in rows:
    if row["task"] == "b":
      row["input"] = 3
  path = tmp_path / "t.jsonl"
  path.write_text("\n".join(map(json.dumps, rows)))
  message = (
      r"no task 'b'.* 3 bad rows of b were left out: .*line 2: the field"
      r' "input" .* must be text, not a number'
  )
  with pytest.raises(errors.InputError, match=message):
    tables.load(path, config.Fields(), heldout=tables.PLAIN, on_bad_row="skip")


@pytest.mark.parametrize("name", ["t.jsonl", "t.csv", "t.parquet"])
@pytest.mark.parametrize(
    "change",
    [
        lambda path: path.write_bytes(path.read_bytes()[:-200]),
        lambda path: path.unlink(),
        lambda path: os.utime(path, ns=(0, 0)),
    ],
)
def test_a_file_that_changes_under_the_suite(tmp_path, name, change):
  path = tmp_path / name
  tables.write(path, tables.rows())
  suite = tables.load(path)
  change(path)
  with pytest.raises(errors.InputError, match=rf"{name}: changed while"):
    list(suite.examples())


@pytest.mark.parametrize("name", ["t.jsonl", "t.json", "t.csv", "t.parquet"])
def test_a_row_is_checked_once(tmp_path, name, monkeypatch):
  positions = []
  check = records.check_texts
  monkeypatch.setattr(
      records,
      "check_texts",
      lambda example, position: (
          positions.append(position),
          check(example, position),
      ),
  )
  tables.write(tmp_path / name, tables.rows())
  suite = tables.load(tmp_path / name)
  assert list(suite.examples()) == list(suite.examples())
  assert len(positions) == len(set(positions)) == 6


def test_other_sources_are_not_imported(tmp_path):
  tables.write(tmp_path / "t.jsonl", tables.rows())
  script = """
import pathlib, sys
from zsgen.core import config
from zsgen.data import sources
home = pathlib.Path(sys.argv[1])
fields = config.Fields(split="part")
data = config.build(
    config.Data, source="table", path=str(home / "t.jsonl"), fields=fields
)
list(sources.load(data, 0, home).examples())
print(*sys.modules)
"""
  process = subprocess.run(
      [sys.executable, "-c", script, str(tmp_path)],
      check=True,
      capture_output=True,
      text=True,
  )
  loaded = set(process.stdout.split())
  assert "zsgen.data.sources.table" in loaded
  source_names = ("synth", "worlds", "rewrites", "chat", "p3", "child")
  assert not loaded & {f"zsgen.data.sources.{name}" for name in source_names}


def test_repeated_keys(tmp_path):
  rows = tables.rows()
  rows[3]["name"] = "row-0"
  rows[4]["name"] = "row-0"  # Another task's.
  tables.write(tmp_path / "t.jsonl", rows)
  message = r"row 3: its key 'row-0' came before in task a"
  with pytest.raises(errors.InputError, match=message):
    tables.load(tmp_path / "t.jsonl")
  suite = tables.load(tmp_path / "t.jsonl", on_bad_row="skip")
  assert suite.notes["bad_rows"]["count"] == 1
  assert len(list(suite.examples())) == 5


def test_duplicates(tmp_path):
  rows = [*tables.rows(), *tables.rows()[:4]]
  for i, row in enumerate(rows):
    row["name"] = i
  path = tmp_path / "t.jsonl"
  tables.write(path, rows)
  assert len(tables.examples(path)) == 10
  suite = tables.load(path, deduplicate=True)
  # Rows 6 and 9 are of task a, 8 of c; 7 is held out.
  assert suite.notes["duplicates"] == 3
  assert [int(e.key) for e in suite.examples()] == [0, 3, 2, 5, 1, 4, 7]


def test_a_task_whose_part_has_the_name_of_another(tmp_path):
  rows = tables.rows()
  rows[3]["part"] = "test"
  rows[5]["task"] = "a.test"
  tables.write(tmp_path / "t.jsonl", rows)
  with pytest.raises(errors.InputError, match=r"would be the task a\.test"):
    tables.load(tmp_path / "t.jsonl")


def test_options_of_other_sources(tmp_path):
  for source, option in [
      ("table", dict(track="xlingual")),
      ("niv2", dict(dataset="x")),
      ("synth", dict(heldout=tables.PLAIN)),
      ("worlds", dict(path="x")),
  ]:
    message = f"config.data.{next(iter(option))} is not an option. It is an"
    with pytest.raises(errors.InputError, match=message):
      sources.load(
          config.build(config.Data, source=source, **option), 0, tmp_path
      )


def test_fields_that_a_source_does_not_read():
  with pytest.raises(errors.InputError, match="fields is not an option"):
    config.build(config.Data, source="p3", fields=config.Fields(**tables.NAMES))
  with pytest.raises(errors.InputError, match=r"fields\.definition is 'about'"):
    config.build(config.Data, source="chat", fields=tables.FIELDS)


def test_solved_examples_of_a_source_that_has_none(tmp_path):
  for options in (dict(), dict(shots=0, negative_shots=1)):
    data = config.build(config.Data, source="p3", prompt="niv2", **options)
    with pytest.raises(errors.InputError, match="p3 has no solved examples"):
      sources.load(data, 0, tmp_path)
  data = config.build(config.Data, source="synth", prompt="niv2", shots=0)
  assert sources.load(data, 0, tmp_path).name == "synth"
