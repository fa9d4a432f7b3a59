"""Model FLOPs: hand counts to the unit, and the compiler's to a few percent."""

import jax
from jax import numpy as jnp
import numpy as np
import pytest

from zsgen.core import chips, config
from zsgen.models import execution
from zsgen.models import lora as lora_lib
from zsgen.models import model as model_lib
from zsgen.train import batches, flops

ARCH = config.Model(
    init="new",
    vocab_size=10,
    layers=3,
    width=8,
    heads=4,
    kv_heads=2,
    head_width=2,
    mlp_width=16,
    max_positions=64,
)
# Query and out 2 x 8·8, key and value 2 x 8·4, gate, up and down 3 x 8·16.
_BLOCK = 128 + 64 + 384


def _count(lora=config.NO_LORA, **fields):
  arch = config.Model(**{**vars(ARCH), **fields})
  model = model_lib.Model.from_config(arch, lora)
  shapes = jax.eval_shape(model.init, jax.random.key(0))
  return flops.count_flops(arch, *lora_lib.split(shapes, lora))


@pytest.mark.parametrize("tied", [True, False])
def test_the_head_counts_once_and_the_look_up_never(tied):
  actual = _count(tied=tied, vocab_multiple=16)
  assert actual == flops.Flops(3 * _BLOCK, 0, 6 * 80, 8, {0: 3})


def test_a_step_by_hand():
  lengths = np.array([3, 0, 1], np.int32)
  pairs = 6 + 1
  expected = 6 * 3 * _BLOCK * 4 + 6 * 80 * 2 + 12 * 8 * 3 * pairs
  assert _count().step(lengths, loss_tokens=2) == expected


def test_windows_count_fewer_pairs():
  actual = _count(pattern=("local", "global"), window=2)
  assert actual.blocks == {2: 2, 0: 1}
  # Of 5 tokens in windows of 2: 1 + 2 + 2 + 2 + 2.
  assert flops.pairs(np.array([5, 2]), 2) == 9 + 3
  assert flops.pairs(np.array([5, 2]), 0) == 15 + 3
  kernels = 6 * 3 * _BLOCK * 7
  assert actual.step(np.array([5, 2]), 0) == kernels + 12 * 8 * (2 * 12 + 18)


def test_frozen_weights_need_no_gradient():
  lora = config.Lora(rank=2, targets="attention/query")
  adapters = 3 * (8 * 2 + 2 * 8)
  actual = _count(lora)
  assert (actual.trained, actual.frozen) == (adapters, 3 * _BLOCK)
  expected = (4 * actual.frozen + 6 * adapters) * 5 + 12 * 8 * 3 * 15
  assert actual.step(np.array([5]), 3) == expected + 4 * 80 * 3


def test_adapters_of_the_head_count_with_it():
  lora = config.Lora(rank=2, targets="head")
  actual = _count(lora, tied=False)
  assert (actual.trained, actual.frozen) == (0, 3 * _BLOCK)
  assert actual.head == 4 * 80 + 6 * 2 * (8 + 10)


@pytest.mark.parametrize("rank", [0, 8])
def test_the_compiler_counts_the_same(rank):
  """Counts one block, no mask: each of T positions sees T, not T(T+1)/2."""
  arch = config.Model(
      init="new", layers=1, width=256, heads=4, kv_heads=2, mlp_width=512
  )
  lora = config.Lora(rank=rank, targets=".*") if rank else config.NO_LORA
  no_remat = execution.Execution(remat="none")
  model = model_lib.Model.from_config(arch, lora, no_remat)
  trained, frozen = lora_lib.split(
      jax.eval_shape(model.init, jax.random.key(0)), lora
  )
  rows, length, slots = 4, 128, 64
  tokens = jax.ShapeDtypeStruct((rows, length), jnp.int32)
  positions = jax.ShapeDtypeStruct((1, slots), jnp.int32)
  batch = batches.Batch(tokens, tokens, tokens, tokens, positions, None, None)

  def loss(trained, frozen, batch):
    weights = jnp.ones((1, slots))
    return model.loss(lora_lib.join(trained, frozen), batch, weights)

  lowered = jax.jit(jax.grad(loss)).lower(trained, frozen, batch)
  counted = flops.count_flops(arch, trained, frozen)
  expected = counted.step(np.full(rows, length), slots)
  masked = rows * length * (length - 1) // 2
  expected += 12 * counted.width * masked
  assert lowered.cost_analysis()["flops"] == pytest.approx(expected, rel=0.04)


def test_mfu_is_a_share_of_all_devices():
  chip = chips.find_chip("NVIDIA H200")
  peak = flops.Peak(chip, "NVIDIA H200", 2)
  assert peak.mfu(chip.flops) == 0.5
  assert "2 x H200 SXM of 989.5 bfloat16 TFLOP/s" in peak.describe(_count())


def test_an_unknown_chip_has_no_mfu():
  peak = flops.peak(np.array(jax.devices()[:1]))
  assert peak.mfu(1e12) is None
  assert "'cpu' is not in zsgen/core/chips.py" in peak.describe(_count())
