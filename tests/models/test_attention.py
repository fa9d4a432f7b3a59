"""Every backend of attention is attention, and so are its gradients."""

import functools
import os
import pathlib
import subprocess
import sys

import jax
from jax import numpy as jnp
import numpy as np
import pytest

from tests.models import attended
from zsgen.models import attention
from zsgen.models import execution as execution_lib

SPLIT = pathlib.Path(attended.__file__).with_name("attended_split.py")


@pytest.mark.parametrize("length", [7, 128, 300, 1100])
@pytest.mark.parametrize(
    "fields",
    [{}, {"window": 1}, {"window": 100}, {"cap": 2.0, "window": 200}],
    ids=str,
)
def test_blocks_equal_one_softmax(length, fields):
  attended.check(attended.rows(2, length), fields, execution_lib.PLAIN)


@pytest.mark.parametrize(
    "length, fields",
    [
        (64, {}),
        (192, {"window": 1}),
        (192, {"cap": 2.0}),
        (1100, {"cap": 2.0, "window": 200}),
        (1100, {"window": 600}),
    ],
    ids=str,
)
def test_splash_equals_one_softmax(length, fields):
  execution = execution_lib.Execution(attention="splash")
  attended.check(attended.rows(2, length), fields, execution)


@pytest.mark.parametrize(
    "length, fields", [(64, {}), (192, {"window": 1}), (1088, {"window": 200})]
)
def test_mask_for_cudnn_is_that_of_one_softmax(length, fields):
  execution = execution_lib.Execution(attention="cudnn")
  attended.check(attended.rows(2, length), fields, execution)


@pytest.mark.parametrize("backend", ["xla", "splash", "cudnn"])
def test_rows_of_padding_alone_are_finite(backend):
  query, key, value, _ = attended.rows(2, 192)
  # One row begins with padding, as a prompt does; the other has nothing else.
  segments = np.repeat([[0, 1], [0, 0]], 96, axis=1)
  execution = execution_lib.Execution(attention=backend)
  attended.check((query, key, value, segments), {}, execution)


@pytest.mark.parametrize("backend", ["xla", "splash", "cudnn"])
def test_bfloat16_stays_what_it_is(backend):
  *heads, segments = attended.rows(1, 192)
  heads = [jnp.asarray(x, jnp.bfloat16) for x in heads]
  execution = execution_lib.Execution(attention=backend)
  attend = functools.partial(attention.attend, scale=0.5, execution=execution)
  found = jax.jit(attend)(*heads, segments)
  wanted, _ = attended.plain(*heads, segments, heads[0], scale=0.5)
  assert found.dtype == jnp.bfloat16
  np.testing.assert_allclose(
      found.astype(np.float32), wanted, rtol=0.05, atol=0.02
  )


def test_a_mesh_splits_kernels_and_changes_nothing():
  done = subprocess.run(
      [sys.executable, SPLIT],
      env={
          **os.environ,
          "JAX_PLATFORMS": "cpu",
          "XLA_FLAGS": "--xla_force_host_platform_device_count=8",
      },
      capture_output=True,
      text=True,
  )
  assert done.returncode == 0, done.stderr
