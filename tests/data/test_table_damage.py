"""Tables that are empty, broken or odd: each is one clear message."""

import gzip
import json

import pytest

from tests.helpers import tables
from zsgen.core import config, errors
from zsgen.data.sources import records


@pytest.mark.parametrize("name", ["t.json", "t.jsonl", "t.json.gz"])
@pytest.mark.parametrize(
    "content", [b"", b" \n", b"\xef\xbb\xbf", b"[]", b" [ \n]\n"]
)
def test_an_empty_file_beside_others(tmp_path, name, content):
  home = tmp_path / "data"
  home.mkdir()
  tables.write(home / "a.jsonl", tables.rows())
  data = gzip.compress(content) if name.endswith(".gz") else content
  (home / name).write_bytes(data)
  assert len(tables.examples(home, heldout=tables.PLAIN)) == 6
  (home / "a.jsonl").unlink()
  with pytest.raises(
      errors.InputError, match=r"has no row that can be used\.$"
  ):
    tables.load(home)


@pytest.mark.parametrize(
    "content",
    [
        json.dumps({"version": 1, "data": tables.rows()}, indent=1),
        json.dumps({"version": 1, "data": tables.rows()}, indent=None),
        json.dumps({"data": tables.rows()}) + "\n",
    ],
)
@pytest.mark.parametrize("name", ["t.json", "t.jsonl"])
def test_a_single_object_is_no_table(tmp_path, name, content):
  path = tmp_path / name
  path.write_text(content)
  message = (
      r"is one JSON object; rows must be an array.*may be in 'data':"
      " save only that list"
  )
  with pytest.raises(errors.InputError, match=message):
    tables.load(path)
  with pytest.raises(errors.InputError, match=message):
    tables.load(path, on_bad_row="skip")
  # The message's advice.
  path.write_text(json.dumps(json.loads(content)["data"]))
  assert len(tables.examples(path)) == 6


@pytest.mark.parametrize("name", ["t.jsonl", "t.json"])
def test_a_repeated_key_is_a_bad_row(tmp_path, name):
  texts = [json.dumps(row) for row in tables.rows()]
  texts[2] = texts[2][:-1] + ', "input": "another"}'
  text = "\n".join(texts) if name == "t.jsonl" else f"[{','.join(texts)}]"
  path = tmp_path / name
  path.write_text(text)
  message = r"(line 3:|row 2 is) broken JSON \(the key 'input' is there twice\)"
  with pytest.raises(errors.InputError, match=message):
    tables.load(path)
  assert len(tables.examples(path, on_bad_row="skip")) == 5


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.jsonl"])
def test_lines_that_end_in_carriage_returns_only(tmp_path, name):
  path = tmp_path / name
  tables.write(
      path, [{k: "x" + v[:1] for k, v in row.items()} for row in tables.rows()]
  )
  data = path.read_bytes().replace(b"\r\n", b"\n").replace(b"\n\n", b"\n")
  path.write_bytes(data.replace(b"\n", b"\r"))
  message = (
      rf"t\{path.suffix}, line 1: contains carriage returns .* tr '\\r' '\\n'"
  )
  for count in (1, 20_000):  # The whole file is a line, which may be too long.
    path.write_bytes(path.read_bytes() * count)
    with pytest.raises(errors.InputError, match=message):
      tables.load(path)


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.json"])
def test_utf_16_is_reported(tmp_path, name):
  path = tmp_path / name
  tables.write(path, tables.rows())
  path.write_bytes(path.read_bytes().decode("utf-8-sig").encode("utf-16"))
  with pytest.raises(errors.InputError, match="is UTF-16, not UTF-8"):
    tables.load(path)


def test_unusual_values_of_json(tmp_path):
  """Checks NUL, which is text, and numbers that JSON lacks, which are not."""
  rows = tables.rows()
  rows[0]["input"], rows[1]["unread"] = "a\0b", float("nan")
  path = tmp_path / "t.jsonl"
  path.write_text("\n".join(map(json.dumps, rows)))
  assert "a\0b" in {e.input for e in tables.examples(path)}
  rows[1]["input"] = float("inf")
  path.write_text("\n".join(map(json.dumps, rows)))
  with pytest.raises(errors.InputError, match=r"line 2: .*not a number: inf"):
    tables.load(path)


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


@pytest.mark.parametrize(("change", "message"), BAD)
def test_bad_rows_name_file_and_line(tmp_path, change, message):
  path = tmp_path / "t.jsonl"
  rows = tables.rows()
  rows[2] |= change
  path.write_text("\n".join(map(json.dumps, rows)))
  fields = config.Fields()
  with pytest.raises(
      errors.InputError, match=rf"t\.jsonl, line 3: .*{message}"
  ):
    tables.load(path, fields, heldout=tables.PLAIN)
  skipped = tables.load(path, fields, heldout=tables.PLAIN, on_bad_row="skip")
  assert len(list(skipped.examples())) == 5
  assert skipped.notes["bad_rows"]["count"] == 1


def test_bad_rows_of_all_files_are_counted(tmp_path):
  good = json.dumps(tables.rows()[0]).encode()
  lines = [good, b"{", b'{"task": "b"}', b"[]", b'"\xff"', b"[" * 99_999]
  (tmp_path / "one.jsonl").write_bytes(b"\n".join(lines))
  lines = [b"1" * 5000, json.dumps(tables.rows()[1]).encode(), b"\x00"]
  (tmp_path / "two.jsonl").write_bytes(b"\n".join(lines))
  fields = config.Fields()
  message = (
      r"^7 bad rows, of which the first 5 are:\n  .*one\.jsonl, line 2: broken"
      r" JSON.*column 2.*\n.*line 3.*\n.*\n.*line 5: is not UTF-8.*\n.*line 6:"
      r" broken JSON \(nested too deeply\)\.\nFix .*on_bad_row=skip\.$"
  )
  with pytest.raises(errors.InputError, match=message):
    tables.load(tmp_path, fields, heldout=tables.PLAIN)
  suite = tables.load(tmp_path, fields, heldout=tables.PLAIN, on_bad_row="skip")
  bad_rows = suite.notes["bad_rows"]
  assert (bad_rows["count"], len(bad_rows["first"])) == (7, 5)
  assert "line 5: is not UTF-8" in bad_rows["first"][3]
  assert [e.key for e in suite.examples()] == ["one:0", "two:1"]


@pytest.mark.parametrize("name", ["t.jsonl", "t.json", "t.csv", "t.jsonl.gz"])
def test_a_row_of_20_mb_is_one_bad_row(tmp_path, name):
  rows = tables.rows()
  rows[1]["input"] = "x" * 20_000_000
  path = tmp_path / name
  tables.write(path, rows)
  message = r"longer than 10 MB|field larger than field limit"
  with pytest.raises(errors.InputError, match=message):
    tables.load(path)
  suite = tables.load(path, on_bad_row="skip")
  assert [e.key for e in suite.examples()] == [
      f"row-{i}" for i in (0, 3, 2, 5, 4)
  ]


@pytest.mark.parametrize("name", ["t.jsonl", "t.jsonl.gz", "t.json"])
def test_rows_that_are_nested_deeply(tmp_path, name):
  """Reads rows near the depth that Python can read, and beyond it."""
  plain = tmp_path / name.removesuffix(".gz")
  for depth in (*range(880, 1000, 7), 5000):
    rows = [json.dumps(row) for row in tables.rows()]
    rows[2] = rows[2][:-1] + f', "unread": {"[" * depth}{"]" * depth}}}'
    lines = "\n".join(rows)
    text = f"[{','.join(rows)}]" if plain.suffix == ".json" else lines
    plain.write_text(text)
    if name != plain.name:
      (tmp_path / name).write_bytes(gzip.compress(text.encode()))
    try:
      suite = tables.load(tmp_path / name, on_bad_row="skip")
      assert len(list(suite.examples())) in (5, 6)
    except errors.InputError as error:
      assert "broken JSON" in str(error)


def test_a_row_that_is_too_long(tmp_path, monkeypatch):
  monkeypatch.setattr(records, "LONGEST", 400)
  rows = tables.rows()
  rows[1]["input"] = "x" * 400
  tables.write(tmp_path / "t.parquet", rows)
  with pytest.raises(errors.InputError, match="row 1: the row is longer"):
    tables.load(tmp_path / "t.parquet")


def test_broken_tables(tmp_path):
  path = tmp_path / "t.csv"
  for content, message in [
      ("a,b,a\n", "names the column 'a' twice"),
      ("task,input,target\na,b,c\nx,y\n", "line 3: has 2 cells, but .* has 3"),
      ("task,input\na,b\n", "no column 'target', which config.data.fields"),
      ("", "has no row"),
  ]:
    path.write_text(content)
    with pytest.raises(errors.InputError, match=message):
      tables.load(path, config.Fields())
  path.write_bytes(b"task,input,target\nb,i,t\n\xff,i,t\na,i,t\n")
  with pytest.raises(errors.InputError, match="line 3: is not UTF-8"):
    tables.load(path, config.Fields())
  for name in ("t.parquet", "t.arrow", "t.jsonl.gz", "t.jsonl.zst"):
    broken = tmp_path / name
    tables.write(broken, tables.rows())
    data = broken.read_bytes()
    for content in (data[: len(data) // 2], b"", b"not at all"):
      broken.write_bytes(content)
      with pytest.raises(errors.InputError, match=rf"{name}: |has no "):
        tables.load(broken)


@pytest.mark.parametrize("name", ["t.jsonl", "t.csv", "t.parquet", "t.arrow"])
def test_columns_of_other_names(tmp_path, name):
  path = tmp_path / name
  tables.write(
      path, [{"task": t, "question": "q", "answers": "a"} for t in "ab"]
  )
  for fields, message in [
      (config.Fields(), r"fields\.input names\. .* task, question, answers\."),
      (config.Fields(input="question", target="answer"), 'mean "answers"'),
      (config.Fields(input="", target=""), r"fields\.target is empty"),
  ]:
    for on_bad_row in ("error", "skip"):
      with pytest.raises(errors.InputError, match=message):
        tables.load(path, fields, heldout=tables.PLAIN, on_bad_row=on_bad_row)


def test_no_task_column_is_offered(tmp_path):
  path = tmp_path / "t.jsonl"
  tables.write(path, [{"input": f"q{i}", "target": "a"} for i in range(9)])
  message = (
      r"fields\.task=NAME\. .* with --config\.data\.fields\.task= all rows"
  )
  with pytest.raises(errors.InputError, match=message):
    tables.load(path, config.Fields(), heldout=tables.PLAIN)
  share = {"heldout": config.Heldout(share=0.2)}
  assert len(tables.examples(path, config.Fields(task=""), heldout=share)) == 9


def _lines(count=300):
  rows = [f"{'ab'[i % 2]},q{i},t{i}" for i in range(count)]
  return ["task,input,target", *rows]


@pytest.mark.parametrize(
    ("changes", "opened", "last", "count", "message"),
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
def test_an_unclosed_quote(tmp_path, changes, opened, last, count, message):
  """Checks that every line that it swallows is reported and counted."""
  path = tmp_path / "t.csv"
  lines = _lines()
  for number, line in changes.items():
    lines[number] = line
  path.write_text("\n".join(lines) + "\n")
  message = (
      rf"line {opened}: the quote .*{message}.* {count} lines .* line {last}\."
  )
  with pytest.raises(errors.InputError, match=message):
    tables.load(path, config.Fields(), heldout=tables.PLAIN)
  if opened > 1:
    options = dict(
        heldout=tables.PLAIN, on_bad_row="skip", heldout_instances=999
    )
    suite = tables.load(path, config.Fields(), **options)
    assert suite.notes["bad_rows"]["count"] == count
    # Line 10 is that of row 8, from 0.
    after = 301 - last if last < 300 else 0
    assert len(list(suite.examples())) == 8 + after


def test_cells_of_many_lines_are_no_open_quotes(tmp_path):
  poem = "\n".join('He said: ""so, so"".' for _ in range(150))
  lines = _lines(4)
  lines[2] = f'b,"{poem}",t'
  (tmp_path / "t.csv").write_text("\n".join(lines))
  examples = tables.examples(
      tmp_path / "t.csv", config.Fields(), heldout=tables.PLAIN
  )
  assert [example.input.count("\n") for example in examples] == [0, 0, 149, 0]
