"""Compares losses, gradients and attention with the CPU in float32."""

from collections.abc import Iterator
import functools
from typing import Any

import jax
from jax import numpy as jnp
import numpy as np
import optax

from benchmarks import steps as steps_lib
from benchmarks.parts import facts, models
from benchmarks.parts import task as task_lib
from zsgen.core import config as config_lib
from zsgen.models import attention, execution

_STEPS = 3


def losses(task: task_lib.Task) -> Iterator[task_lib.Row]:
  """Yields differences of losses and gradients from the CPU's in float32.

  The gradient is Adam's first moment after one step.
  """
  steps = steps_lib.load(task.paths, task.sizes.small_batch, _STEPS)
  cpu = jax.devices("cpu")[0]
  own_step = steps_lib.OwnStep(_config(task, "float32", "xla"), steps, cpu)
  params = jax.device_get(own_step.state.params)
  expected = _train(own_step)
  cases = (("float32", "xla"), ("bfloat16", "xla"), ("bfloat16", "auto"))
  for dtype, backend in cases:
    config = _config(task, dtype, backend)
    own_step = steps_lib.OwnStep(config, steps, params=params)
    values, gradient = _train(own_step)
    chosen_backend = own_step.program.model.execution.attention
    differences = np.abs(values / expected[0] - 1)
    yield {
        "case": f"{dtype}, attention {backend} ({chosen_backend})",
        "figures": {
            "loss": float(differences[0]),
            f"loss after {_STEPS - 1} steps": float(differences[-1]),
            "gradient": distance(gradient, expected[1]),
        },
    }


def _config(task: task_lib.Task, dtype: str, backend: str) -> config_lib.Config:
  """Returns the config of the small model, without clipping."""
  return config_lib.Config(
      model=models.model_config(task.sizes.small, dtype),
      train=config_lib.Train(batch_size=task.sizes.small_batch, clip=0.0),
      machine=config_lib.Machine(attention=backend),
  )


def _train(own_step: steps_lib.OwnStep) -> tuple[np.ndarray, Any]:
  """Returns the losses of the steps and the gradient of the first one."""
  values = [own_step(0)]
  gradient = jax.device_get(optax.tree.get(own_step.state.moments, "mu"))
  values += [own_step(number) for number in range(1, _STEPS)]
  return np.array(values), gradient


def distance(values: Any, expected: Any) -> float:
  """Returns ‖values - expected‖ / ‖expected‖ of trees of arrays."""
  values, expected = (
      np.concatenate(
          [np.asarray(leaf, np.float64).ravel() for leaf in jax.tree.leaves(x)]
      )
      for x in (values, expected)
  )
  return float(np.linalg.norm(values - expected) / np.linalg.norm(expected))


def kernels(task: task_lib.Task) -> Iterator[task_lib.Row]:
  """Yields errors and times of attention in bfloat16, forward and backward.

  The errors are those of the output and the gradients, relative to XLA's form
  in float32.
  """
  for shape in task.sizes.attention:
    rows, length, heads, kv_heads, width = shape
    rng = np.random.default_rng(0)
    arrays = [
        jnp.asarray(
            rng.standard_normal((rows, length, count, width)), np.float32
        )
        for count in (heads, kv_heads, kv_heads, heads)
    ]
    segments = np.broadcast_to(
        np.arange(length) // task.sizes.segment + 1, (rows, length)
    ).astype(np.int32)
    with jax.default_matmul_precision("highest"):
      expected = jax.device_get(_attention("xla", segments)(*arrays))
    small = [array.astype(jnp.bfloat16) for array in arrays]
    for backend in ("xla", "cudnn"):
      run = _attention(backend, segments)
      yield {
          "case": f"{heads}/{kv_heads} heads of {width}, {backend}",
          "figures": {
              "error": distance(jax.device_get(run(*small)), expected),
              "ms": 1000 * facts.fastest(run, *small),
          },
      }


def _attention(backend: str, segments: np.ndarray) -> Any:
  """Returns a program that computes attention and its gradients.

  It takes queries, keys, values and the gradient of the output.
  """

  def run(*arrays: jax.Array) -> tuple[Any, Any]:
    """Returns the output, and the gradients by queries, keys and values."""
    *inputs, cotangent = arrays
    attend = functools.partial(
        attention.attend,
        segments=segments,
        scale=inputs[0].shape[-1] ** -0.5,
        execution=execution.Execution(attention=backend),
    )
    output, backward = jax.vjp(attend, *inputs)
    return output, backward(cotangent)

  return jax.jit(run)
