"""Every backend of attention is attention, and so are its gradients."""

import functools
import pathlib
import subprocess
import sys

import hypothesis
from hypothesis import strategies as st
import jax
from jax import numpy as jnp
import numpy as np
import pytest

from tests.helpers import closeness, xla
from tests.models import attended
from zsgen.models import attention
from zsgen.models import execution as execution_lib

pytestmark = pytest.mark.numerics


@pytest.mark.parametrize(
    "length, fields",
    [
        (7, {}),
        (300, {"window": 1}),
        (300, {"cap": 2.0}),
        (1100, {}),
        (1100, {"cap": 2.0, "window": 200}),
    ],
    ids=str,
)
def test_blocks_equal_one_softmax(length, fields):
  attended.assert_equals_softmax(
      attended.rows(2, length), fields, execution_lib.PLAIN
  )


@pytest.mark.parametrize(
    "length, fields",
    [
        (7, {}),
        (64, {"window": 1}),
        (300, {"cap": 2.0}),
        (1100, {"cap": 2.0, "window": 200}),
    ],
    ids=str,
)
def test_flash_equals_one_softmax(length, fields):
  execution = execution_lib.Execution(attention="flash")
  attended.assert_equals_softmax(attended.rows(2, length), fields, execution)


@pytest.mark.parametrize(
    "length, fields",
    [
        (64, {}),
        (192, {"window": 1}),
        (1100, {"cap": 2.0, "window": 200}),
    ],
    ids=str,
)
def test_splash_equals_one_softmax(length, fields):
  execution = execution_lib.Execution(attention="splash")
  attended.assert_equals_softmax(attended.rows(2, length), fields, execution)


@pytest.mark.parametrize(
    "length, fields", [(64, {}), (192, {"window": 1}), (1088, {"window": 200})]
)
def test_the_mask_for_cudnn_equals_one_softmax(length, fields):
  execution = execution_lib.Execution(attention="cudnn")
  attended.assert_equals_softmax(attended.rows(2, length), fields, execution)


@pytest.mark.parametrize("backend", ["xla", "flash", "splash", "cudnn"])
def test_rows_of_padding_alone_are_finite(backend):
  query, key, value, _ = attended.rows(2, 192)
  # One row begins with padding, as a prompt does; the other has nothing else.
  segments = np.repeat([[0, 1], [0, 0]], 96, axis=1)
  execution = execution_lib.Execution(attention=backend)
  attended.assert_equals_softmax((query, key, value, segments), {}, execution)


@pytest.mark.parametrize("backend", ["xla", "flash", "splash", "cudnn"])
def test_bfloat16_inputs_give_bfloat16(backend):
  *heads, segments = attended.rows(1, 192)
  heads = [jnp.asarray(x, jnp.bfloat16) for x in heads]
  execution = execution_lib.Execution(attention=backend)
  attend = functools.partial(attention.attend, scale=0.5, execution=execution)
  actual = jax.jit(attend)(*heads, segments)
  expected, _ = attended.plain(*heads, segments, heads[0], scale=0.5)
  assert actual.dtype == jnp.bfloat16
  np.testing.assert_allclose(
      actual.astype(np.float32), expected, rtol=0.05, atol=0.02
  )


@hypothesis.settings(max_examples=4, deadline=None, derandomize=True)
@hypothesis.given(
    batch=st.integers(1, 3),
    lengths=st.lists(st.integers(1, 90), min_size=2, max_size=4),
    kv_heads=st.sampled_from([1, 2]),
    shared=st.sampled_from([1, 3]),
    window=st.sampled_from([None, 1, 90]),
    cap=st.sampled_from([0.0, 3.0]),
)
def test_flash_equals_the_plain_form(
    batch, lengths, kv_heads, shared, window, cap
):
  # Rows have the same lengths in another order.
  orders = [np.roll(lengths, row) for row in range(batch)]
  numbers = np.arange(len(lengths), dtype=np.int32)
  segments = np.stack([np.repeat(numbers, order) for order in orders])
  *heads, _ = attended.rows(
      batch, segments.shape[1], kv_heads * shared, kv_heads
  )

  def results(backend):
    attend = functools.partial(
        attention.attend,
        segments=segments,
        scale=0.4,
        cap=cap,
        window=window,
        execution=execution_lib.Execution(attention=backend),
    )

    @jax.jit
    def run(*heads):
      out, back = jax.vjp(attend, *heads)
      return out, back(jnp.cos(out))

    return run(*heads)

  closeness.assert_close(results("flash"), results("xla"))


def test_flash_of_members_equals_flash_of_each():
  *heads, segments = attended.rows(6, 200)
  members = [np.stack(np.split(x, 3)) for x in (*heads, segments)]
  execution = execution_lib.Execution(attention="flash")

  @jax.jit
  def gradients(*arrays):
    *heads, segments = arrays
    attend = functools.partial(
        attention.attend, segments=segments, scale=0.5, execution=execution
    )
    out, back = jax.vjp(attend, *heads)
    return out, back(jnp.cos(out))

  actual = jax.tree.map(
      lambda x: x.reshape(-1, *x.shape[2:]),
      jax.jit(jax.vmap(gradients))(*members),
  )
  closeness.assert_close(actual, gradients(*heads, segments))


def test_flash_computes_no_block_of_two_segments():
  """Checks that keys which no query sees are not read: they may be NaN."""
  *heads, _ = attended.rows(1, 512)
  segments = np.repeat([[1, 2]], 256, axis=1).astype(np.int32)
  execution = execution_lib.Execution(attention="flash")
  attend = functools.partial(
      attention.attend, segments=segments, scale=0.5, execution=execution
  )
  expected = attend(*heads)
  key, value = (x.copy() for x in heads[1:])
  key[:, :256], value[:, :256] = np.nan, np.nan
  actual = attend(heads[0], key, value)
  np.testing.assert_array_equal(actual[:, 256:], expected[:, 256:])


def _products(dtype):
  """How many products splash kernels have, and how many are precise."""
  *heads, segments = attended.rows(1, 64)
  heads = [jnp.asarray(x, dtype) for x in heads]
  execution = execution_lib.Execution(attention="splash")
  attend = functools.partial(
      attention.attend, segments=segments, scale=0.5, execution=execution
  )

  def run(*heads):
    out, back = jax.vjp(attend, *heads)
    return back(out)

  text = str(jax.make_jaxpr(run)(*heads))
  return text.count("dot_general["), text.count("precision=(Precision.HIGHEST")


def test_kernels_of_float32_multiply_in_float32():
  count, precise = _products("float32")
  # Two of the result, three of the query's gradient, four of those of keys
  # and values. (The product of the result and its gradient is the tenth.)
  assert count == precise == 10
  assert _products("bfloat16") == (10, 0)


def test_a_mesh_splits_kernels_and_changes_nothing():
  completed = subprocess.run(
      [sys.executable, "-m", "tests.models.attended_split"],
      env=xla.environment(xla.devices(8)),
      cwd=pathlib.Path(__file__).parents[2],
      capture_output=True,
      text=True,
      check=False,
  )
  assert completed.returncode == 0, completed.stderr
