"""The page on the experiments of 2406.11721."""

import dataclasses
import json

import numpy as np
import pytest

from tests.helpers import page_data
from zsgen.core import errors, storage
from zsgen.data import store as store_lib
from zsgen.orders import order as order_lib
from zsgen.orders import trace
from zsgen.reports import __main__ as main_lib
from zsgen.reports import arrangement, notes
from zsgen.reports.arrangement import (
    charts,
    experiments,
    figures,
    published,
)

ARMS = ("fine", "coarse")


def test_a_sweep_becomes_a_page(write_sweep, tmp_path, capsys):
  directory = write_sweep()
  assert main_lib.main(["arrangement", str(directory)]) == 0
  out = tmp_path / "reports" / "arrangement"
  names = {path.name for path in out.iterdir()}
  stem = "granularity_smoke-0123456789"
  picture = f"{stem}-loss.png"
  assert names == {
      picture,
      f"{stem}-tasks.png",
      f"{stem}-differences.png",
      *(f"arrangement.{k}" for k in ("html", "md", "json")),
  }
  report = json.loads((out / "arrangement.json").read_text())
  (value,) = report["experiments"].values()
  assert (value["experiment"], value["tier"]) == ("granularity", "smoke")
  assert value["seeds"] == [0, 1] and value["reference"] == "coarse"
  states = {t["target"]: t["state"] for t in report["targets"]}
  assert states["R9 (smoke)"] == "pass"  # Arm fine has the lower numbers.
  assert states["R13"] == "not run"
  text = (out / "arrangement.md").read_text("utf-8")
  assert f"![granularity, smoke: held-out loss]({picture})" in text
  assert "bands go from the lowest to the highest" in text
  assert "R9 (smoke)" in capsys.readouterr().out
  _check_numbers(out / "arrangement.html", tmp_path)
  before = (out / picture).read_bytes()
  arrangement.write([tmp_path])
  assert (out / picture).read_bytes() == before


@pytest.mark.slow
def test_a_sweep_in_a_bucket_becomes_a_page(write_sweep, tmp_path, bucket_url):
  directory = write_sweep()
  local = tmp_path / "page"
  arrangement.write([directory], local)
  files = (file for file in tmp_path.glob("[os]*/**/*") if file.is_file())
  runs = (file for file in tmp_path.glob("runs/**/*") if file.is_file())
  storage.Bucket(bucket_url).upload(
      (file, file.relative_to(tmp_path).as_posix()) for file in (*files, *runs)
  )
  name = "arrangement.json"
  for path in ("", f"/{directory.relative_to(tmp_path)}"):
    arguments = ["arrangement", f"{bucket_url}{path}", "--out"]
    assert main_lib.main([*arguments, str(tmp_path / "copy")]) == 0
    assert (tmp_path / "copy" / name).read_text() == (local / name).read_text()


def _check_numbers(page, workdir):
  """Checks that the page has the numbers of the runs and of the figures."""
  text = page.read_text("utf-8")
  values = page_data.read(text)
  stem = "granularity_smoke-0123456789"
  assert f'data-figure="{stem}/charts"' in text
  metrics = {(m["group"], m["path"]): m for m in values["metrics"]}
  chart = metrics[f"{stem}/charts", "loss"]
  (experiment,), _ = experiments.find([workdir])
  number = values["metrics"].index(chart)
  lines = [line for line in values["curves"] if line["metric"] == number]
  assert len(lines) == 4  # Two arms with two seeds.
  for line in lines:
    member = values["members"][line["member"]]
    arm = values["labels"][member["label"]]
    run = experiment.arms[arm][member["seed"]]
    steps, losses = run.metrics["heldout/loss"]
    assert values["steps"][line["steps"]] == pytest.approx(steps / run.steps)
    assert line["values"] == pytest.approx(losses / losses[0], rel=1e-5)
  (figure,) = chart["published"]
  assert figure["title"] == "2406.11721: granularity"
  expected = published.relative("granularity")
  assert len(figure["lines"]) == len(expected) == 2
  for line in figure["lines"]:
    curve = expected[values["labels"][line["label"]]]
    steps = values["steps"][line["steps"]]
    assert steps == pytest.approx(curve.steps, rel=1e-5, abs=1e-6)
    assert line["values"] == [
        None if np.isnan(value) else pytest.approx(value, rel=1e-5)
        for value in curve.values
    ]
  loss = metrics[f"{stem}/heldout", "heldout/loss"]
  assert loss["reference"] == "coarse" and loss["headline"]
  differences = [
      item
      for item in values["differences"]
      if item["evaluation"] == loss["evaluation"]
  ]
  assert len(differences) == 2
  for item in differences:
    seed = values["members"][item["member"]]["seed"]
    assert values["members"][item["reference"]]["seed"] == seed
    fine, coarse = (
        experiment.arms[arm][seed].metrics["heldout/loss"].values
        for arm in ("fine", "coarse")
    )
    assert item["values"] == pytest.approx(fine - coarse, rel=1e-4, abs=1e-5)
  assert set(values["tasks"]) == {f"{stem}/heldout"}


@pytest.mark.slow
def test_a_page_of_several_experiments_has_the_curves_of_each(
    write_sweep, tmp_path
):
  names = ("granularity", "settings")
  for name in names:
    write_sweep(f"arrangement_{name}_smoke", seeds=(0,))
  page, _, _ = arrangement.write([tmp_path])
  values = page_data.read(page.read_text("utf-8"))
  for name in names:
    group = f"{name}_smoke-0123456789/heldout"
    numbers = [
        number
        for number, metric in enumerate(values["metrics"])
        if metric["group"] == group and metric["path"] == "heldout/loss"
    ]
    lines = [line for line in values["curves"] if line["metric"] in numbers]
    members = [values["members"][line["member"]] for line in lines]
    labels = {values["labels"][member["label"]] for member in members}
    assert labels == set(ARMS) and len(lines) == 2
    part = values["tasks"][group]
    members = [line["member"] for line in part["curves"]]
    assert members == [line["member"] for line in lines]
  # Both experiments have the published curves, whose labels are there too.
  assert {"fine", "coarse", "NFT", "MIN"} <= set(values["labels"])


def test_unfinished_points_and_other_sweeps_are_listed(write_sweep, tmp_path):
  directory = write_sweep()
  other_sweep = tmp_path / "sweeps" / "orders-0123456789"
  notes.write_sweep(other_sweep, notes.Sweep("orders", {}))
  for arm in ARMS:
    (directory / "points" / f"{arm}-s1.json").unlink()
  matches, notices = experiments.find([tmp_path])
  assert [e.seeds for e in matches] == [[0]]
  assert "coarse-s1" in notices[0] and "orders-" in notices[1]
  with pytest.raises(errors.InputError, match="its sweep is 'orders'"):
    experiments.find([other_sweep])


@pytest.mark.slow
def test_settings_are_compared_with_their_controls(write_sweep, tmp_path):
  write_sweep("arrangement_settings_smoke", (0, 1), ("NFT", "RT"))
  write_sweep("arrangement_controls_smoke", (1, 2), ("uniform",))
  arrangement.write([tmp_path])
  directory = tmp_path / "reports" / "arrangement"
  report = json.loads((directory / "arrangement.json").read_text())
  assert len(report["experiments"]) == 3
  name = "settings_and_controls_smoke-0123456789-0123456789"
  joined = report["experiments"][name]
  assert (joined["seeds"], joined["reference"]) == ([1], "uniform")
  assert [
      (pair["label"], pair["reference"], pair["final"]["seeds"])
      for pair in joined["pairs"]["heldout"]
  ] == [("NFT", "uniform", 1), ("RT", "uniform", 1), ("RT", "NFT", 1)]
  text = (directory / "arrangement.md").read_text("utf-8")
  assert "## settings and controls, smoke" in text
  assert "all pairs of arms" in text and "RT - NFT" in text
  assert "Examples of" not in text  # Of a single arm, such as uniform.
  assert "Fewer than three seeds" in text


@pytest.mark.slow
def test_an_experiment_with_other_seeds_does_not_hold_up_the_page(
    write_sweep, tmp_path, capsys
):
  half_done = write_sweep("arrangement_tmt_smoke", arms=("NFT", "RT", "FFT"))
  (half_done / "points" / "RT-s1.json").unlink()
  assert main_lib.main(["arrangement", str(tmp_path)]) == 2
  reason = "RT has the seeds 0, and FFT 0, 1"
  assert reason in " ".join(capsys.readouterr().err.split())
  write_sweep(seeds=(0,))
  assert main_lib.main(["arrangement", str(tmp_path)]) == 0
  path = tmp_path / "reports" / "arrangement" / "arrangement.json"
  report = json.loads(path.read_text())
  assert list(report["experiments"]) == ["granularity_smoke-0123456789"]
  assert any(reason in notice for notice in report["left_out"])
  targets = {t["target"]: t for t in report["targets"]}
  assert targets["R9 (smoke)"]["state"] == "pass"
  assert targets["R10 (smoke)"]["state"] == "not run"
  assert reason in targets["R10 (smoke)"]["values"]
  assert "R10" not in targets


def test_distances_are_drawn_below_the_loss(write_sweep, tmp_path):
  directory = write_sweep(seeds=(0,))
  (experiment,), _ = experiments.find([directory])
  orders = [runs[0].order for runs in experiment.arms.values()]
  for path in orders[:-1]:
    _trace(path)
  names = [picture.name for picture in figures.draw(experiment)]
  assert names == ["loss", "tasks"]  # An arm without distances is missing.
  _trace(orders[-1])
  pictures = {picture.name: picture for picture in figures.draw(experiment)}
  assert list(pictures) == ["loss", "similarity", "tasks"]
  assert len({picture.png for picture in pictures.values()}) == 3
  e3 = dataclasses.replace(experiment, name="prefixes")
  names = [chart.name for chart in charts.distances(e3)]
  assert names == list(trace.MEASURES) and len(names) == 9


def _trace(path):
  order = order_lib.Order.load(path)
  trace.make(order, store_lib.open_store(order.store_path), batch_size=4)


def test_the_front_page_links_what_was_written(write_sweep, tmp_path, capsys):
  assert main_lib.main(["front", str(tmp_path)]) == 2
  assert "no page on the papers' experiments" in capsys.readouterr().err
  arrangement.write([write_sweep()])
  assert main_lib.main(["front", str(tmp_path)]) == 0
  output = capsys.readouterr().out
  assert "2406.11721" in output and "2402.10891" not in output
  text = (tmp_path / "reports" / "index.html").read_text("utf-8")
  assert 'href="arrangement/arrangement.html"' in text
  assert 'data-view="filter"' in text and 'data-name="claim"' in text
  assert "R9 (smoke)" in text
  path = tmp_path / "reports" / "arrangement" / "arrangement.json"
  path.write_text('{"targets": [{"target": "R1"}]}')
  assert main_lib.main(["front", str(tmp_path)]) == 2
  assert f"{path}: is not what" in capsys.readouterr().err


def test_bad_input_is_one_message(tmp_path, capsys):
  assert main_lib.main(["arrangement", str(tmp_path)]) == 2
  assert "neither a sweep's directory nor a workdir" in capsys.readouterr().err
  (tmp_path / "sweeps").mkdir()
  assert main_lib.main(["arrangement", str(tmp_path)]) == 2
  assert "no run of configs/arrangement is" in capsys.readouterr().err


def test_a_damaged_sweep_is_noticed(write_sweep):
  directory = write_sweep(seeds=(0,))
  path = directory / "sweep.json"
  path.write_text(path.read_text().replace("fine", "find", 1))
  with pytest.raises(errors.InputError, match="is damaged"):
    experiments.find([directory])


def test_published_curves_are_those_of_the_figures():
  settings = published.series("tmt_five_settings")
  assert set(settings) == {"FFT", "NFT", "MAX", "MIN", "RT"}
  final = {name: curve.values[-1] for name, curve in settings.items()}
  assert final["MIN"] == pytest.approx(0.51, abs=0.01)
  assert final["MAX"] == pytest.approx(0.836, abs=0.01)
  assert published.steps("tmt_five_settings") == 1800
  assert published.series("no such figure") == {}


def test_published_curves_begin_at_the_loss_before_training():
  flan = published.relative("tmt_flan_mini")["NFT"]
  assert (flan.steps[0], flan.values[0]) == (0, 1)
  assert flan.values[-1] == pytest.approx(0.505 / 3.14, abs=0.01)
  assert flan.steps[-1] == pytest.approx(0.49, abs=0.02)
  p3 = published.relative("early/loss")["P3"]
  assert p3.values[-1] == pytest.approx(1.34 / 5.07, abs=0.02)
  fft = published.relative("tmt_five_settings")["FFT"]  # MAX hides its half.
  assert fft.steps[0] > 0.5
  nft = published.relative("tmt_five_settings")["NFT"]
  assert 0 < np.isnan(nft.values).sum() < 20
  task = published.relative("pilot/task851_synthetic_multiply_evens")
  assert task["random"].values[0] == pytest.approx(1, abs=0.05)
