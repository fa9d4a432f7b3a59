"""Flags that the compilers know."""

import os
import subprocess
import sys

import pytest

from launch import xla_flags

START = "import jax; jax.devices()"
FIND_HARDWARE = (
    "from zsgen.planning import topology; topology.find_hardware('{}')"
)


def _start(chip, code):
  """Starts Python as the printed line of shell says."""
  script = f'{xla_flags.line(chip)}\nexec "$0" -c "$1"'
  return subprocess.run(
      ["bash", "-c", script, sys.executable, code],
      env={**os.environ, "JAX_PLATFORMS": "cpu"},
      capture_output=True,
      text=True,
      check=False,
  )


def test_flags_of_gpus_are_known():
  completed = _start("h100", START)
  assert completed.returncode == 0, completed.stderr
  assert xla_flags.CHIPS["h200"] == xla_flags.CHIPS["h100"]


def test_flags_already_set_are_kept(monkeypatch):
  monkeypatch.setenv("XLA_FLAGS", "--xla_force_host_platform_device_count=3")
  completed = _start("h200", "import jax; print(jax.device_count())")
  assert completed.stdout.strip() == "3"


def test_an_unknown_flag_stops_at_once(monkeypatch):
  flags = {"xla_gpu_no_such_flag": "true"}
  monkeypatch.setitem(xla_flags.CHIPS, "h100", ("XLA_FLAGS", flags))
  completed = _start("h100", START)
  assert completed.returncode and "xla_gpu_no_such_flag" in completed.stderr


def test_unknown_chips(monkeypatch):
  monkeypatch.setattr(sys, "argv", ["xla_flags", "v9"])
  with pytest.raises(SystemExit, match="v4, v5e, v5p, v6e, h100, h200"):
    xla_flags.main()


@pytest.mark.tpu
@pytest.mark.parametrize(
    ("chip", "topology"),
    [
        ("v4", "v4:2x2x1"),
        ("v5e", "v5e:2x2"),
        ("v5p", "v5p:2x2x1"),
        ("v6e", "v6e:2x2"),
    ],
)
def test_flags_of_tpus_are_known(chip, topology):
  pytest.importorskip("libtpu")
  completed = _start(chip, FIND_HARDWARE.format(topology))
  assert completed.returncode == 0, completed.stderr
