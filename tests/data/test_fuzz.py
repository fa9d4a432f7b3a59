"""Whatever the bytes: a suite, or one clear message."""

import json
import pathlib
import tempfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from zsgen.core import config, errors
from zsgen.data import sources, suite

hypothesis = pytest.importorskip("hypothesis")
st = hypothesis.strategies

SETTINGS = hypothesis.settings(
    max_examples=150, deadline=None, derandomize=True, database=None
)
SOURCES = ("table", "chat", "p3")
NAMES = ("task", "input", "target", "conversations", "messages", "id", "from")
NAMES += ("value", "role", "content", "items")
NAMES += ("inputs_pretokenized", "targets_pretokenized")
SUFFIXES = ("jsonl", "json", "csv", "tsv", "parquet", "arrow", "jsonl.gz")
SUFFIXES += ("csv.zst", "json.gz", "jsonl.bz2", "json.xz", "feather")

_TEXTS = st.text(max_size=8) | st.sampled_from(
    ["a", "b", "user", "human", "gpt", "assistant", "system", "\ud800", '"\n']
)
_LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | _TEXTS
_VALUES = st.recursive(
    _LEAVES,
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=8,
)


def _good(task: str) -> dict:
  """Returns a row that every source can use."""
  turns = [("user", f"q of {task}"), ("assistant", "a")]
  return {
      "task": task,
      "input": f"q of {task}",
      "target": "a",
      "inputs_pretokenized": f"q of {task}",
      "targets_pretokenized": "a",
      "messages": [{"role": role, "content": text} for role, text in turns],
  }


_ANY_ROW = (
    st.sampled_from([_good("a"), _good("b"), _good("c")])
    | st.builds(
        lambda row, change: row | change,
        st.just(_good("d")),
        st.dictionaries(st.sampled_from(NAMES), _VALUES, max_size=2),
    )
    | st.dictionaries(st.sampled_from(NAMES) | _TEXTS, _VALUES, max_size=6)
    | _VALUES
)
_ROWS = st.lists(_ANY_ROW, max_size=6).map(
    lambda rows: [_good("a"), *rows, _good("b")]
)
_OPTIONS = st.fixed_dictionaries(
    {
        "source": st.sampled_from(SOURCES),
        "on_bad_row": st.sampled_from(["skip", "skip", "error"]),
        "deduplicate": st.booleans(),
        "draw": st.sampled_from(["seed", "first", "sample", "first_shuffle"]),
    }
)


def _assert_suite_or_error(name: str, content: bytes, options: dict) -> None:
  """Makes a suite of a file with this content, or gets an InputError."""
  with tempfile.TemporaryDirectory() as directory:
    path = pathlib.Path(directory) / name
    path.write_bytes(content)
    shares = {"heldout": config.Heldout(share=0.5)}
    data = config.build(config.Data, path=str(path), heldout=shares, **options)
    try:
      loaded_suite = sources.load(data, 0, pathlib.Path(directory) / "scratch")
    except errors.InputError as error:
      assert str(path) in str(error) or "config.data" in str(error)
      return
    examples = list(loaded_suite.examples())
    assert {example.split for example in examples} == {"train", "heldout"}
    assert all(isinstance(example, suite.Example) for example in examples)
    json.dumps(loaded_suite.notes)


@SETTINGS
@hypothesis.given(st.sampled_from(SUFFIXES), st.binary(max_size=200), _OPTIONS)
def test_bytes(suffix, content, options):
  _assert_suite_or_error(f"rows.{suffix}", content, options)


@SETTINGS
@hypothesis.given(_ROWS, _OPTIONS, st.booleans())
def test_rows(rows, options, lines):
  texts = [json.dumps(row) for row in rows]
  text = "\n".join(texts) if lines else f"[{','.join(texts)}]"
  _assert_suite_or_error(
      "rows.jsonl" if lines else "rows.json", text.encode(), options
  )


@SETTINGS
@hypothesis.given(_ROWS, _OPTIONS, st.data())
def test_damaged_rows(rows, options, data):
  """Reads a good file with a few bytes changed, or cut."""
  content = bytearray("\n".join(map(json.dumps, rows)).encode() + b"\n")
  for _ in range(data.draw(st.integers(1, 3))):
    position = data.draw(st.integers(0, len(content) - 1))
    content[position] = data.draw(st.integers(0, 255))
  _assert_suite_or_error("rows.jsonl", bytes(content), options)


@SETTINGS
@hypothesis.given(
    st.lists(st.lists(_TEXTS, min_size=1, max_size=5), max_size=5), _OPTIONS
)
def test_cells(cells, options):
  rows = [["a", "q", "a"], *cells, ["b", "q", "b"]]
  lines = [["task", "input", "target"], *rows]
  text = "\n".join(",".join(line) for line in lines)
  _assert_suite_or_error(
      "rows.csv", text.encode("utf-8", "surrogatepass"), options
  )


@SETTINGS
@hypothesis.given(
    st.lists(st.binary(max_size=5), min_size=1, max_size=5),
    st.integers(0, 5000),
    st.integers(0, 255),
    _OPTIONS,
)
def test_parquet(cells, position, byte, options):
  """Reads columns of raw bytes that are declared text, and damage."""
  column = pa.array([b"a", *cells, b"b"], pa.binary())
  text = pa.Array.from_buffers(pa.string(), len(column), column.buffers())
  names = ["task", "input", "target", "inputs_pretokenized"]
  names += ["targets_pretokenized"]
  table = pa.table(dict.fromkeys(names, text))
  sink = pa.BufferOutputStream()
  pq.write_table(table, sink)
  content = bytearray(sink.getvalue().to_pybytes())
  if position < len(content):
    content[position] = byte
  _assert_suite_or_error("rows.parquet", bytes(content), options)
