"""Adapters of projections: what they compute, where they are, what is new."""

import dataclasses
import functools
import math

from flax import traverse_util
import jax
from jax import numpy as jnp
import numpy as np
import pytest
import reference
import small

from tests.helpers import closeness, losses
from zsgen.core import config, errors
from zsgen.models import lora as lora_lib
from zsgen.models import model as model_lib

pytestmark = pytest.mark.numerics

EVERY_KERNEL = config.Lora(rank=3, alpha=5.0, targets=".*")
# All kinds of projections.
ARCH = dataclasses.replace(
    small.RMS, tied=False, qkv_bias=True, vocab_multiple=16
)
# Its kernel has two axes of inputs.
TWO = "attention/out"


def _flat(tree):
  return traverse_util.flatten_dict(tree, sep="/")


def _nested(flat):
  return traverse_util.unflatten_dict(flat, sep="/")


def _new(arch, lora=config.NO_LORA):
  init = model_lib.Model.from_config(arch, lora).init
  return jax.jit(init)(jax.random.key(0))


@functools.cache
def _loud():
  """Parameters that are far from small, adapters too."""
  rng = np.random.default_rng(0)
  return jax.tree.map(
      lambda leaf: rng.normal(0, 0.4, leaf.shape).astype(np.float32),
      _shapes(ARCH, EVERY_KERNEL),
  )


def _shapes(arch=ARCH, lora=config.NO_LORA):
  init = model_lib.Model.from_config(arch, lora).init
  return jax.eval_shape(init, jax.random.key(0))


def _batch(lengths=(5, 3, 6)):
  first, second, third = small.examples(ARCH.vocab_size, list(lengths))
  return small.rows([[first, second], [third]], length=9)


@functools.cache
def _compiled(lora, dtype):
  arch = dataclasses.replace(ARCH, dtype=dtype)
  model = model_lib.Model.from_config(arch, lora)
  return jax.jit(functools.partial(losses.token_nll, model))


def _nll(params, lora=config.NO_LORA, dtype="float32"):
  return np.asarray(_compiled(lora, dtype)(params, _batch()))


def _added(params, lora):
  """Kernels with A·B added, layer by layer, as the paper says it."""
  flat, actual = _flat(params), {}
  for path, leaf in flat.items():
    module = path.rpartition("/")[0]
    if path.endswith(("lora_a", "lora_b")):
      continue
    actual[path] = leaf
    if path.endswith("kernel") and f"{module}/lora_a" in flat:
      a, b = flat[f"{module}/lora_a"], flat[f"{module}/lora_b"]
      axes = 2 if module.endswith(TWO) else 1
      multiply = functools.partial(jnp.tensordot, axes=1)
      if path.startswith("blocks/"):
        assert a.ndim == axes + 2
        product = jnp.stack(
            [multiply(*factors) for factors in zip(a, b, strict=True)]
        )
      else:
        product = multiply(a, b)
      actual[path] = leaf + lora.alpha / lora.rank * product
  return _nested(actual)


def test_new_adapters_change_nothing():
  params = _new(ARCH, EVERY_KERNEL)
  adapters, base = lora_lib.split(params, EVERY_KERNEL)
  expected = _nll(base)
  closeness.assert_close(_nll(params, EVERY_KERNEL), expected)
  for path, leaf in _flat(adapters).items():
    assert leaf.dtype == np.float32
    assert path.endswith("lora_a") == bool(leaf.any())
  assert jax.tree.structure(base) == jax.tree.structure(_shapes())


def test_a_is_drawn_as_peft_draws_it():
  arch = dataclasses.replace(small.RMS, width=64, layers=3)
  flat = _flat(_new(arch, dataclasses.replace(EVERY_KERNEL, rank=8)))
  a = flat["blocks/0/mlp/up/lora_a"]
  assert a.shape == (3, 64, 8)
  bound = 1 / math.sqrt(64)
  assert 0.95 * bound < np.abs(a).max() <= bound
  assert np.std(a) == pytest.approx(bound / math.sqrt(3), rel=0.05)
  assert (a[0] != a[1]).all()
  out = flat["blocks/0/attention/out/lora_a"]
  assert out.shape == (3, 4, 4, 8)
  assert np.abs(out).max() == pytest.approx(1 / math.sqrt(16), rel=0.05)


def test_loss_and_gradients_are_those_of_the_float64_restatement():
  params = _loud()
  model = model_lib.Model.from_config(ARCH, EVERY_KERNEL)
  adapters, base = lora_lib.split(params, EVERY_KERNEL)
  # Of one length, so that the restatement is compiled once.
  lengths = [4, 4, 4]

  def loss(adapters):
    full = lora_lib.join(adapters, base)
    batch = _batch(lengths)
    weights = jnp.ones_like(batch.loss_positions, jnp.float32)
    return model.loss(full, batch, weights)

  def plain(adapters, base, tokens):
    full = _added(lora_lib.join(adapters, base), EVERY_KERNEL)
    return reference.example_nll(full, ARCH, tokens).sum()

  actual, grads = jax.jit(jax.value_and_grad(loss))(adapters)
  with jax.enable_x64(True):
    exact = jax.tree.map(lambda p: jnp.asarray(p, jnp.float64), params)
    step = jax.jit(jax.value_and_grad(plain))
    results = [
        step(*lora_lib.split(exact, EVERY_KERNEL), tokens)
        for tokens in small.examples(ARCH.vocab_size, lengths)
    ]
    expected, wanted_grads = jax.tree.map(lambda *parts: sum(parts), *results)
  assert float(actual) == pytest.approx(float(expected), rel=1e-5)
  assert _flat(grads).keys() == _flat(adapters).keys()
  closeness.assert_close(grads, wanted_grads)


def test_merged_parameters_are_the_same_function():
  params = _loud()
  merged = lora_lib.merge(params, EVERY_KERNEL)
  assert jax.tree.structure(merged) == jax.tree.structure(_shapes())
  closeness.assert_close(merged, _added(params, EVERY_KERNEL))
  actual, expected = _nll(merged), _nll(params, EVERY_KERNEL)
  closeness.assert_close(actual, expected)
  assert (
      np.abs(actual - _nll(lora_lib.split(params, EVERY_KERNEL)[1])).max() > 0.1
  )


@pytest.mark.slow
def test_generation_uses_the_adapters():
  params, tokens = _loud(), np.array([[3, 1, 4, 1]], np.int32)
  actual = []
  for parameters, lora in [
      (params, EVERY_KERNEL),
      (lora_lib.merge(params, EVERY_KERNEL), config.NO_LORA),
  ]:
    model = model_lib.Model.from_config(ARCH, lora)
    first, cache = jax.jit(functools.partial(model.prefill, room=1))(
        parameters, tokens, np.array([4], np.int32)
    )
    actual.append(
        (first, jax.jit(model.decode)(parameters, cache, tokens[:, 0])[0])
    )
  for adapted, merged in zip(*actual, strict=True):
    closeness.assert_close(adapted, merged)


@pytest.mark.parametrize(
    ("targets", "adapted"),
    [
        (config.Lora().targets, {"attention/query", "attention/value"}),
        (r"mlp/.*", {"mlp/up", "mlp/down"}),
        ("head", {"head"}),
        (r".*/(out|down)", {"attention/out", "mlp/down"}),
    ],
)
def test_targets_match_full_paths(targets, adapted):
  arch = dataclasses.replace(small.LAYER, layers=3, pattern=("global",) * 2)
  flat = _flat(_shapes(arch, config.Lora(rank=2, targets=targets)))
  actual = {path for path in flat if path.endswith("/lora_a")}
  layers = [["blocks/0", "blocks/1", "rest_0"], []]["head" in adapted]
  assert actual == {
      f"{layer}/{name}/lora_a".lstrip("/")
      for layer in layers or [""]
      for name in adapted
  }


def test_only_the_base_is_rounded_to_bfloat16():
  params = _loud()
  adapters, base = lora_lib.split(params, EVERY_KERNEL)
  rounded = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), base)
  actual = _nll(lora_lib.join(adapters, rounded), EVERY_KERNEL)
  assert actual.dtype == np.float32
  widened = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), rounded)
  expected = _nll(lora_lib.join(adapters, widened), EVERY_KERNEL)
  closeness.assert_close(actual, expected)
  assert (actual != _nll(params, EVERY_KERNEL)).any()
  merged = lora_lib.merge(lora_lib.join(adapters, rounded), EVERY_KERNEL)
  dtypes = {leaf.dtype for leaf in jax.tree.leaves(merged)}
  assert dtypes == {np.dtype(np.float32)}


def test_activations_in_bfloat16_stay_near():
  params = jax.tree.map(lambda leaf: leaf / 2, _loud())
  exact, actual = (
      _nll(params, EVERY_KERNEL, dtype) for dtype in ("float32", "bfloat16")
  )
  assert actual.dtype == np.float32
  assert (actual != exact).any()
  np.testing.assert_allclose(actual, exact, rtol=0.2, atol=0.2)


def test_rank_512_with_alpha_1024():
  arch = config.Model(init="new", width=512, heads=8, mlp_width=1024)
  arch = dataclasses.replace(arch, kv_heads=8)
  lora = config.Lora(rank=512, alpha=1024.0, targets=".*")
  a = _shapes(arch, lora)["blocks"]["0"]["attention"]["query"]["lora_a"]
  assert a.shape == (4, 512, 512)


def test_trained_parameters_are_reported():
  adapters, base = lora_lib.split(
      _shapes(small.RMS, EVERY_KERNEL), EVERY_KERNEL
  )
  assert lora_lib.describe(EVERY_KERNEL, adapters, base) == (
      "rank 3 on 14 projections: 1,392 parameters are trained, 32.34% of the"
      " base's 4,304"
  )


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (dict(alpha=8.0), r"lora\.alpha is 8\.0, but config\.lora\.rank is 0"),
        (dict(targets="head"), r"lora\.targets is 'head', but .*rank is 0"),
        (dict(base="bfloat16"), r"lora\.base is 'bfloat16', but .*rank is 0"),
        (
            dict(rank=2, targets="query"),
            r"'query', which fully matches no projection .* attention/key, .*mlp/up",
        ),
        (
            dict(rank=2, targets="head"),
            r"'head', which fully matches no projection",
        ),
        (dict(rank=2, targets="mlp/("), r"not a regular expression: .*"),
        (
            dict(rank=9, targets=".*"),
            r"rank is 9, but attention/key has 16 inputs and 8 outputs.*above 8",
        ),
    ],
)
def test_incompatible_fields_are_refused(fields, message):
  with pytest.raises(errors.InputError, match=message):
    model_lib.Model.from_config(small.RMS, config.Lora(**fields))


def test_dropout_is_not_an_option_and_ranges_are_checked():
  with pytest.raises(
      errors.InputError, match=r"lora\.dropout is not an option"
  ):
    config.check({"lora": {"dropout": 0.1}})
  with pytest.raises(
      errors.InputError, match=r"lora\.rank is -1; it must be at least 0"
  ):
    config.check({"lora": {"rank": -1}})
  with pytest.raises(errors.InputError, match=r"lora\.base is 'int8'"):
    config.check({"lora": {"rank": 1, "base": "int8"}})
