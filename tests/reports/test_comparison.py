"""Orders compared over seeds."""

import io
import json

import pytest
import rich.console

from zsgen.core import errors
from zsgen.reports import comparison, comparison_report

# What an order adds to the loss of its seed.
ADDED = {"tmt_nearest": -0.25, "random": 0.0}
OPTIONS = {
    "tmt_nearest": {"arrangement": "tmt"},
    "random": {"arrangement": "random"},
}


def _points(write_run, seeds=(0, 1)):
  points = []
  for order, options in OPTIONS.items():
    for seed in seeds:
      # Seeds lie far apart, so that only paired differences are small.
      run = write_run(
          lambda step, index, base=ADDED[order] + 10 * seed: base + 11 - step,
          seed=seed,
          order=options,
          name=order,
      )
      points.append(comparison.Point(order, seed, run.path))
  return points


def test_the_comparison(write_run, tmp_path):
  points = _points(write_run)
  directory = tmp_path / "sweeps" / "orders"
  tables = comparison_report.write(directory, points, missing=["random-s2"])
  assert {path.name for path in directory.iterdir()} == {
      *(f"comparison.{kind}" for kind in ("json", "md", "html", "png")),
      *(
          f"comparison-{table}.{kind}"
          for table in ("curves", "differences")
          for kind in ("csv", "parquet")
      ),
  }
  actual = json.loads((directory / "comparison.json").read_text())
  assert actual["missing"] == ["random-s2"]
  assert actual["notes"] == []
  assert actual["evals"]["heldout"] == dict(
      name="loss", unit="nats", better="lower", label=""
  )
  nearest = actual["orders"]["tmt_nearest"]
  final = nearest["evals"]["heldout"]["final"]
  assert final["values"] == {"0": 0.75, "1": 10.75}
  assert final["spread"] == dict(mean=5.75, low=0.75, high=10.75, seeds=2)
  assert final["difference"] == dict(
      mean=-0.25,
      low=-0.25,
      high=-0.25,
      seeds=2,
      interval=None,
      detectable=None,
      over_examples=[-0.25, -0.25],
  )
  assert nearest["whole"]["0"]["examples"] == 40
  assert nearest["whole"]["0"]["rounds"] >= 1
  assert nearest["first_tenth"]["0"]["examples"] == 4
  assert actual["orders"]["random"]["whole"]["0"]["rounds"] == 0

  text = (directory / "comparison.md").read_text("utf-8")
  assert "| 5.750 [0.750, 10.750] | -0.250 |" in text
  assert "Fewer than three seeds" in text
  assert "| tmt_nearest | [-0.250, -0.250] |" in text
  assert "**heldout loss (nats)**" in text and "below 0 is better" in text
  assert "Not finished: random-s2." in text
  assert "incomplete</span>" in (directory / "comparison.html").read_text()
  console = rich.console.Console(file=io.StringIO(), width=150)
  console.print(*tables)
  assert "Examples of the first tenth" in console.file.getvalue()

  before = (directory / "comparison.png").read_bytes()
  comparison_report.write(directory, points)
  assert (directory / "comparison.png").read_bytes() == before


def test_three_seeds_have_an_interval(write_run, tmp_path):
  points = _points(write_run, seeds=(0, 1, 2))
  summary = comparison.summary(comparison.open_points(points))
  final = summary["orders"]["tmt_nearest"]["evals"]["heldout"]["final"]
  # The same difference in every seed.
  assert final["difference"]["interval"] == pytest.approx((-0.25, -0.25))
  assert final["difference"]["detectable"] == pytest.approx(0)
  comparison_report.write(tmp_path, points)
  text = (tmp_path / "comparison.md").read_text("utf-8")
  assert "| -0.250 ± 0.000 |" in text and "Fewer" not in text


def test_without_random_the_first_order_is_the_reference(write_run):
  points = _points(write_run, seeds=(0,))[:1]
  actual = comparison.open_points(points)
  assert actual.reference == "tmt_nearest"
  comparison_report.figure(actual)


def test_incomparable_runs_are_refused(write_run):
  with pytest.raises(errors.InputError, match="no finished run"):
    comparison.open_points([])
  points = _points(write_run, seeds=(0,))
  with pytest.raises(errors.InputError, match="two runs of seed 0"):
    comparison.open_points([*points, points[0]])
  with pytest.raises(errors.InputError, match=r"'rendom' is unknown\. Did you"):
    comparison.open_points(points, "rendom")


def test_runs_of_other_lengths_are_compared_on_what_they_share(
    write_run, tmp_path
):
  points = _points(write_run, seeds=(0,))
  short_run = write_run(
      lambda step, index: 12 - step, name="short", order={"budget": 20}
  )
  points.append(comparison.Point("short", 0, short_run.path))
  comparison_report.write(tmp_path / "out", points)
  actual = json.loads((tmp_path / "out" / "comparison.json").read_text())
  lengths, steps = actual["notes"]
  assert lengths.startswith("short: it has 5 steps, and the reference 10, so")
  assert steps == (
      "short, heldout: differences are at the 6 evaluation steps (of 6 and 11)"
      " that both have. (seed 0)"
  )
  measured = actual["orders"]["short"]["evals"]["heldout"]
  assert measured["final"]["values"] == {"0": 7.0}
  assert measured["final"]["difference"]["mean"] == 1.0  # At step 5 of both.
  page = (tmp_path / "out" / "comparison.html").read_text()
  assert "not shared</span>" in page and "order.budget" in page
