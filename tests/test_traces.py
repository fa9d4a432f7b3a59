"""Traces that a run makes of its own order."""

import pytest

from tests.helpers import bucket_runs
import zsgen
from zsgen.core import errors
from zsgen.data import store as store_lib
from zsgen.orders import order as order_lib
from zsgen.orders import trace
from zsgen.verify import command as verify_command


def test_an_order_is_measured_once(small, tmp_path, monkeypatch, capsys):
  path = zsgen.run(small, tmp_path, ["order"]).order
  small.order.trace_every = 4
  assert zsgen.run(small, tmp_path, ["order"]).order == path
  order = order_lib.Order.load(path)
  actual = trace.find(order, "heldout")
  assert actual.steps.tolist() == [4, 8, 10]
  store = store_lib.open_store(order.store_path)
  expected = trace.make(order, store, small.train.batch_size, every=4)
  assert actual.table == trace.read(actual.path).table
  assert actual.description == expected.description
  for measure in trace.COLUMNS:
    assert (actual.values(measure) == expected.values(measure)).all()
  assert f"trace    {actual.path}" in capsys.readouterr().err

  with monkeypatch.context() as patch:
    patch.delattr(trace, "make")
    zsgen.run(small, tmp_path, ["order"])
  small.order.trace_every = 5
  zsgen.run(small, tmp_path, ["order"])
  replaced = trace.find(order, "heldout")
  assert replaced.steps.tolist() == [5, 10]
  trace.make(order, store, small.train.batch_size, every=5, text="prompt")
  zsgen.run(small, tmp_path, ["order"])
  assert trace.find(order, "heldout").description == replaced.description


@pytest.mark.slow
def test_the_page_of_a_run_shows_the_distances(small, tmp_path):
  small.order.trace_every = 4
  result = zsgen.run(small, tmp_path)
  assert "negative cosine, centroids" in result.report.read_text()


def test_only_evaluations_with_distances_have_a_trace(small, tmp_path):
  small.order.trace_every = 4
  small.evals = {
      "a": {"type": "generate", "max_new_tokens": 2, "split": "heldout_family"},
      "b": {"split": "heldout"},
      "c": {"split": "heldout", "max_examples": 1},
  }
  order = zsgen.run(small, tmp_path, ["order"]).order
  traces = [path.name for path in order.parent.glob("*.parquet")]
  assert traces == [f"{order.name}.trace-heldout.parquet"]


def test_distances_that_no_page_would_show_are_one_message(small, tmp_path):
  small.order.trace_every = 4
  small.evals = {"a": {"type": "generate", "max_new_tokens": 2}}
  with pytest.raises(errors.InputError, match=r"trace_every is 4, but.*'loss'"):
    zsgen.run(small, tmp_path, ["order"])
  assert not (tmp_path / "stores").exists()


def test_a_damaged_trace_is_one_message(small, tmp_path):
  small.order.trace_every = 4
  order = zsgen.run(small, tmp_path, ["order"]).order
  path = trace.path_of(order, "heldout")
  path.write_bytes(path.read_bytes()[:-20])
  with pytest.raises(errors.InputError, match="cannot be read as a trace"):
    zsgen.run(small, tmp_path, ["order"])
  path.unlink()
  zsgen.run(small, tmp_path, ["order"])
  assert path.is_file()


def test_parts_have_no_trace(small):
  part = {"arrangement": "random", "trace_every": 2}
  small.order = {"arrangement": "reverse", "parts": (part,)}
  with pytest.raises(errors.InputError, match=r"parts\[0\].trace_every is 2"):
    zsgen.run(small, stages=["order"])


def test_a_trace_in_a_bucket(small, bucket_url, tmp_path, monkeypatch, capsys):
  small.order.trace_every = 4
  order = zsgen.run(small, bucket_url, ["order"]).order
  bucket_runs.elsewhere(monkeypatch, tmp_path)
  with monkeypatch.context() as patch:
    patch.delattr(trace, "make")
    copy = zsgen.run(small, bucket_url, ["order"]).order
  assert copy != order
  copied = trace.find(order_lib.Order.load(copy), "heldout")
  assert copied.steps.tolist() == [4, 8, 10]
  capsys.readouterr()
  assert verify_command.main([bucket_url]) == 0
  assert "trace-heldout.parquet: verified" in capsys.readouterr().out
