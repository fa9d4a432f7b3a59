"""Several local processes of one command: lines, exit codes and signals."""

import signal
import subprocess
import sys

import pytest

from zsgen.core import errors

PRINT_MEMBERSHIP = """
import os
print(os.environ["JAX_PROCESS_ID"], "of", os.environ["JAX_NUM_PROCESSES"])
print(os.environ["JAX_COORDINATOR_ADDRESS"])
"""
FAILS = """
import os, sys, time
if os.environ["JAX_PROCESS_ID"] == "1":
  sys.exit(3)
time.sleep(600)
"""
WAITS = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
print("waits")
time.sleep(600)
"""
# As the module does it, with less patience.
HURRIED = """
import sys
from launch import local
local._PATIENCE = 1.0
sys.argv[0] = "local"
local.main()
"""


def _start(root, script, *launcher):
  return subprocess.Popen(
      [*launcher, "--processes=2", "--", sys.executable, "-c", script],
      cwd=root,
      stdout=subprocess.PIPE,
      stderr=subprocess.STDOUT,
      text=True,
  )


@pytest.fixture
def module():
  return sys.executable, "-m", "launch.local"


def test_each_process_is_given_its_index_and_the_address(root, module):
  process = _start(root, PRINT_MEMBERSHIP, *module)
  output, _ = process.communicate(timeout=60)
  assert process.returncode == 0
  lines = output.splitlines()
  assert {"[0] 0 of 2", "[1] 1 of 2"} <= {*lines}
  addresses = [line[4:] for line in lines if ":" in line]
  assert len(addresses) == 2 and len({*addresses}) == 1


def test_one_failed_process_ends_the_others(root):
  process = _start(root, FAILS, sys.executable, "-c", HURRIED)
  output, _ = process.communicate(timeout=60)
  assert process.returncode == 3
  assert "process 1 ended with exit code 3; the others will exit too" in output


def test_a_signal_is_passed_on(root, module):
  process = _start(root, WAITS, *module)
  for _ in range(2):
    assert process.stdout.readline().endswith("waits\n")
  process.send_signal(signal.SIGTERM)
  process.communicate(timeout=60)
  assert process.returncode == 0


def test_stopped_processes_exit_with_code_75(root, module):
  stops = WAITS.replace("sys.exit(0)", "sys.exit(75)")
  process = _start(root, stops, *module)
  for _ in range(2):
    assert process.stdout.readline().endswith("waits\n")
  process.send_signal(signal.SIGTERM)
  output, _ = process.communicate(timeout=60)
  assert process.returncode == errors.STOPPED == 75
  assert "has saved and stopped (exit code 75)" in output
