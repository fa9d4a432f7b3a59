"""Describes the device, and measures what it can do at the most."""

from collections.abc import Callable, Iterator
import time
from typing import Any

import jax
from jax import numpy as jnp

from benchmarks.parts import models
from benchmarks.parts import task as task_lib
from zsgen.core import chips
from zsgen.models import execution

_LAPS, _CALLS = 4, 5


def describe(task: task_lib.Task) -> Iterator[task_lib.Row]:
  """Yields the device, the backend of attention, and the measured ceilings."""
  device = jax.devices()[0]
  stats = device.memory_stats() or {}
  arch = models.model_config(task.sizes.large, "bfloat16")
  choice = execution.choose_backend("auto", device, arch)
  chip = chips.find_chip(device.device_kind)
  yield {
      "case": device.device_kind,
      "figures": {
          "platform": device.platform,
          "memory GiB": stats.get("bytes_limit", 0) / 2**30,
          "attention": f"{choice.backend} ({choice.reason})",
          "peak bfloat16 TFLOP/s": chip.flops / 1e12 if chip else "unknown",
      },
  }
  yield from _ceilings(task.sizes.product)


def _ceilings(size: int) -> Iterator[task_lib.Row]:
  """Measures what a device reaches in a product and in a copy."""
  # Zeros would be faster than real data.
  a, b = jax.random.normal(jax.random.key(0), (2, size, size), jnp.bfloat16)
  seconds = fastest(jax.jit(jnp.matmul), a, b)
  figures = {"TFLOP/s": 2 * size**3 / seconds / 1e12}
  yield {"case": f"bfloat16 product of {size:,}²", "figures": figures}
  # Each value is read once and written once.
  seconds = fastest(jax.jit(jnp.negative), a)
  figures = {"GB/s": 2 * a.nbytes / seconds / 1e9}
  yield {"case": "copy", "figures": figures}


def fastest(function: Callable[..., Any], *args: Any) -> float:
  """Returns the seconds of a call, without compiling.

  It is the mean of consecutive calls, between which the device does not wait,
  and of several laps the fastest.
  """
  jax.block_until_ready(function(*args))
  laps = []
  for _ in range(_LAPS):
    began = time.perf_counter()
    for _ in range(_CALLS):
      output = function(*args)
    jax.block_until_ready(output)
    laps.append((time.perf_counter() - began) / _CALLS)
  return min(laps)
