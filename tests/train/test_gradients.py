"""The same loss and gradient, however a step is computed."""

import dataclasses
import functools
import math
import re

import jax
from jax import numpy as jnp
import numpy as np
import optax
import pytest

from tests.helpers import closeness
from zsgen.core import config as config_lib
from zsgen.data import store as store_lib
from zsgen.models import execution
from zsgen.models import model as model_lib
from zsgen.train import batches, layouts, optimizer
from zsgen.train import step as step_lib

pytestmark = pytest.mark.numerics

ROTARY = config_lib.Model(
    init="new",
    vocab_size=40,
    layers=2,
    width=16,
    heads=2,
    kv_heads=1,
    head_width=8,
    mlp_width=24,
    max_positions=128,
)
LEARNED = dataclasses.replace(
    ROTARY, positions="learned", norm="layer", tied=False, logit_cap=5.0
)
every_arch = pytest.mark.parametrize(
    "arch", [ROTARY, LEARNED], ids=["rotary", "learned"]
)
LENGTHS = (60, 3, 31, 17, 44, 2, 29, 38)
ALL_ROWS = layouts.Split()
IDS = np.array([5, 0, 9, 3, 21, 7, 8, 1])


def _examples() -> batches.Examples:
  rng = np.random.default_rng(0)
  rows = []
  for length in LENGTHS:
    tokens = rng.integers(0, 40, length).astype(np.uint32)
    mask = (np.arange(length) >= length // 3).astype(np.uint8)
    rows.append(store_lib.TokenRow(tokens, mask))
  return batches.Examples(IDS, rows)


@functools.cache
def _params(arch):
  return jax.jit(model_lib.Model.from_config(arch).init)(jax.random.key(1))


def _packed(rows=4, split=ALL_ROWS) -> batches.Batch:
  assert len(layouts.best_fit(LENGTHS, 64)) == 4
  slots = rows // split.groups * 64
  return layouts.lay_out(_examples(), layouts.Shape(rows, 64, slots), split)


def _unpacked() -> batches.Batch:
  """Each example in a row of its own."""
  ids, rows = _examples()
  singles = [
      layouts.lay_out(
          batches.Examples(ids[i : i + 1], rows[i : i + 1]),
          layouts.Shape(1, 64, 64),
          layouts.Split(),
      )
      for i in range(len(ids))
  ]
  segments = [i * (single.segments > 0) for i, single in enumerate(singles, 1)]
  joined = jax.tree.map(lambda *arrays: np.concatenate(arrays), *singles)
  return joined._replace(segments=np.concatenate(segments).astype(np.int32))


@functools.cache
def _run_step(arch, packed=True, rows=4, parts=1, groups=1, **fields):
  """What a step reports, and the gradient: ten times Adam's first moment."""
  model = model_lib.Model.from_config(
      arch, config_lib.NO_LORA, execution.Execution(**fields)
  )
  step = functools.partial(
      step_lib.train_step,
      model=model,
      groups=groups,
      parts=parts,
      first_moment="float32",
  )
  state = step_lib.init_state(_params(arch), "float32")
  hyper = optimizer.hyper_at(config_lib.Train(clip=1e9), 0, 10)
  split = layouts.Split(parts=parts)
  batch = _packed(rows, split) if packed else _unpacked()
  new, metrics = jax.jit(step)(state, {}, batch, hyper)
  return metrics, jax.tree.map(lambda leaf: 10 * leaf, new.moments[1].mu)


def _assert_equal(actual, expected, tolerance=1e-5):
  """To 1e-5 of the loss, and of the gradient's global norm."""
  (metrics, gradient), (expected_metrics, expected_gradient) = actual, expected
  assert float(metrics.loss) == pytest.approx(
      float(expected_metrics.loss), rel=tolerance
  )
  assert metrics.ids.tolist() == expected_metrics.ids.tolist() == IDS.tolist()
  assert metrics.loss_tokens == expected_metrics.loss_tokens
  assert optax.tree.norm(expected_gradient) > 0.01
  closeness.assert_close(gradient, expected_gradient, tolerance)


@every_arch
def test_packed_equals_unpacked(arch):
  _assert_equal(_run_step(arch), _run_step(arch, packed=False))


@pytest.mark.parametrize("parts", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_micro_batches_count_by_their_tokens(parts):
  """Trains on rows of 38 to 64 tokens: a mean of means would differ."""
  _assert_equal(_run_step(ROTARY, parts=parts), _run_step(ROTARY))


def test_micro_batches_keep_groups_and_rows_of_padding():
  expected = _run_step(ROTARY, groups=2)
  assert float(expected[0].loss) != float(_run_step(ROTARY)[0].loss)
  _assert_equal(_run_step(ROTARY, rows=8, parts=4, groups=2), expected)


@pytest.mark.parametrize(
    "arch",
    [ROTARY, pytest.param(LEARNED, marks=pytest.mark.slow)],
    ids=["rotary", "learned"],
)
def test_chunked_logits_give_the_same_step(arch):
  """Uses chunks of 24, which do not divide 256, the number of loss slots."""
  _assert_equal(_run_step(arch, logits_chunk=24), _run_step(arch))


def test_chunked_logits_are_never_held_in_full():
  """Checks that of 256 loss slots x 400 logits the program holds 32 slots."""
  sizes = {chunk: _largest(chunk) for chunk in (0, 32)}
  assert sizes[0] >= 256 * 400 > 2 * sizes[32]


def _largest(chunk):
  """Elements of the largest float32 value in the program of a gradient."""
  arch = dataclasses.replace(ROTARY, vocab_size=400)
  model = model_lib.Model(
      arch, config_lib.NO_LORA, execution.Execution(logits_chunk=chunk)
  )
  shapes = jax.eval_shape(model.init, jax.random.key(0))

  batch = _packed()
  weights = np.ones_like(batch.loss_positions, np.float32)

  def loss(params):
    return model.loss(params, batch, weights)

  text = jax.jit(jax.grad(loss)).lower(shapes).as_text()
  matches = re.findall(r"tensor<([\dx]+)xf32>", text)
  return max(math.prod(map(int, dims.split("x"))) for dims in matches)


@pytest.mark.parametrize(
    "remat", [pytest.param("none", marks=pytest.mark.slow), "full"]
)
def test_recomputation_changes_nothing(remat):
  _assert_equal(_run_step(ROTARY, remat=remat), _run_step(ROTARY))


def test_a_first_moment_in_bfloat16_is_the_rounded_one():
  params = {"a": np.array([1.0, -2.0, 0.5], np.float32)}
  grads = {"a": np.array([0.3, -0.7, 1e-3], np.float32)}
  hyper = optimizer.hyper_at(config_lib.Train(clip=1e9), 0, 10)
  updated = {}
  for kind in ("float32", "bfloat16"):
    adam = optimizer.transformation(hyper, kind)
    updated[kind] = adam.update(grads, optimizer.init(params, kind), params)
  updates, moments = zip(*updated.values(), strict=True)
  full, half = (moment[1] for moment in moments)
  assert half.mu["a"].dtype == jnp.bfloat16
  assert half.nu["a"].dtype == updates[1]["a"].dtype == jnp.float32
  np.testing.assert_array_equal(half.nu["a"], full.nu["a"])
  rounded = full.mu["a"].astype(jnp.bfloat16)
  np.testing.assert_array_equal(half.mu["a"], rounded)
  np.testing.assert_allclose(updates[1]["a"], updates[0]["a"], rtol=1e-2)
