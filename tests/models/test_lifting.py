"""Two threads may trace models at a time."""

from flax import linen as nn
import jax
import jax.numpy as jnp
import pytest
import small

from zsgen.models import encoder
from zsgen.models import execution as execution_lib
from zsgen.models import model as model_lib

BERT = encoder.Arch(
    vocab_size=8,
    width=4,
    layers=2,
    heads=2,
    mlp_width=8,
    max_positions=4,
    types=1,
    activation="gelu",
    norm_eps=1e-6,
)


@pytest.fixture(autouse=True)
def _no_new_classes(monkeypatch):
  """Refuses to derive modules, for which Flax edits `nn.Module` itself."""

  def refuse(cls, **unused):
    del unused
    raise AssertionError(f"{cls} was derived while a model was traced")

  monkeypatch.setattr(nn.Module, "__init_subclass__", classmethod(refuse))


@pytest.mark.parametrize("remat", ["none", "cheap", "full"])
def test_tracing_a_decoder_derives_no_class(remat):
  # Its pattern is scanned and a block is left over.
  model = model_lib.Model(small.GEMMA, execution=execution_lib.Execution(remat))
  rows = jnp.zeros((2, 4), jnp.int32)

  def total(params):
    return model.logits(params, rows, rows, rows + 1).sum()

  params = jax.eval_shape(model.init, jax.random.key(0))
  assert jax.eval_shape(jax.grad(total), params) == params


def test_tracing_an_encoder_derives_no_class():
  shapes = encoder.shapes(BERT)
  states = jax.eval_shape(
      encoder.Bert(BERT, "float32").apply,
      {"params": shapes},
      jnp.zeros((2, 4), jnp.int32),
      jnp.full(2, 4),
  )
  assert states.shape == (2, 4, 4)
