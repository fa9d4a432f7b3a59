"""Orders from files: what they may look like, and where they are wrong."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from zsgen.core import config, errors
from zsgen.orders import order as order_lib


@pytest.fixture
def make(store, workdir):
  """Makes the order of a file with that name and content."""

  def make(name, content):
    path = workdir / name
    if isinstance(content, str):
      path.write_text(content)
    else:
      pq.write_table(pa.table(content), path)
    options = config.build(config.Order, arrangement="file", path=str(path))
    return order_lib.make(workdir, store, options, 0)

  return make


@pytest.mark.parametrize(
    "name, content",
    [
        ("order.txt", "5\n0\n20\n"),
        ("order.csv", "id,why\n5,near\n0,far\n20,\n"),
        ("order.csv", "\ufeffepoch,id\n0,5\n0,0\n0,20\n"),
        ("order.parquet", {"id": [5, 0, 20], "score": [0.1, 0.2, 0.3]}),
        (
            "order.csv",
            "task,key\neven,even-5\neven,even-0\ncopy,copy-3\n",
        ),
        ("order.jsonl", '{"id": 5}\n{"id": 0, "x": 1}\n{"id": "20"}\n'),
        (
            "order.jsonl",
            '{"key": "even-5"}\n{"key": "even-0"}\n{"key": "copy-3"}\n',
        ),
        (
            "order.parquet",
            {
                "key": ["even-5", "even-0", "copy-3"],
                "task": ["even", "even", "copy"],
            },
        ),
    ],
)
def test_formats(make, name, content):
  assert make(name, content).ids.tolist() == [5, 0, 20]


def test_epochs(make):
  order = make("order.csv", "id,epoch\n5,0\n0,0\n5,1\n")
  assert order.ids.tolist() == [5, 0, 5]
  assert order.table["epoch"].to_pylist() == [0, 0, 1]


def test_the_name_follows_the_content(make):
  first, second = make("a.txt", "5\n0\n"), make("b.txt", "5\n0\n")
  assert first.path == second.path
  assert make("a.txt", "0\n5\n").path != first.path


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("order.txt", "5\n5\n", r"order.txt, line 2: example 5 is there twice"),
        ("order.txt", "5\n99\n", r"line 2: id 99 is no training example"),
        ("order.txt", "5\n21\n", r"line 2: id 21 is no training example"),
        ("order.txt", "5\n-1\n", r"line 2: id is '-1', no whole number"),
        ("order.txt", "5\n\n0\n", r"line 2: id is '', no whole number"),
        ("order.txt", "", "order.txt: is empty"),
        ("order.csv", "id\n", "order.csv: is empty"),
        ("order.csv", "number\n5\n", "has no column id"),
        (
            "order.csv",
            "id,x,id\n5,0,0\n",
            "line 1: names the column 'id' twice",
        ),
        ("order.csv", 'id,x\n5,"a\nb"\n5,\n', r"line 4: example 5"),
        (
            "order.csv",
            "task,key\neven,even-9\n",
            "no training example 'even-9'",
        ),
        ("order.csv", "id,epoch\n5,1.5\n", r"line 2: epoch is '1.5'"),
        ("order.parquet", {"id": [5.5]}, r"row 0: id is 5.5"),
        ("order.parquet", "not parquet", "cannot be read"),
        ("order.json", "[5]", "no .csv, .jsonl, .parquet or .txt file"),
        ("order.jsonl", "[5]\n", "line 1: is no JSON object"),
        ("order.jsonl", '{"id": 5}\n{"id"\n', "line 2: broken JSON"),
        ("order.jsonl", '{"id": 5}\n{"key": 5}\n', "line 2: id is None"),
        ("order.csv", "key\nodd-1\nodd-9\n", "line 3: there is no training"),
    ],
)
def test_bad_files_leave_nothing_behind(make, workdir, name, content, message):
  with pytest.raises(errors.InputError, match=message):
    make(name, content)
  assert not (workdir / "orders").exists()


@pytest.mark.parametrize("path", ["", "absent.csv"])
def test_no_file_is_an_error(store, workdir, path):
  options = config.build(config.Order, arrangement="file", path=path)
  with pytest.raises(errors.InputError, match="cannot be read"):
    order_lib.make(workdir, store, options, 0)


def test_an_order_can_be_read_back(store, workdir):
  """Checks that the order which another one lists is that order."""
  options = config.build(config.Order, arrangement="tmt", budget=9)
  first = order_lib.make(workdir, store, options, 0)
  from_file = config.build(
      config.Order, arrangement="file", path=str(first.path / order_lib.TABLE)
  )
  actual = order_lib.make(workdir, store, from_file, 0)
  np.testing.assert_array_equal(actual.ids, first.ids)
  assert actual.fingerprint == first.fingerprint
