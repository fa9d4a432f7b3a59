"""Pages on papers' experiments, and pages of many runs, in a real browser."""

import csv
import pathlib

import pytest

from tests.helpers import browser, configs, written_runs
from tests.rewrites import rewriting
from zsgen.core import plugins
from zsgen.reports import __main__ as reports
from zsgen.reports import arrangement, front_page
from zsgen.reports.arrangement import published
from zsgen.rewrites import PLUGINS
from zsgen.rewrites import report as rewrites
from zsgen.rewrites.report import figures as rewrites_figures

pytestmark = pytest.mark.slow
plugins.load(PLUGINS)

STEM = "settings_smoke-0123456789"
CHARTS = f"[data-figure='{STEM}/charts']"
HELDOUT = f"[data-figure='{STEM}/heldout']"
ACCURACY = "[data-figure='rewrites/charts']"
ARMS = ("NFT", "FFT", "RT", "MIN", "MAX")
# Rules, and the accuracy of the first of three seeds.
STEP = {10: 0.0, 100: 0.02, 300: 0.9, 1000: 0.96}
MANY = 20


@pytest.fixture(scope="module")
def workdir(tmp_path_factory) -> pathlib.Path:
  """Returns the workdir of all runs but those of `many`."""
  return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def settings(workdir) -> pathlib.Path:
  """Returns the page of an experiment with five arms of two seeds."""
  write_run = written_runs.run_writer(workdir, configs.small())
  write_sweep = written_runs.sweep_writer(workdir, write_run)
  directory = write_sweep("arrangement_settings_smoke", arms=ARMS)
  return arrangement.write([directory])[0]


@pytest.fixture(scope="module")
def accuracy(workdir) -> pathlib.Path:
  """Returns the page of runs on string rewrites, with three seeds."""
  paths = [
      rewriting.write(workdir, value + 0.01 * seed, rules=rules, seed=seed)
      for seed in range(3)
      for rules, value in STEP.items()
  ]
  return rewrites.write(paths)[0]


@pytest.fixture(scope="module")
def front(settings, accuracy, workdir) -> pathlib.Path:
  """Returns the front page of both."""
  return front_page.write([workdir])[0]


@pytest.fixture(scope="module")
def many(tmp_path_factory) -> pathlib.Path:
  """Returns a page that compares twenty runs with long names."""
  root, paths = tmp_path_factory.mktemp("many"), []
  write_run = written_runs.run_writer(root, configs.small())
  for i in range(MANY):
    name = f"{'a_long_name_of_an_order_' * 2}{i:02d}"
    run = write_run(lambda step, _, i=i: (40 - i) / (1 + step), name=name)
    (run.path / "result.json").write_text("{}")
    paths.append(str(run.path))
  out = root / "many.html"
  assert reports.main(["compare", *paths, f"--out={out}"]) == 0
  return out


def _plots(driver, slot: str) -> list:
  """Returns the plots of a figure: the own one, and published ones beside."""
  return browser.find_all(driver, f"{slot} .plots > div")


def _names(driver, slot: str) -> list[str]:
  """Returns the names of the lines below a figure."""
  cells = browser.find_all(driver, f"{slot} .readout td:first-child")
  return [cell.text for cell in cells]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1200])
def test_pages_fit_and_have_no_errors(
    driver, settings, accuracy, front, many, width, scheme
):
  for page in (settings, accuracy, front, many):
    browser.show(driver, page, width, scheme)
    assert not browser.errors(driver), page
    content, window = browser.widths(driver)
    assert content <= window <= width, page
    for item in browser.find_all(driver, "[data-view=filter]"):
      assert "rows" in item.text
    for box in browser.find_all(driver, ".list"):
      # On narrow screens the tables of words are lists, which need no scrolling.
      inner = driver.execute_script("return arguments[0].scrollWidth", box)
      assert width > 480 or inner <= width


def test_published_curves_are_beside_own_curves(driver, settings):
  browser.show(driver, settings)
  own, other = _plots(driver, CHARTS)
  headings = [browser.find(plot, "h4").text for plot in (own, other)]
  assert headings == ["settings, smoke", "2406.11721: tmt_five_settings"]
  last = f"{CHARTS} .plots > div:nth-child(1)"
  assert browser.readout(driver, last)["MAX, mean of 2 seeds"] == (
      pytest.approx(1 / 11, rel=1e-4)  # (4 + n) / 11 of 4 + n.
  )
  values = browser.readout(driver, f"{CHARTS} .plots > div:nth-child(2)")
  expected = published.relative("tmt_five_settings")
  last_step = max(curve.steps[-1] for curve in expected.values())
  known = {
      arm: curve.values[-1]
      for arm, curve in expected.items()
      if curve.steps[-1] == last_step
  }
  assert {arm: values[arm] for arm in known} == pytest.approx(known, 1e-4)
  browser.choose(driver, "Published curves", "in the same axes", CHARTS)
  assert len(_plots(driver, CHARTS)) == 1
  assert {f"{arm}, mean of 2 seeds" for arm in ARMS} | {
      f"{arm}, 2406.11721: tmt_five_settings" for arm in ARMS
  } == set(_names(driver, CHARTS))
  # Published lines end before the last step, and have the value nearest to it.
  label = "MAX, 2406.11721: tmt_five_settings"
  assert browser.readout(driver, CHARTS)[label] == pytest.approx(
      expected["MAX"].values[-1], 1e-4
  )
  assert "at 0.99444" in browser.find(driver, f"{CHARTS} .readout").text
  browser.choose(driver, "Published curves", "not shown", CHARTS)
  assert len(browser.readout(driver, CHARTS)) == len(ARMS)
  assert not browser.errors(driver)


def test_keys_and_labels_of_charts(driver, settings):
  keys = pytest.importorskip("selenium.webdriver").Keys
  browser.show(driver, settings)
  plot = browser.find(driver, f"{CHARTS} .plot")
  label = plot.get_attribute("aria-label")
  assert "against share of the steps. Arrow keys" in label
  plot.send_keys(keys.HOME)
  words = plot.get_attribute("aria-valuetext")
  assert words.startswith("share of the steps 0: FFT, mean of 2 seeds 1")
  plot.send_keys(keys.ARROW_RIGHT)
  assert plot.get_attribute("aria-valuetext").startswith(
      "share of the steps 0.1: FFT, mean of 2 seeds 0.5 "
  )
  # Runs fall from 4 + their number to a part of 11 of it.
  browser.toggle(driver, "seed 1", ".bar")
  browser.choose(driver, "Show", "differences to RT", HELDOUT)
  values = browser.readout(driver, HELDOUT)
  assert set(values) == set(ARMS) - {"RT"}
  assert values["NFT"] == pytest.approx(-4 / 11, rel=1e-4)


def test_the_published_curves_are_saved_too(driver, settings):
  browser.show(driver, settings)
  for button in browser.find_all(driver, f"{CHARTS} button"):
    if button.text == "Download CSV":
      button.click()
  driver.execute_async_script("setTimeout(arguments[0], 1000)")
  text = (driver.downloads / "loss.csv").read_text()
  rows = list(csv.DictReader(text.splitlines()))
  kinds = [row["show"] for row in rows]
  assert kinds.count("value") == len(ARMS) * 11
  curve = published.relative("tmt_five_settings")["MAX"]
  saved = [
      float(row["value"] or "nan")
      for row in rows
      if row["show"] == "published" and row["line"].startswith("MAX")
  ]
  assert saved == pytest.approx(curve.values.tolist(), rel=1e-4, nan_ok=True)


def test_accuracy_has_the_numbers_of_the_tables(driver, accuracy):
  keys = pytest.importorskip("selenium.webdriver").Keys
  browser.show(driver, accuracy)
  plot = browser.find(driver, f"{ACCURACY} .plot")
  for rules, value in STEP.items():
    plot.send_keys(keys.HOME if rules == 10 else keys.ARROW_RIGHT)
    words = plot.get_attribute("aria-valuetext")
    assert words.startswith(f"distinct training rules {rules}: all runs, mean")
    own = browser.readout(driver, f"{ACCURACY} .plots > div:nth-child(1)")
    assert own["all runs, mean of 3 seeds"] == pytest.approx(value + 0.01)
  other = browser.find_all(driver, f"{ACCURACY} .plot")[1]
  other.send_keys(keys.HOME)
  for _ in range(6):
    other.send_keys(keys.ARROW_RIGHT)
  shown = browser.readout(driver, f"{ACCURACY} .plots > div:nth-child(2)")
  assert list(shown.values()) == [rewrites_figures.PUBLISHED[400]] == [0.13]


def test_long_names_are_whole_where_a_page_is_narrow(driver, accuracy, many):
  browser.show(driver, accuracy, 390)
  caption = browser.find(driver, f"{ACCURACY} .caption")
  assert caption.text == "exact match (share), unseen rules"
  browser.show(driver, accuracy, 1200)
  assert not browser.find(driver, f"{ACCURACY} .caption").text
  browser.show(driver, many, 390)
  cell = browser.find(driver, "[data-view=heldout] .readout td")
  sizes = "return [arguments[0].scrollWidth, arguments[0].clientWidth]"
  content, room = driver.execute_script(sizes, cell)
  assert content <= room


def test_targets_are_searched(driver, front):
  browser.show(driver, front)
  filters = browser.find_all(driver, "[data-view=filter]")
  assert len(filters) == 2  # A table for each page.
  browser.find(driver, "[data-view=filter] input").send_keys("R13")
  (row,) = [
      row
      for row in browser.find_all(
          driver, "section:has(> [data-view=filter]) tbody tr"
      )
      if row.is_displayed() and row.text.startswith("R")
  ]
  assert row.text.startswith("R13 (smoke)")
  browser.choose(driver, "State", "not run", "[data-view=filter]")
  assert not row.is_displayed()
  assert "0 of " in filters[0].text


def test_many_names_are_searched_sorted_and_scrolled(driver, many):
  browser.show(driver, many)
  box = browser.find(driver, ".bar .legend")
  sizes = driver.execute_script(
      "return [arguments[0].scrollHeight, arguments[0].clientHeight]", box
  )
  assert sizes[0] > sizes[1] and sizes[1] < 200
  assert len(browser.find_all(box, "label")) == MANY
  browser.choose(driver, "Sort by", "final value", ".bar")
  names = [
      label.get_attribute("title") for label in browser.find_all(box, "label")
  ]
  assert [name[-2:] for name in names] == [f"{i:02d}" for i in range(MANY)][
      ::-1
  ]
  # Below the figure, lines are in the sequence of their values.
  shown = browser.readout(driver, "[data-view=heldout]")
  assert list(shown.values()) == sorted(shown.values(), reverse=True)
  search = browser.find(driver, ".bar input[type=search]")
  search.send_keys("_1")
  assert len(browser.find_all(box, "label")) == 10
  for button in browser.find_all(driver, ".bar button"):
    if button.text == "none":
      button.click()
  shown = browser.readout(driver, "[data-view=heldout]")
  assert len(shown) == 10 and not any("_1" in name for name in shown)
  assert "10 of 20 match; 10 are drawn" in browser.find(driver, ".bar").text
  assert not browser.errors(driver)


def test_pages_are_printed_with_their_figures(driver, settings):
  browser.show(driver, settings, scheme="dark")
  driver.execute_script("dispatchEvent(new Event('beforeprint'))")
  theme = driver.execute_script("return document.documentElement.dataset.theme")
  assert theme == "light"
  assert driver.execute_cdp_cmd("Page.printToPDF", {})["data"]
