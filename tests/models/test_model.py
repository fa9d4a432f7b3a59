"""The decoder against a plain float64 one, and what packing must not do."""

import dataclasses
import functools

import jax
from jax import numpy as jnp
import numpy as np
import pytest
import reference
import small

from tests.helpers import closeness, losses
from zsgen.core import config, errors
from zsgen.models import model as model_lib
from zsgen.models import presets, rotary

pytestmark = pytest.mark.numerics

LENGTHS = [5, 3, 6]
every_arch = pytest.mark.parametrize(
    "arch", small.ALL.values(), ids=small.ALL.keys()
)


@functools.cache
def _compiled(arch):
  model = model_lib.Model.from_config(arch)
  return jax.jit(functools.partial(losses.token_nll, model))


def _nll(arch, params, batch):
  return np.asarray(_compiled(arch)(params, batch))


@functools.cache
def _new(arch):
  """New parameters."""
  return jax.jit(model_lib.Model.from_config(arch).init)(jax.random.key(0))


def _two_rows(examples):
  first, second, third = examples
  return small.rows([[first, second], [third]], length=9)


# The others have little that this one does not have.
@pytest.mark.parametrize(
    "name",
    [
        "gemma",
        pytest.param("gpt2", marks=pytest.mark.slow),
        pytest.param("rms", marks=pytest.mark.slow),
        pytest.param("layer", marks=pytest.mark.slow),
    ],
)
def test_loss_and_gradient_are_those_of_the_float64_reference(name):
  arch = small.ALL[name]
  params = small.loud(arch)
  # Of one length, so that the reference is compiled once.
  examples = small.examples(arch.vocab_size, [4, 4, 4])
  batch = _two_rows(examples)
  model = model_lib.Model.from_config(arch)
  weights = np.ones_like(batch.loss_positions, np.float32)
  loss, grads = jax.jit(
      jax.value_and_grad(lambda params: model.loss(params, batch, weights))
  )(params)

  def plain(params, tokens):
    return reference.example_nll(params, arch, tokens).sum()

  with jax.enable_x64(True):
    exact = jax.tree.map(lambda p: jnp.asarray(p, jnp.float64), params)
    step = jax.jit(jax.value_and_grad(plain))
    results = [step(exact, tokens) for tokens in examples]
    expected, wanted_grads = jax.tree.map(lambda *parts: sum(parts), *results)
    assert expected.dtype == np.float64
  assert float(loss) == pytest.approx(float(expected), rel=1e-5)
  closeness.assert_close(grads, wanted_grads)


@pytest.mark.parametrize("activation", ["silu", "gelu", "gelu_tanh", "relu"])
def test_activations_are_those_of_the_reference(activation):
  arch = dataclasses.replace(small.RMS, activation=activation, layers=1)
  params = small.loud(arch)
  (tokens,) = small.examples(arch.vocab_size, [4])
  actual = _nll(arch, params, small.rows([[tokens]], length=4))
  with jax.enable_x64(True):
    exact = jax.tree.map(lambda p: jnp.asarray(p, jnp.float64), params)
    expected = jax.jit(
        lambda params: reference.example_nll(params, arch, tokens)
    )(exact)
  closeness.assert_close(actual[0], np.array([0.0, *expected]))


@pytest.mark.parametrize(
    "arch",
    [
        pytest.param(arch, marks=[] if name == "gemma" else [pytest.mark.slow])
        for name, arch in small.ALL.items()
    ],
    ids=small.ALL.keys(),
)
def test_packed_equals_unpacked_and_padding_does_nothing(arch):
  params = small.loud(arch)
  examples = small.examples(arch.vocab_size, LENGTHS)
  batch = _two_rows(examples)
  packed = _nll(arch, params, batch)
  spans = [packed[0, :5], packed[0, 5:8], packed[1, :6]]
  for example, actual in zip(examples, spans, strict=True):
    expected = _nll(arch, params, small.rows([[example], []], length=9))[0]
    closeness.assert_close(actual, expected[: len(example)])
  bare = _nll(arch, params, small.rows([[examples[2]]], length=6))
  closeness.assert_close(packed[1, :6], bare[0])
  assert packed.dtype == np.float32
  assert packed[0, 5] == packed[0, 8] == 0
  assert not packed[1, 6:].any()
  batch.tokens[batch.segments == 0] = 7
  np.testing.assert_array_equal(_nll(arch, params, batch), packed)


@every_arch
def test_a_token_changes_no_loss_before_it(arch):
  params = small.loud(arch)
  (tokens,) = small.examples(arch.vocab_size, [8])
  batch = small.rows([[tokens]], length=8)
  before = _nll(arch, params, batch)[0]
  batch.tokens[0, 5] = (batch.tokens[0, 5] + 1) % arch.vocab_size
  after = _nll(arch, params, batch)[0]
  np.testing.assert_array_equal(after[:5], before[:5])
  assert (after[5:] != before[5:]).all()


def test_tokens_and_positions_out_of_range_give_nan():
  params = small.loud(small.LAYER)
  (tokens,) = small.examples(small.LAYER.vocab_size, [4])
  batch = small.rows([[tokens]], length=4)
  batch.tokens[0, 1] = small.LAYER.vocab_size
  assert np.isnan(_nll(small.LAYER, params, batch)[0, 2])
  batch.tokens[0, 1] = 0
  batch.positions[0, 1] = small.LAYER.max_positions
  assert np.isnan(_nll(small.LAYER, params, batch)[0, 2])


def test_activations_in_bfloat16_stay_near_and_losses_are_float32():
  params = small.loud(small.RMS)
  batch = _two_rows(small.examples(small.RMS.vocab_size, LENGTHS))
  exact = _nll(small.RMS, params, batch)
  arch = dataclasses.replace(small.RMS, dtype="bfloat16")
  actual = _nll(arch, params, batch)
  assert actual.dtype == np.float32
  np.testing.assert_allclose(actual, exact, rtol=0.1, atol=0.1)
  assert (actual != exact).any()


def test_new_parameters_are_float32_and_scaled_by_depth():
  arch = dataclasses.replace(
      small.RMS, layers=8, width=64, mlp_width=96, tied=False
  )
  params = _new(arch)
  leaves = jax.tree.leaves(params)
  assert {leaf.dtype for leaf in leaves} == {np.dtype(np.float32)}
  mlp = params["blocks"]["0"]["mlp"]
  assert np.std(mlp["up"]["kernel"]) == pytest.approx(0.02, rel=0.05)
  assert np.std(mlp["down"]["kernel"]) == pytest.approx(0.005, rel=0.05)
  assert (mlp["up"]["kernel"][0] != mlp["up"]["kernel"][1]).all()
  recomputed = _new.__wrapped__(arch)  # Not those that are kept.
  jax.tree.map(np.testing.assert_array_equal, params, recomputed)
  louder = _new(dataclasses.replace(arch, init_std=0.08))
  flat, _ = jax.tree.flatten_with_path(params)
  for (path, leaf), scaled in zip(flat, jax.tree.leaves(louder), strict=True):
    times = 1 if path[-1].key in ("scale", "bias") else 4
    np.testing.assert_allclose(scaled, times * leaf, rtol=1e-6, err_msg=path)


def test_tiny_is_the_default_and_has_0_9_million_parameters():
  assert config.Model(**presets.TINY) == config.Model()
  shapes = small.shapes(config.Model())
  assert model_lib.parameter_count(shapes) == 886_912


def test_norms_that_add_one_start_like_the_others():
  params = _new(small.GEMMA)
  assert not params["final_norm"]["scale"].any()
  assert not params["rest_0"]["attention"]["query_norm"]["scale"].any()
  assert (_new(small.RMS)["final_norm"]["scale"] == 1).all()


def test_rows_that_pad_the_vocabulary_have_no_effect():
  arch, bare = small.GEMMA, dataclasses.replace(small.GEMMA, vocab_multiple=1)
  params = small.loud(arch)
  assert params["embedding"].shape[0] == 32
  known = {**params, "embedding": params["embedding"][: arch.vocab_size]}
  batch = _two_rows(small.examples(arch.vocab_size, LENGTHS))
  actual = _nll(arch, params, batch)
  closeness.assert_close(actual, _nll(bare, known, batch))
  batch.tokens[0, 1] = arch.vocab_size
  assert np.isnan(_nll(arch, params, batch)[0, 2])
  assert not _new(arch)["embedding"][arch.vocab_size :].any()


def test_rotation_of_a_pair_is_by_its_angle():
  positions = jnp.array([[0, 1]])
  arch = dataclasses.replace(small.RMS, head_width=2)
  rotation = rotary.rotation(positions, arch, "global")
  turned = rotary.rotate(jnp.array([[[[1.0, 0.0]]] * 2]), rotation)
  expected = [[1.0, 0.0], [np.cos(1.0), np.sin(1.0)]]
  np.testing.assert_allclose(turned[0, :, 0], expected, rtol=1e-6)


@pytest.mark.parametrize(
    "wrong, message",
    [
        (dict(kv_heads=3), "kv_heads is 3; it must divide .*heads, 4"),
        (dict(head_width=5), "head_width is 5; rotary"),
        (dict(pattern=()), "pattern is empty"),
        (dict(window=3), "window is 3 and .*if, and only if, there are local"),
        (
            dict(pattern=("local",)),
            "window is 0 and .*a window of 1 or more is needed",
        ),
        (dict(rope_scaling="llama3"), "needs config.model.rope_original"),
        (
            dict(rope_scaling="yarn", rope_original=8, rope_low=4.0),
            "rope_low below rope_high; they are 8, 4.0 and 4.0",
        ),
    ],
)
def test_incompatible_fields_are_refused(wrong, message):
  with pytest.raises(errors.InputError, match=message):
    model_lib.Model.from_config(dataclasses.replace(small.RMS, **wrong))
