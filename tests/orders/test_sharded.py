"""Orders are the same bytes on several devices and several processes."""

import json
import pathlib
import socket
import subprocess
import sys

import pytest

from tests.helpers import bert_models, make_orders, xla
from zsgen.orders import similarity

pytestmark = pytest.mark.numerics

MAKE_ORDERS = pathlib.Path(make_orders.__file__)


def _config(tmp_path, embedder):
  """The file of a config; a tiny encoder embeds, or n-grams do."""
  options = {"embedder": embedder}
  if embedder == "encoder":
    pytest.importorskip("tokenizers")
    options["encoder"] = str(bert_models.write(tmp_path / "encoder"))
  values = {
      "data": {"train_instances": 12},
      "order": {
          "arrangement": "released",
          "budget": 300,
          **options,
      },
  }
  path = tmp_path / "config.json"
  path.write_text(json.dumps(values))
  return path


def _start(config, workdir, *membership, devices=1):
  return subprocess.Popen(
      [sys.executable, MAKE_ORDERS, config, workdir, *membership],
      env={
          **xla.environment(xla.devices(devices)),
          "PYTHONPATH": str(MAKE_ORDERS.parents[2]),
      },
      stdout=subprocess.PIPE,
      stderr=subprocess.STDOUT,
      text=True,
  )


def _orders(*processes):
  """The bytes of the ids of the orders that each process names."""
  actual = []
  for process in processes:
    try:
      output, _ = process.communicate(timeout=240)
    finally:
      process.kill()
    assert process.returncode == 0, output
    paths = [
        pathlib.Path(line.removeprefix("order ").strip())
        for line in output.splitlines()
        if line.startswith("order ") and "/" in line and "   " not in line
    ]
    actual.append([(path / "ids.npy").read_bytes() for path in paths])
  return actual


def _free_port():
  with socket.socket() as actual:
    actual.bind(("127.0.0.1", 0))
    return str(actual.getsockname()[1])


# The encoder alone is divided in embedders/test_encoder.py.
@pytest.mark.slow
@pytest.mark.parametrize("embedder", ["ngram", "encoder"])
def test_devices_and_processes_change_no_byte(tmp_path, monkeypatch, embedder):
  config = _config(tmp_path, embedder)
  monkeypatch.setattr(similarity, "block_size", make_orders.block_size)
  orders = make_orders.make(config, tmp_path / "one")
  expected = [(order / "ids.npy").read_bytes() for order in orders]
  assert len(expected) == 2
  if embedder == "encoder":  # NumPy counts n-grams, on no device.
    (eight,) = _orders(_start(config, tmp_path / "eight", devices=8))
    assert eight == expected
  port, shared = _free_port(), tmp_path / "two"
  pair = _orders(*(_start(config, shared, port, "2", str(i)) for i in range(2)))
  assert pair == [expected, expected]
