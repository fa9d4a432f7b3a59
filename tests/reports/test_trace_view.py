"""The nine measures on a run's page."""

import numpy as np
import pytest

from tests.helpers import page_data
from zsgen.core import errors
from zsgen.data import store as store_lib
from zsgen.orders import order as order_lib
from zsgen.orders import trace
from zsgen.reports import run_report, trace_view

_TITLE = "Distance of all examples trained on so far"


@pytest.fixture
def run(write_run):
  return write_run()


@pytest.fixture
def store(run):
  return store_lib.open_store(run.store)


@pytest.fixture
def order(run, store):
  return order_lib.Order.load(run.order, store)


def test_the_page_draws_an_existing_trace(run, store, order):
  before = run_report.write(run, store, order).read_text("utf-8")
  assert _TITLE not in before
  expected = trace.make(order, store, batch_size=4, every=2)
  page = run_report.write(run, store, order).read_text("utf-8")
  assert _TITLE in page and "Smaller is nearer" in page
  assert "ngram vectors of prompt+answer" in page
  paths = [
      {metric["path"] for metric in page_data.read(text)["metrics"]}
      for text in (before, page)
  ]
  assert len(paths[1] - paths[0]) == len(trace.MEASURES)
  curve = trace_view.distances(run, order)["bigram KL (nats), to heldout"]
  np.testing.assert_array_equal(curve.values, expected.means("bigram_kl"))


@pytest.mark.parametrize("batch_size, every", [(4, 1), (3, 2), (40, 1)])
def test_curves_use_the_steps_of_the_run(run, store, order, batch_size, every):
  actual = trace.make(order, store, batch_size, every)
  by_title = trace_view.distances(run, order)
  assert len(by_title) == 9
  for measure in trace.MEASURES:
    curve = by_title[f"{trace_view.title(measure)}, to heldout"]
    np.testing.assert_allclose(curve.steps * 4, actual.examples)
    assert curve.steps[-1] == run.steps
    np.testing.assert_array_equal(curve.values, actual.means(measure))


def test_a_trace_of_another_order_is_refused(run, store, order, write_run):
  other_run = write_run(name="other", order={"arrangement": "random"})
  other_trace = trace.make(order_lib.Order.load(other_run.order), store)
  path = trace.path_of(order.path, "heldout")
  path.write_bytes(other_trace.path.read_bytes())
  with pytest.raises(errors.InputError, match="of another order"):
    run_report.write(run, store, order)
