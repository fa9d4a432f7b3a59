"""Attention on a CPU, forward and backward, compared with torch.

  python -m benchmarks.attention
  python -m benchmarks.attention --lengths=1024

Rows of 1,024 positions hold random segments of about 300 positions, or of the
lengths that are requested; 5 heads of width 64, float32, one thread. The peers
take turns in one process. Printed are CPU milliseconds, the least of all turns,
which other processes affect the least.
"""

import argparse
from collections.abc import Callable
import functools
import os
import time
from typing import Any

import jax
import numpy as np
import rich.console
import rich.table

from zsgen.models import attention
from zsgen.models import execution as execution_lib

_ROWS, _LENGTH, _HEADS, _WIDTH = 5, 1024, 5, 64
_SCALE = _WIDTH**-0.5


def draw_segments(lengths: list[int]) -> np.ndarray:
  """Returns segment numbers, int32 [rows, length].

  Args:
    lengths: lengths to fill the rows with, in sequence; [] draws them.
  """
  rng = np.random.default_rng(0)
  segments = np.zeros((_ROWS, _LENGTH), np.int32)
  for row in segments:
    begin, number = 0, 1
    while begin < _LENGTH:
      length = lengths[(number - 1) % len(lengths)] if lengths else 0
      end = begin + (length or rng.integers(60, 521))
      row[begin:end] = number
      begin, number = end, number + 1
  return segments


def backend(name: str, arrays: list[np.ndarray], segments: np.ndarray) -> Any:
  """Returns a function that computes result and gradients by a backend."""
  execution = execution_lib.Execution(attention=name)
  attend = functools.partial(
      attention.attend, segments=segments, scale=_SCALE, execution=execution
  )

  @jax.jit
  def run(query: Any, key: Any, value: Any, into: Any) -> Any:
    """Returns the result, and the gradients by query, key and value."""
    out, back = jax.vjp(attend, query, key, value)
    return out, back(into)

  return lambda: jax.block_until_ready(run(*arrays))


def torch_sdpa(arrays: list[np.ndarray], segments: np.ndarray) -> Any:
  """Returns the same by torch's `scaled_dot_product_attention` with a mask.

  Raises:
    ImportError: torch is not installed.
  """
  import torch

  torch.set_num_threads(1)
  heads = [torch.tensor(x.swapaxes(1, 2).copy()) for x in arrays]
  *inputs, into = heads
  inputs = [x.requires_grad_() for x in inputs]
  visible = segments[:, :, None] == segments[:, None, :]
  mask = torch.tensor(visible & np.tri(_LENGTH, dtype=bool))[:, None]
  function = torch.nn.functional.scaled_dot_product_attention

  def run() -> Any:
    """Returns the gradients by query, key and value."""
    out = function(*inputs, attn_mask=mask, scale=_SCALE)
    return torch.autograd.grad(out, inputs, into)

  return run


def measure(
    peers: dict[str, Callable[[], Any]], turns: int
) -> dict[str, float]:
  """Returns the least CPU seconds of each peer; they take turns."""
  least = {}
  for run in peers.values():
    run()
  for _ in range(turns):
    for name, run in peers.items():
      begin = time.process_time()
      run()
      seconds = time.process_time() - begin
      least[name] = min(seconds, least.get(name, seconds))
  return least


def main() -> None:
  """Prints the table."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--lengths", default="", help="Such as 100,200.")
  parser.add_argument("--turns", type=int, default=6)
  args = parser.parse_args()
  os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
  lengths = [int(length) for length in args.lengths.split(",") if length]
  segments = draw_segments(lengths)
  rng = np.random.default_rng(1)
  shape = (4, _ROWS, _LENGTH, _HEADS, _WIDTH)
  arrays = list(rng.normal(size=shape).astype(np.float32))
  peers = {name: backend(name, arrays, segments) for name in ("flash", "xla")}
  try:
    peers["torch"] = torch_sdpa(arrays, segments)
  except ImportError as error:
    print(error)
  least = measure(peers, args.turns)
  table = rich.table.Table("peer", "CPU ms", "flash is faster by")
  for name, seconds in least.items():
    ratio = seconds / least["flash"]
    table.add_row(name, f"{1000 * seconds:.0f}", f"{ratio:.2f}")
  rich.console.Console(width=80).print(table)


if __name__ == "__main__":
  main()
