"""Whole models with each backend of attention."""

import dataclasses

import jax
from jax import numpy as jnp
import numpy as np
import pytest

from tests.helpers import closeness
from tests.models import small
from zsgen.core import config
from zsgen.core import mesh as mesh_lib
from zsgen.models import execution as execution_lib
from zsgen.models import model as model_lib
from zsgen.train import population

pytestmark = pytest.mark.numerics

ARCH = dataclasses.replace(
    small.RMS, pattern=("local", "global"), window=3, score_cap=5.0
)


def _loss(params, rows, backend):
  execution = execution_lib.Execution(attention=backend)
  model = model_lib.Model.from_config(ARCH, execution=execution)
  weights = jnp.ones_like(rows.loss_positions, jnp.float32)
  return model.loss(params, rows, weights)


def _rows():
  """Packed rows: the second ends in padding, the third is all padding."""
  parts = small.examples(24, [7, 5, 4, 6, 3])
  return small.rows([parts[:3], parts[3:], []], 16)


@pytest.mark.parametrize("backend", ["flash", "splash"])
def test_gradients_equal_those_of_plain_operations(backend):
  grad = jax.jit(jax.value_and_grad(_loss), static_argnums=2)
  rows = jax.tree.map(jnp.asarray, _rows())
  params = small.loud(ARCH)
  closeness.assert_close(grad(params, rows, backend), grad(params, rows, "xla"))


@pytest.mark.slow
def test_members_of_a_population_equal_plain_operations():
  rows = jax.tree.map(jnp.asarray, _rows())
  params = small.loud(ARCH)
  grad = jax.value_and_grad(_loss)
  mesh = mesh_lib.make(config.Mesh(), jax.devices()[:1])
  members = population.mapped(
      lambda params, rows: grad(params, rows, "flash"),
      population.sharding(mesh, 2),
  )
  stacked = jax.tree.map(lambda x: jnp.stack([x, x]), (params, rows))
  actual = jax.tree.map(lambda x: x[1], jax.jit(members)(*stacked))
  expected = jax.jit(grad, static_argnums=2)(params, rows, "xla")
  closeness.assert_close(actual, expected)


@pytest.mark.parametrize("backend", ["flash", "splash", "cudnn"])
def test_prefill_equals_plain_operations(backend):
  arch = dataclasses.replace(small.RMS, layers=1)
  tokens = np.stack(small.examples(24, [9, 9, 9]))
  lengths = np.array([9, 4, 1], np.int32)

  def read(backend):
    execution = execution_lib.Execution(attention=backend)
    model = model_lib.Model.from_config(arch, execution=execution)
    prefill = jax.jit(model.prefill, static_argnums=3)
    return prefill(small.loud(arch), tokens, lengths, 2)

  closeness.assert_close(read(backend), read("xla"))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_float32_models_multiply_in_float32(dtype):
  arch = dataclasses.replace(small.RMS, dtype=dtype)
  execution = execution_lib.Execution(attention="splash", logits_chunk=8)
  model = model_lib.Model.from_config(arch, execution=execution)
  rows = _rows()
  weights = np.ones_like(rows.loss_positions, np.float32)
  # The gradient of a function that is traced already.
  loss = jax.jit(lambda params: model.loss(params, rows, weights))
  text = str(jax.make_jaxpr(jax.grad(loss))(small.loud(arch)))
  precise = text.count("precision=(Precision.HIGHEST")
  assert precise == text.count("dot_general[") * (dtype == "float32")
