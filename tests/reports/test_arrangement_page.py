"""The page on the experiments of 2406.11721."""

import json
import os

import numpy as np
import pytest

from zsgen.core import errors
from zsgen.data import store as store_lib
from zsgen.orders import order as order_lib
from zsgen.orders import trace
from zsgen.reports import __main__ as main_lib
from zsgen.reports import arrangement, notes
from zsgen.reports.arrangement import experiments, figures, published

ARMS = {
    "fine": {"arrangement": "similarity"},
    "coarse": {"arrangement": "similarity", "granularity": "task"},
}


@pytest.fixture
def write_sweep(write_run, tmp_path):
  """Returns a function that writes a sweep of two arms."""

  def write(name="arrangement_granularity_smoke", seeds=(0, 1)):
    directory = tmp_path / "sweeps" / f"{name}-0123456789"
    points = {f"{arm}-s{s}": (arm, s) for arm in ARMS for s in seeds}
    notes.write_sweep(directory, notes.Sweep(name, points))
    for number, (point, (arm, seed)) in enumerate(points.items()):
      run = write_run(
          lambda step, index, n=number: (4 + n) / (1 + step),
          seed=seed,
          order=ARMS[arm],
          name=arm,
      )
      (run.path / "result.json").write_text("{}")
      path = os.path.relpath(run.path, tmp_path)
      notes.write_run(directory / "points" / f"{point}.json", path)
    return directory

  return write


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
  assert "R9 (smoke)" in capsys.readouterr().out
  before = (out / picture).read_bytes()
  arrangement.write([tmp_path])
  assert (out / picture).read_bytes() == before


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
