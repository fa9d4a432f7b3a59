"""The environment of child processes that compile with XLA."""

import os

from zsgen.core import cpu_devices


def environment(*flags: str) -> dict[str, str]:
  """Returns this process's environment with `flags` added to XLA_FLAGS.

  Flags that are set already remain, so that tests run under another instruction
  set (`XLA_FLAGS=--xla_cpu_max_isa=AVX2`) in their child processes too.
  """
  set_already = os.environ.get("XLA_FLAGS", "").split()
  variables = {**os.environ, "XLA_FLAGS": " ".join([*set_already, *flags])}
  cpu_devices.reserve_threads(variables)
  return variables


def devices(count: int) -> str:
  """Returns the flag that splits the CPU into `count` devices."""
  return f"--xla_force_host_platform_device_count={count}"
