"""Several CPU devices in one process have enough threads."""

import subprocess
import sys

import pytest

from tests.helpers import xla
from zsgen.core import cpu_devices

_SPLIT = "--xla_force_host_platform_device_count=32"


def test_threads_for_the_devices_of_a_flag():
  variables = {"XLA_FLAGS": f"--xla_cpu_max_isa=AVX2 {_SPLIT}"}
  cpu_devices.reserve_threads(variables)
  assert int(variables["NPROC"]) >= 8 * 32


@pytest.mark.parametrize("flags", [None, "--xla_cpu_max_isa=AVX2"])
def test_one_device_needs_no_threads(flags):
  variables = {} if flags is None else {"XLA_FLAGS": flags}
  cpu_devices.reserve_threads(variables)
  assert "NPROC" not in variables


def test_the_users_number_is_kept():
  variables = {"XLA_FLAGS": _SPLIT, "NPROC": "3"}
  cpu_devices.reserve_threads(variables)
  assert variables["NPROC"] == "3"


@pytest.mark.slow
def test_collectives_finish_while_other_programs_run(root):
  timeout = "--xla_cpu_collective_call_terminate_timeout_seconds=20"
  variables = xla.environment(xla.devices(8), timeout)
  completed = subprocess.run(
      [sys.executable, "-m", "tests.helpers.collectives", "800"],
      cwd=root,
      env=variables,
      capture_output=True,
      text=True,
      check=False,
  )
  assert completed.returncode == 0, completed.stderr
  assert completed.stdout == "800\n"
