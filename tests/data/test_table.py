"""The user's own tables: every format, the same suite."""

import csv
import gzip
import json
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from zsgen.core import config, errors
from zsgen.data import prompts, sources, tokenizers
from zsgen.data.sources import example_file, records
from zsgen.reports import source_notes

FIELDS = config.Fields(
    definition="about", category="kind", split="part", key="name"
)
NAMES = {"category": "kind", "key": "name"}
PLAIN = {"heldout": config.Heldout(tasks=("b",))}


def _rows(count=6):
  return [
      {
          "task": "abc"[i % 3],
          "input": f'say "{i}",\n\ttwice é',
          "target": f"{i} {i}",
          "about": "Say it twice.",
          "kind": "odd" if i % 3 else "even",
          "part": "test" if i % 3 == 1 else "train",
          "name": f"row-{i}",
          "unread": "x",
      }
      for i in range(count)
  ]


def _json(rows):
  return json.dumps(rows, ensure_ascii=False, indent=1).encode()


def _jsonl(rows):
  lines = (json.dumps(row, ensure_ascii=False) for row in rows)
  return b"\xef\xbb\xbf" + "\n\n".join(lines).encode()


def _separated(path, rows, **kwargs):
  with open(path, "w", newline="", encoding="utf-8") as file:
    writer = csv.DictWriter(file, rows[0], **kwargs)
    writer.writeheader()
    writer.writerows(rows)


def _write(path, rows):
  """Writes rows in the format that the file's name asks for."""
  packed = path.suffix in (".gz", ".zst")
  plain = path.with_suffix("") if packed else path
  match plain.suffix:
    case ".json":
      plain.write_bytes(_json(rows))
    case ".jsonl" | ".ndjson":
      plain.write_bytes(_jsonl(rows))
    case ".csv":
      _separated(plain, rows)
    case ".tsv":
      _separated(plain, rows, delimiter="\t")
    case ".parquet":
      pq.write_table(pa.Table.from_pylist(rows), plain, row_group_size=2)
    case ".arrow":
      table = pa.Table.from_pylist(rows)
      with pa.ipc.new_stream(plain, table.schema) as stream:
        stream.write_table(table, max_chunksize=2)
  if path.suffix == ".gz":
    # Two members, as `cat a.gz b.gz` makes them.
    whole = plain.read_bytes()
    path.write_bytes(gzip.compress(whole[:50]) + gzip.compress(whole[50:]))
  if path.suffix == ".zst":
    with pa.output_stream(str(path), compression="zstd") as stream:
      stream.write(plain.read_bytes())
  if packed:
    plain.unlink()


def _suite(path, fields=FIELDS, seed=0, **options):
  options = {"draw": "first", "heldout_instances": 100} | options
  data = config.Data(source="table", path=str(path), fields=fields, **options)
  return sources.load(data, seed, path.parent / "scratch")


def _examples(*args, **kwargs):
  return list(_suite(*args, **kwargs).examples())


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
  rows = _rows()
  _write(path, rows)
  suite = _suite(path)
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
  for each in examples:
    row = by_key[each.key]
    assert (each.input, each.targets) == (row["input"], (row["target"],))
    assert (each.definition, each.category) == (row["about"], row["kind"])


def test_a_directory_and_a_glob(tmp_path):
  rows = _rows()
  below = tmp_path / "data" / "more"
  below.mkdir(parents=True)
  _write(tmp_path / "data" / "one.jsonl", rows[:3])
  _write(below / "two.csv", rows[3:])
  (tmp_path / "data" / "README.md").write_text("about")
  (tmp_path / "data" / ".hidden.jsonl").write_text("{")
  fields = config.Fields()
  examples = _examples(tmp_path / "data", fields, heldout=PLAIN)
  assert {e.key for e in examples} == {
      f"{name}:{i}" for name in ("one", "more/two") for i in range(3)
  }
  for pattern in ("data/*.jsonl", "dat?/one.jsonl"):
    assert len(_examples(tmp_path / pattern, fields, heldout=PLAIN)) == 3
  for nothing in ("nowhere", "*.parquet", "data/README.md"):
    with pytest.raises(errors.InputError, match="has no file"):
      _suite(tmp_path / nothing, fields, heldout=PLAIN)
  with pytest.raises(errors.InputError, match=r"config\.data\.path is empty"):
    sources.load(config.Data(source="table"), 0, tmp_path)


def test_a_glob_over_directories(tmp_path):
  """Files of one name in different places keep their keys apart."""
  for name in ("a/x", "b/x", "b/y/z"):
    (tmp_path / name).mkdir(parents=True)
    _write(tmp_path / name / "t.jsonl", _rows(3))
  fields = config.Fields()
  examples = _examples(tmp_path / "**/*.jsonl", fields, heldout=PLAIN)
  assert len({e.key for e in examples}) == len(examples) == 9


def test_a_scratch_that_cannot_be_written(tmp_path, monkeypatch):
  monkeypatch.setattr(example_file, "_ROWS", 2)
  _write(tmp_path / "t.csv", _rows())
  (tmp_path / "scratch").write_text("a file")
  with pytest.raises(errors.InputError, match=r"scratch: rows .* be copied"):
    _suite(tmp_path / "t.csv")


def test_files_that_are_named_after_splits(tmp_path):
  """The same tasks in both: the held-out part is a task of its own."""
  _write(tmp_path / "train-00000-of-00002.parquet", _rows()[:3])
  _write(tmp_path / "train-00001-of-00002.parquet", _rows()[3:])
  _write(tmp_path / "validation.parquet", _rows(2))
  suite = _suite(tmp_path, config.Fields(key="name"))
  assert suite.heldout == ("validation",)
  tasks = {(e.task, e.split) for e in suite.examples()}
  assert tasks == {
      *((name, "train") for name in "abc"),
      ("a.validation", "validation"),
      ("b.validation", "validation"),
  }
  assert suite.told["verbatim"]["inputs"] == 2


def test_no_task_column_and_several_answers(tmp_path):
  path = tmp_path / "t.jsonl"
  _write(path, [{"q": f"q{i}", "a": ["x", "y"]} for i in range(20)])
  fields = config.Fields(task="", input="q", target="a")
  share = {
      "heldout": config.Heldout(share=0.2),
      "more": config.Heldout(share=0.1),
  }
  examples = _examples(path, fields, heldout=share)
  tasks = [each.task for each in examples]
  assert tasks == [*["table"] * 14, *["table.heldout"] * 4, *["table.more"] * 2]
  assert sorted(e.key for e in examples) == sorted(map(str, range(20)))
  assert examples[0].targets == ("x", "y")
  assert examples == _examples(path, fields, heldout=share)
  assert examples != _examples(path, fields, heldout=share, seed=1)


def test_plain_text_without_input(tmp_path):
  path = tmp_path / "t.jsonl"
  _write(path, [{"task": name, "text": f"a {name}"} for name in "abc"])
  fields = config.Fields(input="", target="text")
  examples = _examples(path, fields, heldout=PLAIN)
  assert [(e.input, e.targets) for e in examples] == [
      ("", ("a a",)),
      ("", ("a c",)),
      ("", ("a b",)),
  ]


def test_definitions_and_choices_may_be_left_out_row_by_row(tmp_path):
  path = tmp_path / "t.jsonl"
  rows = [
      row | {"about": about, "from": choices, "target": "x"}
      for row, about, choices in zip(
          _rows(),
          ("Say it.", "", None, " ", "Say it.", "Say it."),
          (["x", "y"], None, None, ["x"], ["x"], ["x"]),
          strict=True,
      )
  ]
  path.write_text("\n".join(map(json.dumps, rows)))
  fields = config.Fields(definition="about", choices="from", key="name")
  suite = _suite(path, fields, heldout=PLAIN)
  found = {e.key: (e.definition, e.choices) for e in suite.examples()}
  assert [found[f"row-{i}"] for i in range(4)] == [
      ("Say it.", ("x", "y")),
      ("", ()),
      ("", ()),
      ("", ("x",)),
  ]
  # Without a definition there must be a question.
  rows[1]["input"] = ""
  path.write_text("\n".join(map(json.dumps, rows)))
  with pytest.raises(errors.InputError, match='line 2: the field "input" is'):
    _suite(path, fields, heldout=PLAIN)


def test_columns_that_nothing_reads_are_counted(tmp_path):
  rows = [row | {"empty": None, "list": []} for row in _rows()]
  rows[0]["odd\ud800"] = 1
  path = tmp_path / "t.jsonl"
  path.write_text("\n".join(map(json.dumps, rows)))
  told = _suite(path).told
  assert told["unread_fields"] == {"unread": 6, "odd\\ud800": 1}
  lines = source_notes.describe(
      {"source": told, "suite": "table", "prompts": {}}
  )
  assert (
      "table: 2 fields of rows are not read: unread (6), odd\\ud800 (1)"
      in lines
  )
  for name in ("t.csv", "t.parquet"):
    _write(tmp_path / name, _rows())
    assert _suite(tmp_path / name).told["unread_fields"] == {"unread": 6}


def test_a_held_out_set_with_a_seed_is_the_same_in_all_runs(tmp_path):
  path = tmp_path / "t.jsonl"
  rows = [
      {"task": f"t{i % 8}", "input": f"q{i}", "target": ["a", "b"]}
      for i in range(160)
  ]
  _write(path, rows)

  def drawn(config_seed, set_seed):
    options = dict(
        draw="seed",
        train_instances=4,
        heldout_instances=4,
        label="random",
        heldout={"heldout": config.Heldout(share=0.4, seed=set_seed)},
    )
    made = _suite(path, config.Fields(), config_seed, **options)
    data = config.Data(source="table", **options)
    show = prompts.get(data, tokenizers.Bytes(), config_seed)
    splits = {"train": [], "heldout": []}
    for each in made.examples():
      answer = [s.text for s in show(each) if s.loss]
      splits[each.split].append((each.task, each.key, answer))
    return splits

  one, two = drawn(1, 7), drawn(2, 7)
  assert one["heldout"] == two["heldout"] != drawn(1, 8)["heldout"]
  assert one["train"] != two["train"]
  assert drawn(1, None)["heldout"] != drawn(2, None)["heldout"]
  assert drawn(1, None) == drawn(1, 1)


def test_a_seed_of_a_set_where_all_sets_are_drawn_together(tmp_path):
  _write(tmp_path / "t.jsonl", _rows())
  sets = {"heldout": config.Heldout(tasks=("b",), seed=1)}
  said = r"heldout\.seed: config\.data\.draw='sample' draws all .* seed, first"
  with pytest.raises(errors.InputError, match=said):
    _suite(tmp_path / "t.jsonl", heldout=sets, draw="sample")
  assert len(_examples(tmp_path / "t.jsonl", heldout=sets, draw="first")) == 6


def test_a_listed_task_whose_rows_were_left_out(tmp_path):
  rows = _rows(9)
  for row in rows:
    if row["task"] == "b":
      row["input"] = 3
  path = tmp_path / "t.jsonl"
  path.write_text("\n".join(map(json.dumps, rows)))
  said = (
      r"no task 'b'.* 3 bad rows of b were left out: .*line 2: the field"
      r' "input" .* must be text, not a number'
  )
  with pytest.raises(errors.InputError, match=said):
    _suite(path, config.Fields(), heldout=PLAIN, on_bad_row="skip")


@pytest.mark.parametrize("name", ["t.json", "t.jsonl", "t.json.gz"])
@pytest.mark.parametrize(
    "content", [b"", b" \n", b"\xef\xbb\xbf", b"[]", b" [ \n]\n"]
)
def test_an_empty_file_beside_others(tmp_path, name, content):
  home = tmp_path / "data"
  home.mkdir()
  _write(home / "a.jsonl", _rows())
  whole = gzip.compress(content) if name.endswith(".gz") else content
  (home / name).write_bytes(whole)
  assert len(_examples(home, heldout=PLAIN)) == 6
  (home / "a.jsonl").unlink()
  with pytest.raises(
      errors.InputError, match=r"has no row that can be used\.$"
  ):
    _suite(home)


@pytest.mark.parametrize(
    "content",
    [
        json.dumps({"version": 1, "data": _rows()}, indent=1),
        json.dumps({"version": 1, "data": _rows()}, indent=None),
        json.dumps({"data": _rows()}) + "\n",
    ],
)
@pytest.mark.parametrize("name", ["t.json", "t.jsonl"])
def test_one_object_is_no_rows(tmp_path, name, content):
  path = tmp_path / name
  path.write_text(content)
  said = (
      r"is one JSON object; rows must be an array.*may be in 'data':"
      " save only that list"
  )
  with pytest.raises(errors.InputError, match=said):
    _suite(path)
  with pytest.raises(errors.InputError, match=said):
    _suite(path, on_bad_row="skip")
  # The message's advice.
  path.write_text(json.dumps(json.loads(content)["data"]))
  assert len(_examples(path)) == 6


@pytest.mark.parametrize("name", ["t.jsonl", "t.json"])
def test_a_key_twice_is_a_bad_row(tmp_path, name):
  texts = [json.dumps(row) for row in _rows()]
  texts[2] = texts[2][:-1] + ', "input": "another"}'
  text = "\n".join(texts) if name == "t.jsonl" else f"[{','.join(texts)}]"
  path = tmp_path / name
  path.write_text(text)
  said = r"(line 3:|row 2 is) broken JSON \(the key 'input' is there twice\)"
  with pytest.raises(errors.InputError, match=said):
    _suite(path)
  assert len(_examples(path, on_bad_row="skip")) == 5


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.jsonl"])
def test_lines_that_end_in_carriage_returns_only(tmp_path, name):
  path = tmp_path / name
  _write(path, [{k: "x" + v[:1] for k, v in row.items()} for row in _rows()])
  whole = path.read_bytes().replace(b"\r\n", b"\n").replace(b"\n\n", b"\n")
  path.write_bytes(whole.replace(b"\n", b"\r"))
  said = (
      rf"t\{path.suffix}, line 1: contains carriage returns .* tr '\\r' '\\n'"
  )
  for count in (1, 20_000):  # The whole file is a line, which may be too long.
    path.write_bytes(path.read_bytes() * count)
    with pytest.raises(errors.InputError, match=said):
      _suite(path)


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.json"])
def test_utf_16_is_told(tmp_path, name):
  path = tmp_path / name
  _write(path, _rows())
  path.write_bytes(path.read_bytes().decode("utf-8-sig").encode("utf-16"))
  with pytest.raises(errors.InputError, match="is UTF-16, not UTF-8"):
    _suite(path)


def test_unusual_values_of_json(tmp_path):
  """NUL is text; numbers that JSON does not have are no text."""
  rows = _rows()
  rows[0]["input"], rows[1]["unread"] = "a\0b", float("nan")
  path = tmp_path / "t.jsonl"
  path.write_text("\n".join(map(json.dumps, rows)))
  assert "a\0b" in {e.input for e in _examples(path)}
  rows[1]["input"] = float("inf")
  path.write_text("\n".join(map(json.dumps, rows)))
  with pytest.raises(errors.InputError, match=r"line 2: .*not a number: inf"):
    _suite(path)


BAD = [
    ({"input": 3}, r'"input" \(config.data.fields.input\) .* text, not a num'),
    ({"input": None}, "must be text, not null"),
    ({"target": 3}, "must be text or a list of texts, not a number: 3"),
    ({"input": " \n"}, 'the field "input" is empty'),
    ({"task": ""}, 'the field "task" is empty'),
    ({"target": []}, '"target" has an empty answer'),
    ({"target": ["x", ""]}, '"target" has an empty answer'),
    ({"target": ["x", 3]}, "list of texts, not a list with a number: 3"),
    ({"target": {"x": 1}}, "list of texts, not an object: {'x': 1}"),
    ({"input": "\ud800"}, "is not Unicode"),
]


@pytest.mark.parametrize(("change", "said"), BAD)
def test_bad_rows_name_file_and_line(tmp_path, change, said):
  path = tmp_path / "t.jsonl"
  rows = _rows()
  rows[2] |= change
  path.write_text("\n".join(map(json.dumps, rows)))
  fields = config.Fields()
  with pytest.raises(errors.InputError, match=rf"t\.jsonl, line 3: .*{said}"):
    _suite(path, fields, heldout=PLAIN)
  skipped = _suite(path, fields, heldout=PLAIN, on_bad_row="skip")
  assert len(list(skipped.examples())) == 5
  assert skipped.told["bad_rows"]["count"] == 1


def test_bad_rows_of_all_files_are_counted(tmp_path):
  good = json.dumps(_rows()[0]).encode()
  lines = [good, b"{", b'{"task": "b"}', b"[]", b'"\xff"', b"[" * 99_999]
  (tmp_path / "one.jsonl").write_bytes(b"\n".join(lines))
  lines = [b"1" * 5000, json.dumps(_rows()[1]).encode(), b"\x00"]
  (tmp_path / "two.jsonl").write_bytes(b"\n".join(lines))
  fields = config.Fields()
  said = (
      r"^7 bad rows, of which the first 5 are:\n  .*one\.jsonl, line 2: broken"
      r" JSON.*column 2.*\n.*line 3.*\n.*\n.*line 5: is not UTF-8.*\n.*line 6:"
      r" broken JSON \(nested too deeply\)\.\nFix .*on_bad_row=skip\.$"
  )
  with pytest.raises(errors.InputError, match=said):
    _suite(tmp_path, fields, heldout=PLAIN)
  suite = _suite(tmp_path, fields, heldout=PLAIN, on_bad_row="skip")
  told = suite.told["bad_rows"]
  assert (told["count"], len(told["first"])) == (7, 5)
  assert "line 5: is not UTF-8" in told["first"][3]
  assert [e.key for e in suite.examples()] == ["one:0", "two:1"]


@pytest.mark.parametrize("name", ["t.jsonl", "t.json", "t.csv", "t.jsonl.gz"])
def test_a_row_of_20_mb_is_one_bad_row(tmp_path, name):
  rows = _rows()
  rows[1]["input"] = "x" * 20_000_000
  path = tmp_path / name
  _write(path, rows)
  begin = time.perf_counter()
  said = r"longer than 10 MB|field larger than field limit"
  with pytest.raises(errors.InputError, match=said):
    _suite(path)
  assert time.perf_counter() - begin < 20
  suite = _suite(path, on_bad_row="skip")
  assert [e.key for e in suite.examples()] == [
      f"row-{i}" for i in (0, 3, 2, 5, 4)
  ]


@pytest.mark.parametrize("name", ["t.jsonl", "t.jsonl.gz", "t.json"])
def test_rows_that_are_nested_deeply(tmp_path, name):
  """Near the depth that Python can read, and beyond: never a traceback."""
  plain = tmp_path / name.removesuffix(".gz")
  for depth in (*range(880, 1000, 7), 5000):
    rows = [json.dumps(row) for row in _rows()]
    rows[2] = rows[2][:-1] + f', "unread": {"[" * depth}{"]" * depth}}}'
    lines = "\n".join(rows)
    text = f"[{','.join(rows)}]" if plain.suffix == ".json" else lines
    plain.write_text(text)
    if name != plain.name:
      (tmp_path / name).write_bytes(gzip.compress(text.encode()))
    try:
      suite = _suite(tmp_path / name, on_bad_row="skip")
      assert len(list(suite.examples())) in (5, 6)
    except errors.InputError as error:
      assert "broken JSON" in str(error) or "changed while" in str(error)


def test_a_row_that_grows_too_long(tmp_path, monkeypatch):
  monkeypatch.setattr(records, "LONGEST", 400)
  rows = _rows()
  rows[1]["input"] = "x" * 400
  _write(tmp_path / "t.parquet", rows)
  with pytest.raises(errors.InputError, match="row 1: the row is longer"):
    _suite(tmp_path / "t.parquet")


def test_broken_tables(tmp_path):
  path = tmp_path / "t.csv"
  for content, said in [
      ("a,b,a\n", "names the column 'a' twice"),
      ("task,input,target\na,b,c\nx,y\n", "line 3: has 2 cells, but .* has 3"),
      ("task,input\na,b\n", "no column 'target', which config.data.fields"),
      ("", "has no row"),
  ]:
    path.write_text(content)
    with pytest.raises(errors.InputError, match=said):
      _suite(path, config.Fields())
  path.write_bytes(b"task,input,target\nb,i,t\n\xff,i,t\na,i,t\n")
  with pytest.raises(errors.InputError, match="line 3: is not UTF-8"):
    _suite(path, config.Fields())
  for name in ("t.parquet", "t.arrow", "t.jsonl.gz", "t.jsonl.zst"):
    broken = tmp_path / name
    _write(broken, _rows())
    whole = broken.read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"not at all"):
      broken.write_bytes(content)
      with pytest.raises(errors.InputError, match=rf"{name}: |has no "):
        _suite(broken)


@pytest.mark.parametrize("name", ["t.jsonl", "t.csv", "t.parquet", "t.arrow"])
def test_columns_of_other_names(tmp_path, name):
  path = tmp_path / name
  _write(path, [{"task": t, "question": "q", "answers": "a"} for t in "ab"])
  for fields, said in [
      (config.Fields(), r"fields\.input names\. .* task, question, answers\."),
      (config.Fields(input="question", target="answer"), 'mean "answers"'),
      (config.Fields(input="", target=""), r"fields\.target is empty"),
  ]:
    for on_bad_row in ("error", "skip"):
      with pytest.raises(errors.InputError, match=said):
        _suite(path, fields, heldout=PLAIN, on_bad_row=on_bad_row)


def test_no_task_column_is_offered(tmp_path):
  path = tmp_path / "t.jsonl"
  _write(path, [{"input": f"q{i}", "target": "a"} for i in range(9)])
  said = r"fields\.task=NAME\. .* with --config\.data\.fields\.task= all rows"
  with pytest.raises(errors.InputError, match=said):
    _suite(path, config.Fields(), heldout=PLAIN)
  share = {"heldout": config.Heldout(share=0.2)}
  assert len(_examples(path, config.Fields(task=""), heldout=share)) == 9


def _lines(count=300):
  rows = [f"{'ab'[i % 2]},q{i},t{i}" for i in range(count)]
  return ["task,input,target", *rows]


@pytest.mark.parametrize(
    ("changes", "opened", "last", "count", "said"),
    [
        ({9: 'a,"q,t'}, 10, 301, 292, "is not closed"),
        ({9: 'a,q,"t'}, 10, 301, 292, "is not closed"),
        # A cell of two lines before it.
        ({9: 'a,"q\n2","t'}, 11, 302, 293, "is not closed"),
        (
            {9: 'a,"q,t', 12: 'a,say "hi" to,t'},
            10,
            13,
            4,
            "does not end before",
        ),
        ({9: 'a,"q,t', 250: 'a,6",t'}, 10, 251, 242, "rows by themselves"),
        ({0: 'task,input,"target'}, 1, 301, 301, "is not closed"),
    ],
)
def test_a_quote_that_is_left_open(
    tmp_path, changes, opened, last, count, said
):
  """Every line that it swallows is told and counted."""
  path = tmp_path / "t.csv"
  lines = _lines()
  for number, line in changes.items():
    lines[number] = line
  path.write_text("\n".join(lines) + "\n")
  said = rf"line {opened}: the quote .*{said}.* {count} lines .* line {last}\."
  with pytest.raises(errors.InputError, match=said):
    _suite(path, config.Fields(), heldout=PLAIN)
  if opened > 1:
    options = dict(heldout=PLAIN, on_bad_row="skip", heldout_instances=999)
    suite = _suite(path, config.Fields(), **options)
    assert suite.told["bad_rows"]["count"] == count
    # Line 10 is that of row 8, from 0.
    after = 301 - last if last < 300 else 0
    assert len(list(suite.examples())) == 8 + after


def test_cells_of_many_lines_are_no_open_quotes(tmp_path):
  poem = "\n".join('He said: ""so, so"".' for _ in range(150))
  lines = _lines(4)
  lines[2] = f'b,"{poem}",t'
  (tmp_path / "t.csv").write_text("\n".join(lines))
  examples = _examples(tmp_path / "t.csv", config.Fields(), heldout=PLAIN)
  assert [each.input.count("\n") for each in examples] == [0, 0, 149, 0]


def test_a_file_that_changes_under_the_suite(tmp_path):
  path = tmp_path / "t.jsonl"
  _write(path, _rows())
  suite = _suite(path)
  path.write_bytes(path.read_bytes()[:-200])
  with pytest.raises(errors.InputError, match="changed while"):
    list(suite.examples())


def test_keys_that_come_twice(tmp_path):
  rows = _rows()
  rows[3]["name"] = "row-0"
  rows[4]["name"] = "row-0"  # Another task's.
  _write(tmp_path / "t.jsonl", rows)
  said = r"row 3: its key 'row-0' came before in task a"
  with pytest.raises(errors.InputError, match=said):
    _suite(tmp_path / "t.jsonl")
  suite = _suite(tmp_path / "t.jsonl", on_bad_row="skip")
  assert suite.told["bad_rows"]["count"] == 1
  assert len(list(suite.examples())) == 5


def test_duplicates(tmp_path):
  rows = [*_rows(), *_rows()[:4]]
  for i, row in enumerate(rows):
    row["name"] = i
  path = tmp_path / "t.jsonl"
  _write(path, rows)
  assert len(_examples(path)) == 10
  suite = _suite(path, deduplicate=True)
  # Rows 6 and 9 are of task a, 8 of c; 7 is held out.
  assert suite.told["duplicates"] == 3
  assert [int(e.key) for e in suite.examples()] == [0, 3, 2, 5, 1, 4, 7]


def test_a_task_whose_part_has_the_name_of_another(tmp_path):
  rows = _rows()
  rows[3]["part"] = "test"
  rows[5]["task"] = "a.test"
  _write(tmp_path / "t.jsonl", rows)
  with pytest.raises(errors.InputError, match=r"would be the task a\.test"):
    _suite(tmp_path / "t.jsonl")


def test_options_of_other_sources(tmp_path):
  for source, option in [
      ("table", dict(track="xlingual")),
      ("niv2", dict(dataset="x")),
      ("synth", dict(heldout=PLAIN)),
      ("worlds", dict(path="x")),
  ]:
    said = f"config.data.{next(iter(option))}: .* does not read it"
    with pytest.raises(errors.InputError, match=said):
      sources.load(config.Data(source=source, **option), 0, tmp_path)


def test_fields_that_a_source_does_not_read(tmp_path):
  for source, said in [
      (
          "p3",
          r"^config\.data\.fields\.category, .*\.key: the source p3 does not",
      ),
      ("chat", r"^config\.data\.fields\.definition: .* set to 'about'\. Of"),
  ]:
    with pytest.raises(errors.InputError, match=said) as raised:
      fields = FIELDS if source == "chat" else config.Fields(**NAMES)
      sources.load(config.Data(source=source, fields=fields), 0, tmp_path)
    assert "Fields(" not in str(raised.value)


def test_solved_examples_of_a_source_that_has_none(tmp_path):
  for options in (dict(), dict(shots=0, negative_shots=1)):
    data = config.Data(source="p3", prompt="niv2", **options)
    with pytest.raises(errors.InputError, match="p3 has no solved examples"):
      sources.load(data, 0, tmp_path)
  data = config.Data(source="synth", prompt="niv2", shots=0)
  assert sources.load(data, 0, tmp_path).name == "synth"
