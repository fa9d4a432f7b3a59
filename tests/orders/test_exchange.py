"""`python -m zsgen.orders export` and `import`."""

import hashlib
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.helpers import components
from zsgen.core import artifacts, config
from zsgen.data import prepare, suite
from zsgen.orders import __main__ as tools
from zsgen.orders import exchange
from zsgen.orders import order as order_lib


def _example(task, i, text="", split="train") -> suite.Example:
  question = f"{i}: {task}{text} | `x`"
  return suite.Example(
      task, "c", split, "Do it.", question, (str(i),), f"{task}-{i}"
  )


@pytest.fixture
def make_store(monkeypatch, tmp_path):
  """Makes a store of tasks and their sizes in a workdir of its own."""

  def make(workdir, tasks, text="", tokenizer="bytes"):
    def source(data, seed, scratch) -> suite.Suite:
      del data, seed, scratch

      def examples():
        for task, size in tasks.items():
          for i in range(size):
            yield _example(task, i, text)
        yield _example("test", 0, split="heldout")

      return suite.Suite("here", ("heldout",), examples)

    with monkeypatch.context() as patch:
      components.add(patch, "source", "here", source)
      data = config.build(config.Data, source="here", tokenizer=tokenizer)
      return prepare.prepare(tmp_path / workdir / "stores", data, 0)

  return make


@pytest.fixture
def store(make_store):
  return make_store("one", {"a": 4, "b": 3})


@pytest.fixture
def order(store, tmp_path):
  options = config.build(config.Order, arrangement="tmt")
  return order_lib.make(tmp_path / "one", store, options, 0)


@pytest.fixture
def out(order, tmp_path, capsys):
  assert _call(capsys, "export", order.path, tmp_path / "out")[0] == 0
  return tmp_path / "out"


def _call(capsys, *arguments):
  code = tools.main([str(argument) for argument in arguments])
  captured = capsys.readouterr()
  return code, captured.out + captured.err


def test_the_table_and_the_card(order, store, out):
  table = pq.read_table(out / "order.parquet")
  assert set(table.column_names) == {
      *("position", "id", "key", "task", "epoch", "round", "distance"),
      "text_hash",
  }
  assert table["id"].to_pylist() == order.ids.tolist()
  assert table["key"].to_pylist() == store.keys(order.ids)
  assert table["distance"].to_pylist() == order.distances.tolist()
  ((prompt, answer),) = store.texts(order.ids[:1])
  text = f"[{json.dumps(prompt)},{json.dumps(answer)}]"
  expected = hashlib.sha256(text.encode()).hexdigest()
  assert table["text_hash"][0].as_py() == expected
  card = (out / exchange.CARD).read_text()
  for text in (
      order.fingerprint,
      store.fingerprint,
      artifacts.file_digest(out / "order.parquet"),
      '"arrangement": "tmt"',
      np.__version__,
  ):
    assert text in card
  assert str(out.parent) not in card
  assert card.count("```") == 6


def test_over_the_same_store_it_is_the_same_order(
    order, make_store, out, capsys, tmp_path
):
  other = make_store("two", {"a": 4, "b": 3})
  code, output = _call(capsys, "import", out, "--store", other.path)
  assert (code, f"the same fingerprint: {order.fingerprint}" in output) == (
      0,
      1,
  )
  (path,) = (tmp_path / "two" / "orders").iterdir()
  actual = order_lib.Order.load(path, other)
  assert actual.ids.tolist() == order.ids.tolist()
  assert actual.rounds.tolist() == order.rounds.tolist()
  assert actual.distances.tolist() == order.distances.tolist()


def test_ids_of_another_store_are_not_read(
    order, store, make_store, out, capsys, tmp_path
):
  """Checks that a store with more examples gives those of the same texts."""
  other = make_store("two", {"z": 5, "a": 4, "b": 3})
  code, output = _call(capsys, "import", out, "--store", other.path)
  assert (code, "all 7 texts are the same" in output) == (0, True)
  (path,) = (tmp_path / "two" / "orders").iterdir()
  ids = order_lib.Order.load(path, other).ids
  assert other.texts(ids) == store.texts(order.ids)
  assert ids.tolist() == [i + 5 for i in order.ids.tolist()]
  # A config finds them by the arrangement `file`.
  options = config.build(
      config.Order, arrangement="file", path=str(out / "order.parquet")
  )
  used = order_lib.make(tmp_path / "two", other, options, 3)
  assert used.ids.tolist() == ids.tolist()


@pytest.mark.parametrize(
    "tasks, text, messages",
    [
        (
            {"a": 4},
            "",
            ["of 7 examples, 3 do not exist in the store: task 'b' key 'b-"],
        ),
        (
            {"a": 4, "b": 3},
            "!",
            ["7 have other texts in the store", "), …. Make"],
        ),
        (
            {"a": 3, "b": 3},
            "?",
            ["1 do not exist in the store: task 'a' key 'a-3' (row", "6 have"],
        ),
    ],
)
def test_other_stores_are_refused(
    out, make_store, capsys, tmp_path, tasks, text, messages
):
  other = make_store("two", tasks, text)
  code, output = _call(capsys, "import", out, "--store", other.path)
  assert code == 2
  for message in messages:
    assert message in " ".join(output.split())
  assert not (tmp_path / "two" / "orders").exists()


def test_all_examples_that_do_not_exist_are_listed(make_store, out, capsys):
  other = make_store("two", {"b": 2}, "?")
  code, output = _call(capsys, "import", out, "--store", other.path)
  assert code == 2
  names = [
      f"id {row['id']} task {row['task']!r} key {row['key']!r}"
      f" (row {row['position']})"
      for row in pq.read_table(out / "order.parquet").to_pylist()
  ]
  differs = [name for name in names if "'b-0'" in name or "'b-1'" in name]
  missing = [name for name in names if name not in differs]
  assert (len(missing), len(differs)) == (5, 2)
  assert output.splitlines()[:7] == [
      *(f"missing  {name}" for name in missing),
      *(f"differs  {name}" for name in differs),
  ]


def test_damaged_exports_are_refused(out, store, capsys):
  file = out / "order.parquet"
  table = pq.read_table(file)
  metadata = table.schema.metadata
  swapped = table.set_column(1, "id", pa.array(table["id"].to_pylist()[::-1]))
  pq.write_table(swapped.replace_schema_metadata(metadata), file)
  code, output = _call(capsys, "import", out, "--store", store.path)
  assert (code, "do not have its fingerprint" in output) == (2, True)
  pq.write_table(table.replace_schema_metadata(None), file)
  code, output = _call(capsys, "import", out, "--store", store.path)
  assert (code, "is not an exported order" in output) == (2, True)
  file.write_bytes(b"x")
  code, output = _call(capsys, "import", out, "--store", store.path)
  assert (code, "is not an exported order" in output) == (2, True)


def test_nothing_is_replaced(order, out, capsys):
  before = (out / exchange.CARD).read_bytes()
  code, output = _call(capsys, "export", order.path, out)
  assert (code, "exists already" in output) == (2, True)
  assert (out / exchange.CARD).read_bytes() == before


def test_a_store_outside_a_workdir_is_refused(out, store, tmp_path, capsys):
  moved = store.path.rename(tmp_path / store.path.name)
  code, output = _call(capsys, "import", out, "--store", moved)
  assert (code, "is not in the directory stores" in output) == (2, True)
