"""The device check: limits of parts, results, wheels, and a rehearsal."""

import importlib
import json
import os
import pathlib
import subprocess
import sys
import time
import zipfile

import numpy as np
import pytest

from benchmarks import bare, device, limits, train
from benchmarks import steps as steps_lib
from benchmarks.parts import accuracy, breakdown, facts, models
from benchmarks.parts import results as results_lib
from benchmarks.parts import task as task_lib
from tests.helpers import xla
from zsgen.core import config as config_lib
from zsgen.models import hugging_face
from zsgen.models import model as model_lib
from zsgen.train import starts

PARTS = "tests.helpers.parts"
# Packages that the machine does not have.
_BLOCKED = (
    "clu",
    "rouge_score",
    "seqio",
    "tensorflow",
    "tensorflow_datasets",
    "tensorflow_text",
)


def _run(tmp_path, *parts, minutes=8.0):
  results = results_lib.Results(tmp_path, {"python": "3.12"})
  device.run({}, results, task_lib.REHEARSAL, minutes, parts)
  written = json.loads((tmp_path / results_lib.JSON).read_text())
  assert written["rows"] == results.rows
  return results.rows


def test_a_failed_part_is_a_row_with_the_reason(tmp_path):
  names = ("measure", "fail", "end")
  parts = [device.Part(name, f"{PARTS}:{name}", 120) for name in names]
  rows = _run(tmp_path, *parts)
  assert [(row["part"], row["case"]) for row in rows] == [
      ("measure", "first"),
      ("measure", "second"),
      ("fail", "before"),
      ("fail", "parts:fail"),
      ("end", "before"),
      ("end", "parts:end"),
  ]
  assert rows[1]["figures"]["pid"] != os.getpid()
  assert rows[3]["failed"] == "ValueError: no | memory is left"
  assert rows[5]["failed"] == "the process ended early, code 9"
  table = (tmp_path / results_lib.TABLE).read_text()
  assert "not measured: ValueError: no / memory is left" in table


def test_a_hanging_part_is_killed_and_the_next_one_runs(tmp_path):
  parts = [
      device.Part("hang", f"{PARTS}:hang", 2),
      device.Part("measure", f"{PARTS}:measure", 120),
  ]
  rows = _run(tmp_path, *parts)
  failed = [row for row in rows if "failed" in row]
  assert [row["failed"] for row in failed] == [
      "it did not end within 2 s, and was killed"
  ]
  assert [row["case"] for row in rows][-2:] == ["first", "second"]


def test_killing_a_part_kills_its_children():
  rows = limits.stream(f"{PARTS}:hang", None, seconds=120, environment={})
  pid = next(rows)["pid"]
  assert _is_running(pid)
  rows.close()
  while _is_running(pid):  # Until the system has delivered the signal.
    time.sleep(0.01)


def _is_running(pid):
  try:
    status = pathlib.Path(f"/proc/{pid}/stat").read_text()
  except FileNotFoundError:
    return False
  return status.rpartition(")")[2].split()[0] != "Z"


def test_a_part_has_its_arguments_and_its_environment():
  (row,) = limits.stream(
      f"{PARTS}:show",
      {"rows": 2},
      seconds=120,
      environment={"ZSGEN_CHECK": "this"},
  )
  assert row == {"case": "this", "figures": {"rows": 2}}


def test_a_part_without_time_or_packages_is_not_started(tmp_path, monkeypatch):
  part = device.Part("1B", f"{PARTS}:measure", 60, is_peer=True)
  (row,) = _run(tmp_path, part, minutes=0.01)
  assert row["failed"] in ("no time is left", "torch cannot be imported")
  monkeypatch.setattr(bare, "PEER", {"no_such.module": "none"})
  (row,) = _run(tmp_path, part)
  assert row["failed"] == "no_such.module cannot be imported"


def test_every_part_exists():
  for part in device.PARTS:
    module, _, name = part.function.partition(":")
    assert callable(getattr(importlib.import_module(module), name))


def test_the_table_has_ratios_to_the_best_row_of_the_same_model():
  common = {"part": "1B", "unit": "tokens/s", "seconds": 1.0}
  rows = [
      {**common, "compared": ["1B", ""], "case": "slow", "rate": 4.0},
      {**common, "compared": ["1B", ""], "case": "fast", "rate": 6.0},
      {**common, "compared": ["1B", "a"], "case": "else", "rate": 90.0},
      {
          **common,
          "compared": ["1B", ""],
          "case": "torch",
          "rate": 4.0,
          "peer": True,
          "figures": {"MFU formula": "long", "GiB": 1.23456, "ms": 1234.5},
      },
  ]
  lines = results_lib.markdown({"python": "3.12"}, rows).splitlines()
  torch = "| 1B | torch | 4 tokens/s | 1.50 | GiB 1.23; ms 1,234 | 1 |"
  assert torch in lines
  assert "- python: 3.12" in lines and "MFU formula: long" in lines
  assert "| 1B | fast | 6 tokens/s |  |  | 1 |" in lines


def test_missing_wheels_are_installed(tmp_path, monkeypatch):
  monkeypatch.setattr(sys, "path", [*sys.path])
  name = "zsgen_no_such_package"
  wheels = tmp_path / "wheels"
  wheels.mkdir()
  for package in (name, "numpy"):
    _write_wheel(wheels, package, "999.0")
  assert bare.missing_modules([name, "numpy"]) == [name]
  assert bare.install(wheels, tmp_path / "site") == [name]
  assert bare.missing_modules([name, "numpy"]) == []
  assert bare.versions([name, "not-installed"]) == {name: "999.0"}
  assert not bare.install(wheels, tmp_path / "site")


def _write_wheel(directory, name, version):
  info = f"{name}-{version}.dist-info"
  with zipfile.ZipFile(
      directory / f"{name}-{version}-py3-none-any.whl", "w"
  ) as wheel:
    wheel.writestr(f"{name}.py", "")
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    wheel.writestr(f"{info}/METADATA", metadata)
    kind = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    wheel.writestr(f"{info}/WHEEL", kind)
    wheel.writestr(f"{info}/RECORD", "")


def test_prepared_data_can_be_moved(tmp_path):
  written = tmp_path / "here"
  written.mkdir()
  paths = {"store": str(written / "stores/a"), "order": str(written / "b")}
  bare.write(written, paths, {"examples": 3})
  moved = written.rename(tmp_path / "there")
  paths = {"store": str(moved / "stores/a"), "order": str(moved / "b")}
  assert bare.read(moved) == (paths, {"examples": 3})


PROGRAM = """
HloModule jit_train_step

%fused (x: f32[2]) -> f32[2] {
  %x = f32[2]{0} parameter(0)
  ROOT %mul.1 = f32[2]{0} multiply(%x, %x), metadata={op_name="jit(f)/mul"}
}

ENTRY %main (a: f32[2]) -> f32[2] {
  %a = f32[2]{0} parameter(0)
  %dot.3 = f32[2]{0} dot(%a, %a), metadata={op_name="jit(f)/jvp(Decoder)/blocks/0/mlp/up/dot_general"}
  %exp-1 = (f32[2]{0}, f32[2]{0}) fusion(%dot.3), calls=%exps, metadata={op_name="jit(f)/jvp(Decoder)/blocks/0/attention/exp"}
  %while.2 = (f32[2]{0}, /*index=1*/f32[2]{0:T(8,128)}) while(%dot.3), metadata={op_name="jit(f)/jvp(Decoder)/while"}
  %convert.4 = f32[2]{0} convert(%a, %exp-1)
  ROOT %update = f32[2]{0} fusion(%dot.3), kind=kLoop, calls=%fused
}
"""


def _event(name, milliseconds, tid=1, **arguments):
  return {
      "ph": "X",
      "pid": 1,
      "tid": tid,
      "name": name,
      "dur": 1000 * milliseconds,
      "args": arguments,
  }


def test_times_of_a_cpu_are_grouped_by_instruction():
  events = [
      _event("dot.3", 4, hlo_op="dot.3"),
      _event("exp-1", 2, hlo_op="exp-1"),
      _event("update", 1, hlo_op="update"),
      _event("convert.4", 1, hlo_op="convert.4"),
      _event("while.2", 9, hlo_op="while.2"),
      _event("python", 9),
  ]
  times = breakdown.group_times(events, breakdown.parse(PROGRAM))
  expected = {"matrix products": 4, "attention": 3, "optimizer and metrics": 1}
  assert times == expected


def test_times_of_a_gpu_are_those_of_its_streams():
  names = {1: "XLA Ops", 7: "Stream #7(Compute)"}
  threads = [
      {
          "ph": "M",
          "pid": 1,
          "tid": tid,
          "name": "thread_name",
          "args": {"name": name},
      }
      for tid, name in names.items()
  ]
  events = [
      *threads,
      _event("dot.3", 4, hlo_op="dot.3"),
      _event("dot_3", 4, tid=7),
      _event("cudnn_fmha_fwd", 3, tid=7),
      _event("MemcpyD2H", 2, tid=7),
      _event("other", 1, tid=7),
  ]
  times = breakdown.group_times(events, breakdown.parse(PROGRAM))
  assert times == {
      "matrix products": 4,
      "attention": 3,
      "copies": 2,
      "unknown": 1,
  }


def test_models_have_the_size_in_the_name_of_their_part():
  sizes = {"small": 3.7e6, "large": 1.24e9, "largest": 6.74e9}
  for name, expected in sizes.items():
    fields = getattr(task_lib.FULL, name)
    start = starts.make(models.model_config(fields, "bfloat16"), seed=0)
    count = model_lib.parameter_count(start.shapes)
    assert count == pytest.approx(expected, rel=0.2), name


@pytest.fixture(name="task")
def _task(tmp_path):
  return task_lib.Task({}, tmp_path, task_lib.REHEARSAL, 600.0)


def test_the_device_is_described(task):
  cases = [row["case"] for row in facts.describe(task)]
  assert cases == ["cpu", "bfloat16 product of 128²", "copy"]


def test_attention_is_compared_with_float32(task):
  rows = list(accuracy.kernels(task))
  assert len(rows) == 2
  for row in rows:
    assert 1e-4 < row["figures"]["error"] < 2e-2, row


@pytest.mark.peer
def test_torch_trains_the_same_steps(tmp_path):
  torch = pytest.importorskip("torch")
  transformers = pytest.importorskip("transformers")
  paths = train.prepare_data("", tmp_path, 12)
  steps = steps_lib.load(paths, batch_size=4, count=3)
  config = config_lib.Config(
      model=models.model_config(task_lib.REHEARSAL.small, "float32"),
      train=config_lib.Train(learning_rate=1e-2, final_share=1.0, batch_size=4),
  )
  own_step = steps_lib.OwnStep(config, steps)
  weights = tmp_path / "weights"
  hugging_face.save(weights, own_step.state.params, config.model)
  expected = steps_lib.timed(own_step, steps, first=1)["losses"]
  assert expected[2] < expected[0] - 0.1
  longest = max(int(lengths.max()) for lengths in steps.lengths)
  packed = steps_lib.packed_rows(steps)
  kinds = (
      (packed, 1),
      (packed, 2),
      (steps_lib.padded_rows(steps, longest), 1),
      (steps_lib.padded_rows(steps, longest, has_mask=False), 1),
  )
  for rows, parts in kinds:
    model = transformers.AutoModelForCausalLM.from_pretrained(
        weights, dtype=torch.float32, attn_implementation="sdpa"
    )
    step = steps_lib.TorchStep(model, rows, config.train, "float32")
    step.parts = parts
    losses = steps_lib.timed(step, steps, first=1)["losses"]
    np.testing.assert_allclose(losses, expected, rtol=2e-4)


@pytest.mark.slow
def test_everything_is_rehearsed_without_tensorflow(tmp_path, root):
  blocked = tmp_path / "blocked"
  blocked.mkdir()
  for name in _BLOCKED:
    (blocked / f"{name}.py").write_text("raise ImportError('blocked')")
  environment = xla.environment("--xla_backend_optimization_level=0")
  environment["PYTHONPATH"] = f"{blocked}:{root}"
  command = [sys.executable, "-m", "benchmarks.device"]
  data, out = tmp_path / "data", tmp_path / "out"
  prepare = [*command, "prepare", str(data), "--examples=40"]
  run = [*command, "run", str(data), f"--out={out}", "--rehearse"]
  for arguments in (prepare, [*run, "--minutes=80"]):
    subprocess.run(arguments, cwd=root, env=environment, check=True)
  rows = json.loads((out / results_lib.JSON).read_text())["rows"]
  assert {row["part"] for row in rows} == {part.name for part in device.PARTS}
  absent = f"{', '.join(bare.missing_modules(bare.PEER))} cannot be imported"
  for row in rows:
    assert row.get("failed", absent) == absent, row
