"""`python -m zsgen.orders`: show, diff and verify."""

import os
import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest

from zsgen.core import artifacts, config
from zsgen.orders import __main__ as tools
from zsgen.orders import diff
from zsgen.orders import order as order_lib

BATCH = 3


@pytest.fixture
def order(store, workdir):
  return order_lib.make(workdir, store, config.build(config.Order, budget=8), 0)


@pytest.fixture
def run(order, store, workdir) -> pathlib.Path:
  """Writes a run of three steps whose last batch has one empty slot."""
  path = workdir / "runs" / "run"
  path.mkdir(parents=True)
  consumed = np.append(order.ids, -1).reshape(3, BATCH)
  np.save(path / "consumed.npy", consumed)
  artifacts.write_manifest(
      path,
      {
          "kind": "run",
          "made_by": {"order": order.fingerprint},
          "store": os.path.relpath(store.path, path),
          "order": os.path.relpath(order.path, path),
          "batch_size": BATCH,
          "steps": 3,
      },
  )
  return path


def _call(capsys, *arguments):
  code = tools.main([str(argument) for argument in arguments])
  captured = capsys.readouterr()
  return code, captured.out + captured.err


def test_show_prints_head_and_statistics(order, store, capsys):
  code, output = _call(capsys, "show", order.path, "--head", 8)
  assert code == 0
  assert order.path.name in output
  # Not the definition, which all examples of a task have.
  assert "From a list" not in output and re.search(r"…\d, ", output)
  assert "loss tokens" in output


def test_diff_compares_orders_of_one_store(order, store, workdir, capsys):
  other_order = order_lib.make(
      workdir,
      store,
      config.build(config.Order, budget=8, sequence="reversed"),
      0,
  )
  code, output = _call(capsys, "diff", order.path, other_order.path)
  assert code == 0
  assert "-1.0000" in output


def test_diff_refuses_orders_of_two_stores(order, make_store, workdir, capsys):
  other_order = order_lib.make(
      workdir, make_store(1), config.build(config.Order, budget=8), 1
  )
  code, output = _call(capsys, "diff", order.path, other_order.path)
  assert code == 2
  assert "different stores" in output


def test_diff_numbers():
  first, second = np.array([5, 1, 2, 9]), np.array([5, 2, 1, 7, 8])
  assert diff.compare(first, second) == dict(
      shared=3,
      jaccard=0.5,
      rank_correlation=pytest.approx(0.5),
      first_difference=1,
      prefix_overlap=1.0,
  )
  assert diff.compare(first, first)["first_difference"] is None
  assert diff.compare(first, first[:2])["first_difference"] == 2
  disjoint = diff.compare(first, np.array([3]))
  assert (disjoint["jaccard"], disjoint["rank_correlation"]) == (0, None)


def test_verify_passes_order_store_and_run(order, store, run, capsys):
  code, output = _call(capsys, "verify", order.path, store.path, run)
  assert code == 0
  assert "8 ids verified" in output
  assert "3 steps verified of 3" in output


@pytest.mark.parametrize("name", ["ids.npy", "order.parquet"])
def test_verify_fails_for_any_byte_of_an_order(order, capsys, name):
  file = order.path / name
  content = file.read_bytes()
  for position in np.linspace(0, len(content) - 1, 25).astype(int):
    changed = bytearray(content)
    changed[position] ^= 1
    file.write_bytes(changed)
    code, output = _call(capsys, "verify", order.path)
    assert code == 2, (position, output)


@pytest.mark.parametrize(
    "old, new",
    [
        ('"seed": 0', '"seed": 1'),
        ('"count": 8', '"count": 7'),
        ('"tasks": ', '"tasks": 1'),
        ('"text": "prompt+answer"', '"text": "prompt"'),
    ],
)
def test_verify_fails_for_a_changed_manifest(order, capsys, old, new):
  file = order.path / artifacts.MANIFEST
  assert old in file.read_text()
  file.write_text(file.read_text().replace(old, new))
  assert _call(capsys, "verify", order.path)[0] == 2


def test_verify_fails_for_a_changed_store(order, store, run, capsys):
  file = store.path / "tokens.bin"
  content = bytearray(file.read_bytes())
  content[-1] ^= 1
  file.write_bytes(content)
  for path in (order.path, store.path, run):
    code, output = _call(capsys, "verify", path)
    assert (code, "tokens.bin" in output) == (2, True)


def test_verify_names_the_first_step_that_differs(order, run, capsys):
  consumed = np.load(run / "consumed.npy")
  consumed[1, 2] += 1
  np.save(run / "consumed.npy", consumed)
  code, output = _call(capsys, "verify", run)
  assert code == 2
  assert "step 1, position 2" in output
  assert f"expected id {order.ids[5]}, found {order.ids[5] + 1}" in output


def test_verify_reports_the_progress_of_an_unfinished_run(run, capsys):
  consumed = np.load(run / "consumed.npy")
  consumed[2] = -1
  np.save(run / "consumed.npy", consumed)
  code, output = _call(capsys, "verify", run)
  assert code == 0
  assert "2 steps verified of 3; 1 not recorded yet" in output
  consumed[0] = -1  # A step in between is no longer recorded.
  np.save(run / "consumed.npy", consumed)
  code, output = _call(capsys, "verify", run)
  assert (code, "step 0, position 0" in output) == (2, True)


@pytest.mark.parametrize("shape", [(3, 2), (2, 3)])
def test_verify_refuses_a_record_of_another_shape(run, capsys, shape):
  np.save(run / "consumed.npy", np.full(shape, -1))
  code, output = _call(capsys, "verify", run)
  assert (code, "shape" in output) == (2, True)
  (run / "metrics.jsonl").touch()
  (run / "consumed.npy").unlink()
  code, output = _call(capsys, "verify", run)
  assert (code, "not begun" in output) == (2, True)


@pytest.mark.parametrize(
    ("value", "message"),
    [("x", "not an integer"), (str(10**30), "is more than")],
)
def test_batch_sizes_out_of_range(order, capsys, value, message):
  with pytest.raises(SystemExit):
    tools.main(["trace", str(order.path), f"--batch_size={value}"])
  assert message in capsys.readouterr().err


def test_a_path_without_an_artifact_is_one_message(workdir):
  completed = subprocess.run(
      [sys.executable, "-m", "zsgen.orders", "verify", workdir / "none"],
      capture_output=True,
      text=True,
      check=False,
  )
  assert completed.returncode == 2
  assert completed.stderr.count("\n") == 1
  assert "Traceback" not in completed.stderr
