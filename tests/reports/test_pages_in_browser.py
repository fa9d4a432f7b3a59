"""Pages in a real browser: figures react, values are those of the data."""

import csv
import json
import pathlib

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.helpers import browser, configs
from zsgen.data import store as store_lib
from zsgen.orders import order as order_lib
from zsgen.reports import __main__ as reports
from zsgen.reports import curves, run_report

pytestmark = pytest.mark.slow

ATTACK = "<img src=x onerror=hacked()></script><script>hacked()</script>"
HELDOUT = "[data-view=heldout]"


@pytest.fixture(scope="module")
def runs(workdirs) -> dict[tuple[str, int], curves.RunRecords]:
  """Returns two orders of two seeds each."""
  opened = {}
  for arrangement in ("random", "tmt"):
    for seed in (0, 1):
      config = configs.small()
      config.name, config.seed = arrangement, seed
      config.order.arrangement = arrangement
      workdir = workdirs.get(config, "train")
      (path,) = workdir.glob("runs/*")
      opened[arrangement, seed] = curves.open_run(path)
  return opened


@pytest.fixture(scope="module")
def comparison(runs, tmp_path_factory) -> pathlib.Path:
  """Returns a page that compares them."""
  out = tmp_path_factory.mktemp("page") / "comparison.html"
  paths = [str(run.path) for run in runs.values()]
  assert reports.main(["compare", *paths, f"--out={out}"]) == 0
  return out


@pytest.fixture(scope="module")
def hostile(workdirs, tmp_path_factory) -> pathlib.Path:
  """Returns the page of a run whose tasks and texts are attacks."""
  file = tmp_path_factory.mktemp("rows") / "rows.jsonl"
  rows = [
      {
          "task": f"{ATTACK}{split}{n}",
          "input": f"{i} {ATTACK}",
          "target": ATTACK,
      }
      | {"split": split}
      for split in ("train", "test")
      for n in range(3)
      for i in range(4)
  ]
  file.write_text("".join(json.dumps(row) + "\n" for row in rows))
  config = configs.small()
  config.data.source = "table"
  config.data.path = str(file)
  config.data.fields.split = "split"
  config.data.heldout = {"heldout": {"split": "test"}}
  config.order.budget = 12
  workdir = workdirs.get(config, "train", "report")
  (page,) = workdir.glob("runs/*/report.html")
  return page


@pytest.fixture(scope="module")
def evaluations(workdirs, tmp_path_factory) -> pathlib.Path:
  """Returns a page on an evaluation without training."""
  workdir = workdirs.get(configs.small(), "train", "evaluate")
  out = tmp_path_factory.mktemp("evaluations") / "page.html"
  arguments = ["compare", f"{workdir}/evaluations", f"--out={out}"]
  assert reports.main(arguments) == 0
  return out


def _step(driver) -> int:
  """Returns the step whose values are below the figure."""
  words = browser.find(driver, f"{HELDOUT} .plot + .note").text
  return int(words.removeprefix("step "))


def _pixels(driver) -> str:
  return driver.execute_script(
      f"return document.querySelector('{HELDOUT} canvas').toDataURL()"
  )


def _mean(runs, order: str, path: str, step: int) -> float:
  """Returns the mean over seeds of a metric at a step."""
  values = []
  for (name, _), run in runs.items():
    if name == order:
      curve = run.metrics[path]
      values.append(curve.values[curve.steps.tolist().index(step)])
  return float(np.mean(values))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1200])
@pytest.mark.parametrize("page", ["comparison", "hostile", "evaluations"])
def test_pages_fit_and_have_no_errors(driver, request, page, width, scheme):
  browser.show(driver, request.getfixturevalue(page), width, scheme)
  assert not browser.errors(driver)
  content, window = browser.widths(driver)
  assert content <= window <= width
  paper = driver.execute_script(
      "return getComputedStyle(document.body).backgroundColor"
  )
  is_dark = sum(map(int, paper.strip("rgb()").split(","))) < 100
  assert is_dark == (scheme == "dark")
  least = 2 if page == "evaluations" else 4
  assert len(browser.find_all(driver, "canvas")) >= least
  for figure in browser.find_all(driver, ".composition"):
    # It is not scaled down, so that its letters can be read.
    size = driver.execute_script(
        "return arguments[0].viewBox.baseVal.width", figure
    )
    assert figure.size["width"] >= 0.98 * size
  for item in browser.find_all(driver, "[data-view]"):
    assert item.get_attribute("data-view") == "selection" or item.text


def test_toggles_change_the_figure(driver, comparison, runs):
  browser.show(driver, comparison)
  before = _pixels(driver)
  both = {"random, mean of 2 seeds", "tmt, mean of 2 seeds"}
  assert set(browser.readout(driver, HELDOUT)) == both
  browser.toggle(driver, "tmt", ".bar")
  assert set(browser.readout(driver, HELDOUT)) == {"random, mean of 2 seeds"}
  assert _pixels(driver) != before
  browser.toggle(driver, "tmt", ".bar")
  assert _pixels(driver) == before
  browser.toggle(driver, "seed 1", ".bar")
  last = runs["random", 0].metrics["heldout/loss"].values[-1]
  assert browser.readout(driver, HELDOUT)["random"] == pytest.approx(
      last, rel=1e-5
  )
  browser.toggle(driver, "each seed", HELDOUT)
  assert set(browser.readout(driver, HELDOUT)) == {
      "random, seed 0",
      "tmt, seed 0",
  }
  before = _pixels(driver)
  browser.toggle(driver, "log value", HELDOUT)
  assert _pixels(driver) != before
  for button in browser.find_all(driver, ".bar button"):
    if button.text == "none":
      button.click()
  assert not browser.readout(driver, HELDOUT)
  assert not browser.errors(driver)


def test_hover_and_keys_show_the_values_of_the_data(driver, comparison, runs):
  action_chains = pytest.importorskip("selenium.webdriver").ActionChains
  keys = pytest.importorskip("selenium.webdriver").Keys
  browser.show(driver, comparison)
  plot = browser.find(driver, f"{HELDOUT} .plot")
  over = browser.find(driver, f"{HELDOUT} .u-over")
  assert _step(driver) == 10  # The last one.
  steps = set()
  for share in (-0.45, -0.1, 0.2):
    offset = int(share * over.size["width"])
    action_chains(driver).move_to_element_with_offset(over, offset, 0).perform()
    step = _step(driver)
    steps.add(step)
    for order in ("random", "tmt"):
      expected = _mean(runs, order, "heldout/loss", step)
      value = browser.readout(driver, HELDOUT)[f"{order}, mean of 2 seeds"]
      assert value == pytest.approx(expected, rel=1e-5)
  assert len(steps) == 3
  plot.send_keys(keys.HOME)
  assert _step(driver) == 0
  plot.send_keys(keys.ARROW_RIGHT)
  assert _step(driver) == 4
  words = plot.get_attribute("aria-valuetext")
  assert words.startswith("step 4: random, mean of 2 seeds ")
  assert "Arrow keys" in plot.get_attribute("aria-label")
  assert not browser.errors(driver)


def test_differences_are_those_of_the_tables(driver, comparison):
  browser.show(driver, comparison)
  browser.choose(driver, "Show", "differences to random", HELDOUT)
  table = pq.read_table(comparison.with_name("comparison-differences.parquet"))
  last = [row["difference"] for row in table.to_pylist() if row["step"] == 10]
  assert len(last) == 2
  expected = {"tmt, mean of 2 seeds": pytest.approx(np.mean(last), rel=1e-4)}
  assert browser.readout(driver, HELDOUT) == expected


def test_tasks_are_searched_and_drawn(driver, comparison, runs):
  browser.show(driver, comparison)
  tasks = f"{HELDOUT} .tasks"
  task = next(iter(runs["random", 0].tasks("heldout")))
  browser.find(driver, f"{HELDOUT} input[type=search]").send_keys(task)
  (row,) = browser.find_all(driver, f"{tasks} tbody tr")
  assert task in row.text
  browser.find(row, "input").click()
  expected = _mean(runs, "tmt", f"heldout/{task}/loss", 10)
  value = browser.readout(driver, HELDOUT)["tmt, mean of 2 seeds"]
  assert value == pytest.approx(expected, rel=1e-5)
  # The keyboard stays where it was.
  focused = driver.switch_to.active_element
  assert focused.get_attribute("aria-label") == f"draw {task}"


def test_examples_have_their_texts_and_losses(driver, comparison, runs):
  browser.show(driver, comparison)
  slot = "[data-view=examples]"
  browser.choose(driver, "Evaluation", "heldout, seed 1", slot)
  run = runs["tmt", 1]
  evaluation = run.evaluation("heldout")
  options = browser.find_all(driver, f"{slot} select.examples option")
  assert len(options) == len(evaluation.ids)
  options[3].click()
  prompt, answer = store_lib.open_store(run.store).texts(evaluation.ids)[3]
  texts = [
      pre.get_attribute("textContent")
      for pre in browser.find_all(driver, f"{slot} pre")
  ]
  assert texts[:2] == [prompt, answer]
  last = evaluation.losses[-1, 3]
  assert browser.readout(driver, slot)["tmt, seed 1"] == pytest.approx(
      last, rel=1e-5
  )
  assert len(browser.find_all(driver, f"{slot} details")) == 5
  search = browser.find(driver, f"{slot} input[type=search]")
  search.send_keys("no text has this")
  assert "No example matches" in browser.find(driver, slot).text


def test_written_answers_are_shown_by_step(driver, write_run):
  run = write_run()
  store = store_lib.open_store(run.store)
  ids = run.evaluation("heldout").ids.tolist()
  for step in (0, 10):
    file = run.path / "evals" / "heldout" / f"predictions-{step}.jsonl"
    lines = [
        json.dumps(
            {"id": i, "prediction": f"{ATTACK} at {step}: {i}", "loss": 0.5}
        )
        for i in ids
    ]
    file.write_text("\n".join(lines))
  order = order_lib.Order.load(run.order, store)
  browser.show(driver, run_report.write(run, store, order))
  slot = "[data-view=examples]"
  browser.find_all(driver, f"{slot} select.examples option")[2].click()
  rows = [
      [cell.text for cell in browser.find_all(row, "td")]
      for row in browser.find_all(driver, f"{slot} table:not(.readout) tr")
  ]
  assert rows[1:] == [
      [str(step), f"{ATTACK} at {step}: {ids[2]}"] for step in (0, 10)
  ]
  assert not browser.errors(driver)


def test_the_figure_is_downloaded_as_csv(driver, comparison, runs):
  browser.show(driver, comparison)
  for button in browser.find_all(driver, f"{HELDOUT} button"):
    if button.text == "Download CSV":
      button.click()
  path = driver.downloads / "heldout-loss.csv"
  script = "setTimeout(arguments[0], 1000)"
  driver.execute_async_script(script)
  rows = list(csv.DictReader(path.read_text().splitlines()))
  assert [row["step"] for row in rows] == ["0", "4", "8", "10"] * 2
  for row in rows:
    order = row["line"].partition(",")[0]
    expected = _mean(runs, order, "heldout/loss", int(row["step"]))
    assert float(row["value"]) == pytest.approx(expected, rel=1e-5)
    assert float(row["low"]) <= float(row["value"]) <= float(row["high"])


def test_configs_are_compared(driver, comparison):
  browser.show(driver, comparison)
  lines = browser.find(driver, "[data-view=configs] pre").text.splitlines()
  assert '- order.arrangement: "random"' in lines
  assert '+ order.arrangement: "tmt"' in lines
  assert not any("learning_rate" in line for line in lines)


def test_attacks_are_text(driver, hostile):
  browser.show(driver, hostile)
  assert not browser.errors(driver)
  assert driver.execute_script("return typeof hacked") == "undefined"
  assert not browser.find_all(driver, "img")
  assert len(browser.find_all(driver, "script")) == 3
  text = browser.find(driver, "[data-view=examples]").text
  assert ATTACK in text


def test_a_printed_page_is_light(driver, comparison):
  browser.show(driver, comparison, scheme="dark")
  theme = "return document.documentElement.dataset.theme || ''"
  driver.execute_script("dispatchEvent(new Event('beforeprint'))")
  assert driver.execute_script(theme) == "light"
  driver.execute_script("dispatchEvent(new Event('afterprint'))")
  assert driver.execute_script(theme) == ""
  assert driver.execute_cdp_cmd("Page.printToPDF", {})["data"]
