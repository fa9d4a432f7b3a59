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
def test_panels_use_the_steps_of_the_run(run, store, order, batch_size, every):
  actual = trace.make(order, store, batch_size, every)
  rows = trace_view.panels(run, "heldout", actual)
  assert [len(row) for row in rows] == [2] * 5
  loss, *measures = [panel for row in rows for panel in row]
  np.testing.assert_array_equal(loss.lines[0].x, np.arange(11))
  assert len({panel.title for panel in measures}) == 9
  for panel in measures:
    (line,) = panel.lines
    np.testing.assert_allclose(line.x * 4, actual.examples)
    assert line.x[-1] == run.steps
  plotted = {tuple(panel.lines[0].values[0]) for panel in measures}
  assert plotted == {tuple(actual.means(name)) for name in trace.MEASURES}


def test_a_trace_of_another_order_is_refused(run, store, order, write_run):
  other_run = write_run(name="other", order={"arrangement": "random"})
  other_trace = trace.make(order_lib.Order.load(other_run.order), store)
  path = trace.path_of(order.path, "heldout")
  path.write_bytes(other_trace.path.read_bytes())
  with pytest.raises(errors.InputError, match="of another order"):
    run_report.write(run, store, order)
