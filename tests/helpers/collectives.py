"""Runs programs with collectives on all devices while threads run others.

  python -m tests.helpers.collectives STEPS

Prints the number of steps.
"""

from collections.abc import Callable
import functools
import sys
import threading

import jax
from jax import numpy as jnp
import numpy as np

from zsgen.core import cpu_devices

cpu_devices.reserve_threads()

SHAPE = (256, 256)


def main(steps: int) -> None:
  """Runs the steps; other threads copy, compile and compute meanwhile."""
  spec = jax.sharding.PartitionSpec
  mesh = jax.sharding.Mesh(
      np.array(jax.devices()).reshape(4, 2), ("fsdp", "tensor")
  )
  split = jax.sharding.NamedSharding(mesh, spec("fsdp", "tensor"))
  replicated = jax.sharding.NamedSharding(mesh, spec())
  constrain = jax.lax.with_sharding_constraint

  @jax.jit
  def step(weights: jax.Array, inputs: jax.Array) -> jax.Array:
    for _ in range(6):
      products = constrain(inputs @ weights, split)
      inputs = constrain(jnp.tanh(products @ weights.T), replicated)
      weights = constrain(weights + 1e-6 * inputs.T @ products, split)
    return weights

  rng = np.random.default_rng(0)
  host = rng.normal(size=SHAPE).astype(np.float32)
  inputs = jax.device_put(host, replicated)
  weights = step(jax.device_put(host, split), inputs)
  first, double = weights, jax.jit(lambda array: 2 * array)

  def compile_and_run(number: int) -> None:
    jax.jit(lambda array: array + number)(first).block_until_ready()

  finished = threading.Event()
  actions = [
      lambda _: np.asarray(double(first)),
      lambda _: jax.device_put(host, split).block_until_ready(),
      compile_and_run,
  ]
  threads = [
      threading.Thread(target=functools.partial(_repeat, action, finished))
      for action in actions
  ]
  for thread in threads:
    thread.start()
  for _ in range(steps):
    weights = step(weights, inputs)
  weights.block_until_ready()
  finished.set()
  for thread in threads:
    thread.join()
  print(steps)


def _repeat(action: Callable[[int], None], finished: threading.Event) -> None:
  number = 0
  while not finished.is_set():
    action(number)
    number += 1


if __name__ == "__main__":
  main(int(sys.argv[1]))
