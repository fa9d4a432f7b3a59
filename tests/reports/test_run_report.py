"""The result, the closing table and the page of a run."""

import io
import json

import pytest
import rich.console

from tests.helpers import components, page_data
from zsgen.core import registry
from zsgen.data import store as store_lib
from zsgen.data.prompts import requests
from zsgen.orders import order as order_lib
from zsgen.reports import origins, run_report


def _page(run):
  store = store_lib.open_store(run.store)
  order = order_lib.Order.load(run.order, store)
  path = run_report.write(run, store, order)
  assert path == run.path / "report.html"
  return path.read_text("utf-8")


def test_result_holds_the_measures(write_run):
  run = write_run(lambda step, index: 11.0 - step)
  result = run_report.result(run.path)
  assert json.loads(json.dumps(result)) == result
  assert result["steps"] == 10
  loss = result["evals"]["heldout"]["loss"]
  assert loss.pop("interval") == [1, 1]
  assert loss == pytest.approx(
      {"first": 11, "first_tenth": 10, "mean": 5.5, "final": 1, "drop": 10 / 11}
  )
  assert result["evals"]["heldout"]["improved"] == 1.0
  assert result["targets"] == {}


def test_targets_are_checked(write_run):
  run = write_run(
      lambda step, index: 11.0 - step,
      targets={
          "learns": {"metric": "heldout/loss", "below": 1.5},
          "early": {"measure": "first_tenth", "below": 10.0},
          "typo": {"metric": "heldout/los", "below": 1.0},
          "between": {"above": 0.5, "below": 1.5},
          "above": {"above": 1.0},
      },
  )
  targets = run_report.result(run.path)["targets"]
  assert {name: target["met"] for name, target in targets.items()} == {
      "learns": True,
      "early": False,
      "typo": False,
      "between": True,
      "above": False,
  }
  assert targets["early"]["value"] == 10.0
  assert 'Did you mean "heldout/loss"?' in targets["typo"]["note"]
  page = _page(run)
  assert "above 0.5 and below 1.5" in page
  assert "heldout/loss, final (nats)" in page
  assert "not met" in page and "no such metric" in page


def test_the_closing_table(write_run):
  run = write_run(targets={"any": {"below": 5.0}})
  out = io.StringIO()
  rich.console.Console(file=out, width=100).print(*run_report.tables(run))
  assert "heldout loss        nats" in out.getvalue()
  assert "heldout over tasks  nats" in out.getvalue()
  assert "Targets met: 1 of 1." in out.getvalue()
  assert "95% interval" in out.getvalue()
  assert "majority" not in out.getvalue()  # A loss has no baseline.


def test_the_page_is_self_contained(write_run):
  run = write_run()
  page = _page(run)
  views = ("selection", "heldout", "examples", "order", "training")
  for view in views:
    assert page.count(f'data-view="{view}"') == 1
  assert "The MIT License" in page
  assert page.count("<script") == 3 and page.count("sha256-") == 3
  text = page_data.without_scripts(page)
  assert "http:" not in text and "https:" not in text and "src=" not in text
  assert f"python -m zsgen.orders verify {run.path}" in page
  assert "train.learning_rate" in page and "0.003" in page
  assert "evaluations took 52% of the time" in page
  assert not list(run.path.glob(".report*"))
  for task in run.tasks("heldout"):
    assert task in page


def test_answers_in_the_order_make_an_oracle(write_run):
  def oracle(**order):
    run = write_run(
        name="-".join(order.values()).replace("+", "-"), order=order
    )
    return bool(origins.oracle(order_lib.Order.load(run.order)))

  assert oracle(arrangement="tmt", text="prompt+answer")
  assert not oracle(arrangement="tmt", text="prompt")
  # Similarity with answers is shown, but random does not look at it.
  assert not oracle(arrangement="random", text="prompt+answer")


def test_text_from_data_is_escaped(write_run, monkeypatch):
  evil = "<script>alert(1)</script>"
  components.isolate(monkeypatch)

  @registry.prompt("evil")
  def build_evil(data, tokenizer, counts):
    del data, tokenizer, counts
    return lambda example: evil + requests.plain(example)

  page = _page(write_run(prompt="evil"))
  assert evil not in page
  assert "&lt;script&gt;" in page
  prompts = page_data.read(page)["examples"][0]["prompts"]
  assert all(prompt.startswith(evil) for prompt in prompts)


def test_dropped_answers_are_reported(write_run):
  # The longest prompts leave no room for an answer.
  run = write_run(max_length=100)
  section = origins.prepared(store_lib.open_store(run.store))
  assert "Tasks that lost examples" in section
  run = write_run(name="whole")
  section = origins.prepared(store_lib.open_store(run.store))
  assert "Tasks that lost examples" not in section
