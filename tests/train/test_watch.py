"""Watching: what a run tells of its time, and what it is stopped for."""

import io
import json
import sys
import time
import types

from flax import traverse_util
import numpy as np
import pytest
import rich.console
from tensorboardX.proto import event_pb2

from zsgen import pipeline
from zsgen.core import chips, errors
from zsgen.core import config as config_lib
from zsgen.models import model as model_lib
from zsgen.train import (
    finite,
    flops,
    meter,
    metrics,
    progress,
    watch,
    writers,
)

STEP = {
    "step",
    "perf/step_seconds",
    "perf/tokens_per_second",
    "perf/padded_tokens_per_second",
    "perf/padding_share",
    "perf/data_wait_share",
    "perf/host_memory_bytes",
    "perf/host_memory_peak_bytes",
}


def _run(config, workdir):
  """Trains; returns the run's directory and the lines that were said."""
  output = io.StringIO()
  console = rich.console.Console(file=output, soft_wrap=True, highlight=False)
  result = pipeline.run(config, workdir, ["train"], console)
  return result.run, output.getvalue().splitlines()


def _lines(path):
  return [json.loads(line) for line in path.read_text().splitlines()]


def _steps(run):
  entries = _lines(run / "perf.jsonl")
  return [entry for entry in entries if "perf/step_seconds" in entry]


def test_a_run_reports_its_time_and_traces_steps(small, tmp_path):
  small.machine.layouts = 2
  small.profile = (2, 4)
  run, output = _run(small, tmp_path)
  steps = _steps(run)
  assert [entry["step"] for entry in steps] == list(range(10))
  compiled = [entry for entry in steps if "perf/compile_seconds" in entry]
  assert 1 <= len(compiled) <= 2
  assert compiled[0]["step"] == 0
  for entry in steps:
    assert set(entry) - {"perf/compile_seconds"} == STEP
    padded = entry["perf/padded_tokens_per_second"]
    real = padded * (1 - entry["perf/padding_share"])
    assert entry["perf/tokens_per_second"] == pytest.approx(real)
    assert 0 <= entry["perf/data_wait_share"] <= 1
  tokens = [
      entry["train/tokens"]
      for entry in _lines(run / "metrics.jsonl")
      if "train/tokens" in entry
  ]
  rates = [
      entry["perf/tokens_per_second"] * entry["perf/step_seconds"]
      for entry in steps
  ]
  assert rates == pytest.approx(tokens)
  saves = [e for e in _lines(run / "perf.jsonl") if "perf/save_seconds" in e]
  assert [entry["step"] for entry in saves] == [5, 10]
  assert list((run / "profile").rglob("*.xplane.pb"))
  (profile_line,) = [line for line in output if line.startswith("profile")]
  assert "steps 2 to 3" in profile_line
  assert str(run / "profile") in profile_line
  output = "\n".join(output)
  for begin in ("layouts  ", "mfu      not shown", "steps    ", "time     "):
    assert output.count("\n" + begin) == 1


def test_a_loss_that_is_not_finite(small, tmp_path):
  small.train.learning_rate = 1e30
  with pytest.raises(errors.InputError, match="of step 1 is nan") as caught:
    _run(small, tmp_path)
  (path,) = tmp_path.glob("runs/*/nan-1.json")
  assert str(path) in str(caught.value)
  report = json.loads(path.read_text())
  order = np.load(next(tmp_path.glob("orders/*/ids.npy")))
  assert report["ids"] == order[4:8].tolist()
  assert "nan" in report["metrics"].values()
  assert len(report["tasks"]) == len(report["keys"]) == 4
  consumed = np.load(path.parent / "consumed.npy")
  assert consumed[0].tolist() == order[:4].tolist()
  assert (consumed[1:] == -1).all()
  small.train.learning_rate = 1e-3
  other_run, _ = _run(small, tmp_path)
  assert other_run != path.parent


@pytest.mark.parametrize(
    "steps", [(3,), (1, 2, 3), (3, 3), (4, 2), (9, 11), (20, 30)]
)
def test_steps_that_cannot_be_traced(small, tmp_path, steps):
  small.profile = steps
  with pytest.raises(errors.InputError, match=r"profile is \(.*run's 10"):
    _run(small, tmp_path)
  assert not list(tmp_path.glob("runs/*/checkpoints"))


class Clock:
  """Time that passes when it is told to."""

  def __init__(self, monkeypatch):
    self.now = 100.0
    monkeypatch.setattr(time, "perf_counter", lambda: self.now)


class Running:
  """A result that is there, or not yet."""

  def __init__(self, ready):
    self.is_ready = lambda: ready


def test_a_meter_separates_steps_from_other_time(monkeypatch):
  clock = Clock(monkeypatch)
  counted = flops.Flops(trained=600, frozen=0, head=12_000, width=0, blocks={})
  chip = chips.find_chip("NVIDIA H200")._replace(flops=60_000.0)
  timer = meter.Meter(counted, flops.Peak(chip, "", 2))
  clock.now += 6
  assert timer.lap(meter.COMPILING) == 6
  clock.now += 2
  # 10 of 16 slots, 6 x 600 x 10 + 2 x 12,000 FLOPs in 2 s of 2 x 60,000 a
  # second.
  step = timer.step(np.array([7, 0, 3]), 16, 2)
  assert step["perf/step_seconds"] == 2
  assert step["perf/tokens_per_second"] == 5
  assert step["perf/padded_tokens_per_second"] == 8
  assert step["perf/padding_share"] == pytest.approx(6 / 16)
  assert step["perf/mfu"] == pytest.approx(0.25)
  clock.now += 2
  timer.lap("evals/heldout")
  assert timer.share("evals/heldout") == 0.2
  steps, shares = timer.describe()
  assert steps == (
      "steps    2 s each, 5 tokens/s (8 with padding), MFU 25.0%; 37.5%"
      " padding, 0.0% waiting for data, 40.0% of the model FLOPs in the head"
  )
  assert shares == (
      "time     10.0 s: steps 20.0%, evaluations 20.0%, compiling 60.0%,"
      " saving 0.0%"
  )


@pytest.mark.parametrize(
    ("running", "share"),
    [(None, 0.25), (Running(True), 0.25), (Running(False), 0.0)],
)
def test_only_an_idle_device_waits_for_data(monkeypatch, running, share):
  clock = Clock(monkeypatch)
  counted = flops.Flops(1, 0, 0, 0, {})
  timer = meter.Meter(counted, flops.Peak(None, "cpu", 1))
  with timer.feeding(running):
    clock.now += 1
  clock.now += 3
  step = timer.step(np.array([1]), 1, 0)
  assert step["perf/data_wait_share"] == share
  assert "perf/mfu" not in step
  # It is counted once.
  clock.now += 1
  assert timer.step(np.array([1]), 1, 0)["perf/data_wait_share"] == 0


def test_a_meter_without_steps_reports_nothing():
  counted = flops.Flops(1, 0, 0, 0, {})
  assert meter.Meter(counted, flops.Peak(None, "cpu", 1)).describe() == []


def test_the_line_is_short():
  perf = {
      "perf/step_seconds": 0.51234,
      "perf/tokens_per_second": 9070.4,
      "perf/padded_tokens_per_second": 9800.0,
      "perf/data_wait_share": 0.004,
      "perf/mfu": 0.4567,
      "perf/device_memory_bytes": 2**34,
  }
  assert progress.pace(perf) == {
      "s/step": "0.512",
      "tokens/s": "9,070 of 9,800",
      "wait": "0%",
      "MFU": "45.7%",
      "memory": "16 GiB",
  }


def test_events_hold_all_values_of_a_step(tmp_path):
  board = writers.TensorBoard(tmp_path, first=0)
  board.write(3, {"train/loss": 1.5, "perf/mfu": 0.25})
  board.close()
  assert _events(tmp_path) == {(3, "train/loss"): 1.5, (3, "perf/mfu"): 0.25}


def test_headlines_come_first_and_tasks_have_a_folder(tmp_path):
  tags = writers.Tags(["heldout/loss", "train/loss"])
  board = writers.TensorBoard(tmp_path, 0, tags)
  names = ("heldout/loss", "heldout/task_mean_loss", "heldout/a/b/loss")
  board.write(1, {name: 0.5 for name in (*names, "train/loss", "perf/mfu")})
  board.close()
  assert [tag for _, tag in sorted(_events(tmp_path))] == [
      "0_headlines/heldout/loss",
      "0_headlines/train/loss",
      "heldout/task_mean_loss",
      "perf/mfu",
      "tasks/heldout/a/b/loss",
  ]


def test_the_headlines_of_a_run(small, tmp_path):
  small.machine.tensorboard = True
  run, _ = _run(small, tmp_path)
  tags = {tag for _, tag in _events(run)}
  assert {tag for tag in tags if tag.startswith("0_headlines/")} == {
      "0_headlines/heldout/loss",
      "0_headlines/train/loss",
  }
  assert any(tag.startswith("tasks/heldout/") for tag in tags)


def test_trackio_has_the_same_interface(tmp_path, monkeypatch):
  calls = []
  run = types.SimpleNamespace(
      log=lambda values, step: calls.append((step, values)),
      finish=lambda: calls.append("finish"),
  )

  def init(**options):
    calls.append(options)
    return run

  package = types.SimpleNamespace(init=init)
  monkeypatch.setitem(sys.modules, "trackio", package)
  machine = config_lib.Machine(tensorboard=False, trackio="orders")
  (writer,) = writers.make(machine, tmp_path / "tmt-1", 0, ["heldout/loss"])
  writer.write(3, {"heldout/loss": 0.5})
  writer.close()
  options, *rest = calls
  assert options["project"] == "orders" and options["name"] == "tmt-1"
  assert options["resume"] == "allow"
  assert rest == [
      (3, {"0_headlines/heldout/loss": 0.5}),
      "finish",
  ]


def test_steps_within_a_second_are_passed_on_together(tmp_path, monkeypatch):
  seconds, passed = [0.0], []
  clock = types.SimpleNamespace(monotonic=lambda: seconds[0], time=time.time)
  monkeypatch.setattr(writers, "time", clock)
  board = writers.TensorBoard(tmp_path, first=0)
  add = board._writer.file_writer.add_summary

  def add_summary(summary, step, moment):
    passed.append(step)
    add(summary, step, moment)

  monkeypatch.setattr(board._writer.file_writer, "add_summary", add_summary)
  counts = []
  for step in range(7):
    board.write(step, {"train/loss": step})
    counts.append(len(passed))
    seconds[0] += 0.3
  assert counts == [1, 1, 1, 1, 5, 5, 5]
  board.close()
  assert passed == list(range(7))
  assert _events(tmp_path) == {(step, "train/loss"): step for step in range(7)}


def _events(run):
  """Returns the values of all events by step and tag."""
  (path,) = (run / "tensorboard").iterdir()
  data, values, begin = path.read_bytes(), {}, 0
  while begin < len(data):  # Length, its checksum, the event, its checksum.
    length = int.from_bytes(data[begin : begin + 8], "little")
    end = begin + 12 + length
    event = event_pb2.Event.FromString(data[begin + 12 : end])
    for value in event.summary.value:
      values[event.step, value.tag] = value.simple_value
    begin = end + 4
  return values


def test_an_evaluation_that_is_not_finite():
  class Broken:
    name = "heldout"
    ids = np.array([7, 8, 9])

  losses = np.array([1, np.inf, np.nan], np.float32)
  evaluation = metrics.Evaluation({}, losses)
  with pytest.raises(
      errors.InputError, match="heldout now: the loss of 2 of 3"
  ):
    watch.check_finite(Broken(), evaluation, "now", lambda: "Stop.")


def test_the_page_has_every_metric(root):
  page = (root / "docs" / "watching.md").read_text("utf-8")
  optional = {
      "perf/mfu",
      "perf/compile_seconds",
      "perf/save_seconds",
      "perf/device_memory_bytes",
      "perf/device_memory_peak_bytes",
  }
  for name in (STEP | optional) - {"step"}:
    assert f"`{name}`" in page


def _spoil(params, *names):
  """Parameters with a value in some arrays that is not finite."""
  flat = traverse_util.flatten_dict(params, sep="/")
  for name in names:
    flat[name] = flat[name].at[(0,) * flat[name].ndim].set(np.nan)
  return traverse_util.unflatten_dict(flat, sep="/")


KERNEL = "blocks/0/mlp/down/kernel"


@pytest.mark.parametrize(
    "evaluated", [pytest.param(True, marks=pytest.mark.slow), False]
)
def test_parameters_that_are_not_finite_are_named(
    small, tmp_path, monkeypatch, evaluated
):
  init = model_lib.Model.init
  monkeypatch.setattr(
      model_lib.Model,
      "init",
      lambda self, key: _spoil(init(self, key), KERNEL, "final_norm/scale"),
  )
  if not evaluated:  # By the model: then the first step finds it.
    small.evals.heldout.type = "copy_input"
  with pytest.raises(errors.InputError) as caught:
    _run(small, tmp_path)
  message = str(caught.value)
  assert ("heldout at step 0" if evaluated else "of step 0 is nan") in message
  assert f"{KERNEL} (1 of 3,072), final_norm/scale (1 of 32)" in message
  assert "drawn from the seed 0" in message
  assert "Lower config.train.learning_rate" not in message


def _advice(small, step, params, origin="", **options):
  for name, value in options.items():
    section, _, field = name.partition("__")
    setattr(small[section], field, value)
  beginning = (
      finite.look_at(params, origin) if params else finite.Beginning(origin)
  )
  return finite.advise(beginning, config_lib.check(small), step)


def test_advice_fits_its_step(small):
  lower = "Lower config.train.learning_rate."
  good, bad = {"a": np.ones(3)}, {"a": np.array([1, np.inf, np.nan])}
  assert _advice(small, 3, bad) == lower
  assert _advice(small, 7, None) == lower
  assert "a (2 of 3). They come from: hf." in _advice(small, 0, bad, "hf")
  assert "Lower config.model.init_std" in _advice(small, 0, good)
  dtype = _advice(small, 0, good, model__dtype="bfloat16")
  assert dtype.endswith("Set config.model.dtype='float32'.")
  base = _advice(
      small, 0, good, "b", model__init="tiny", model__dtype="float32"
  )
  assert base.endswith("to other parameters. These come from: b.")
  # Without a learning rate no step changes anything.
  message = _advice(small, 3, bad, train__learning_rate=0.0)
  assert "a (2 of 3)" in message and lower not in message
  assert lower not in _advice(small, 3, None)


def test_many_arrays_are_not_all_named(small):
  bad = {f"p{i}": np.full(2, np.nan) for i in range(9)}
  message = _advice(small, 0, bad)
  assert "p2 (2 of 2) and 6 more arrays." in message and "p3" not in message
