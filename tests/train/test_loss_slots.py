"""Logits where the loss is: the slots, and the loss and gradient from them."""

import dataclasses
import json
import pathlib
import subprocess
import sys

import jax
from jax import numpy as jnp
import numpy as np
import pytest

from tests.helpers import closeness, xla
from zsgen.core import config as config_lib
from zsgen.core import errors
from zsgen.data import store as store_lib
from zsgen.models import execution, gather, head
from zsgen.models import lora as lora_lib
from zsgen.models import model as model_lib
from zsgen.planning import products
from zsgen.train import batches, layouts, loss_slots
from zsgen.train import step as step_lib

GATHERED = pathlib.Path(__file__).with_name("gathered.py")
LORA = config_lib.Lora(rank=2, targets="head|mlp/up")
TIED = config_lib.Model(
    init="new",
    vocab_size=40,
    layers=1,
    width=16,
    heads=2,
    kv_heads=1,
    head_width=8,
    mlp_width=24,
)
# The vocabulary is padded to 48.
UNTIED = dataclasses.replace(TIED, tied=False, vocab_multiple=16, logit_cap=5.0)
ROWS, LENGTH = 4, 32


def _examples(rng):
  """Random examples: some without loss, some with loss on the first token."""
  rows = []
  for length in rng.integers(0, 33, 9):
    mask = rng.random(length) < rng.choice([0.0, 0.1, 0.5, 1.0])
    tokens = rng.integers(0, 40, length).astype(np.uint32)
    rows.append(store_lib.TokenRow(tokens, mask.astype(np.uint8)))
  return batches.Examples(np.arange(9), rows)


def _batch(seed, split):
  """A batch whose slots are exactly full in the fullest row group."""
  examples = _examples(np.random.default_rng(seed))
  lengths = [len(row.tokens) for row in examples.rows]
  rows = len(layouts.best_fit(lengths, LENGTH))
  rows = layouts.round_up(max(rows, ROWS), split.row_step)
  all_slots = layouts.Shape(rows, LENGTH, 0)
  all_slots = all_slots._replace(loss_slots=split.positions(all_slots))
  roomy = layouts.lay_out(examples, all_slots, split)
  count = int((roomy.loss_positions > 0).sum(1).max())
  return layouts.lay_out(
      examples, all_slots._replace(loss_slots=max(count, 1)), split
  )


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize(
    "split", [(1, 1), (2, 1), (1, 2), (2, 2), (1, 1, 4), (2, 2, 2)]
)
def test_slots_hold_each_token_with_loss_once(seed, split):
  split = layouts.Split(*split)
  batch = _batch(seed, split)
  rows, length = batch.tokens.shape
  expected = []
  for row in range(rows):
    group = split.group(row, rows)
    before = [r for r in range(row) if split.group(r, rows) == group]
    for position in range(length):
      if batch.mask[row, position] and batch.positions[row, position]:
        expected.append((group, len(before) * length + position))
  shares, slots = np.nonzero(batch.loss_positions)
  # Shares are numbered by shard, device of the shard, and micro-batch.
  shard, part = shares // (split.context * split.parts), shares % split.parts
  groups = shard * split.parts + part
  actual = zip(groups, batch.loss_positions[shares, slots], strict=True)
  assert sorted(actual) == sorted(expected)


def test_loss_at_the_end_of_rows_is_shared_evenly():
  split = layouts.Split(shards=2, context=4)
  mask = np.tile(np.arange(32) >= 22, (4, 1))  # All in the last of four parts.
  slots = np.zeros((split.groups, 5), np.int32)
  loss_slots.fill(
      slots, mask, np.tile(np.arange(32), (4, 1)), split.shards, split.context
  )
  assert (slots > 0).all()
  expected = [*range(22, 32), *range(54, 64)]
  assert slots[:4].ravel().tolist() == slots[4:].ravel().tolist() == expected


@pytest.mark.parametrize("split", [(2, 1, 2), (1, 1, 8)])
def test_split_positions_give_the_same_tokens_and_segments(split):
  split = layouts.Split(*split)
  batch, unsplit = _batch(5, split), _batch(5, layouts.Split())

  def tokens(batch, context):
    segments = step_lib.loss_segments(batch, context)
    values = gather.gather(
        batch.tokens, batch.loss_positions, position_shards=context
    )
    weights = step_lib.slot_weights(batch, jnp.ones(1), context)
    assert ((weights > 0) == (segments > 0)).all()
    pairs = jnp.stack([segments, values], -1)[segments > 0]
    return sorted(map(tuple, pairs.tolist()))

  assert tokens(batch, split.context) == tokens(unsplit, 1)


def test_more_loss_than_slots_is_an_error():
  mask, positions = np.ones((1, 4)), np.arange(4)[None]
  slots = np.zeros((1, 2), np.int32)
  with pytest.raises(errors.InputError, match=r"3 positions with loss.* 2 of"):
    loss_slots.fill(slots, mask, positions, shards=1)


def _params(model, seed):
  rng = np.random.default_rng(seed)
  shapes = jax.eval_shape(model.init, jax.random.key(0))
  return jax.tree.map(
      lambda leaf: rng.normal(0, 0.4, leaf.shape).astype(np.float32), shapes
  )


def _plain(model, params, batch, weights):
  """The loss, from the logits of all positions."""
  logits = model.logits(params, *batch[:3])[:, :-1]
  nll = head.nll(logits, batch.tokens[:, 1:])
  by_token = batch.mask * weights[(batch.segments - 1) % len(weights)]
  return (nll * (by_token * (batch.positions > 0))[:, 1:]).sum()


@pytest.mark.numerics
@pytest.mark.parametrize(
    ("shards", "chunk"),
    [
        (2, 7),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in ((1, 0), (1, 7), (2, 0))
        ),
    ],
)
@pytest.mark.parametrize(
    ("arch", "lora"),
    [
        (TIED, config_lib.NO_LORA),
        (UNTIED, config_lib.NO_LORA),
        (UNTIED, LORA),
        (TIED, LORA),
    ],
    ids=["tied", "untied", "untied-lora", "tied-lora"],
)
def test_loss_and_gradient_are_those_of_all_logits(arch, lora, shards, chunk):
  model = model_lib.Model(arch, lora, execution.Execution(logits_chunk=chunk))
  batch = _batch(3, layouts.Split(shards))
  weights = jnp.array([0.3, 0.7])

  def plain(trained, frozen):
    return _plain(model, lora_lib.join(trained, frozen), batch, weights)

  def gathered(trained, frozen):
    slots = step_lib.slot_weights(batch, weights)
    return model.loss(lora_lib.join(trained, frozen), batch, slots)

  trained, frozen = lora_lib.split(_params(model, 0), lora)
  expected = jax.jit(jax.value_and_grad(plain))(trained, frozen)
  actual = jax.jit(jax.value_and_grad(gathered))(trained, frozen)
  closeness.assert_close(actual[0], expected[0])
  closeness.assert_close(actual[1], expected[1])
  loss = jax.jit(gathered)(trained, frozen)
  closeness.assert_close(loss, expected[0])


@pytest.mark.numerics
@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_random_masks_give_the_loss_of_all_logits(seed):
  shards, chunk = 1 + seed % 2, (0, 5, 512)[seed % 3]
  model = model_lib.Model(
      TIED, config_lib.NO_LORA, execution.Execution(logits_chunk=chunk)
  )
  params, batch = _params(model, seed), _batch(seed, layouts.Split(shards))
  weights = jnp.ones(1)
  expected, gradient = jax.jit(
      jax.value_and_grad(lambda params: _plain(model, params, batch, weights))
  )(params)
  slots = step_lib.slot_weights(batch, weights)
  actual, gathered = jax.jit(
      jax.value_and_grad(lambda params: model.loss(params, batch, slots))
  )(params)
  closeness.assert_close(actual, expected)
  closeness.assert_close(gathered, gradient)


def test_rows_without_loss_have_no_gradient():
  model = model_lib.Model(TIED)
  batch = _batch(0, layouts.Split())
  batch.loss_positions[:] = loss_slots.EMPTY
  slots = step_lib.slot_weights(batch, jnp.ones(1))
  value, gradient = jax.value_and_grad(model.loss)(
      _params(model, 0), batch, slots
  )
  assert value == 0
  assert not any(leaf.any() for leaf in jax.tree.leaves(gradient))
  assert not model.token_nll(_params(model, 0), batch).any()


@pytest.mark.parametrize(
    ("lora", "products_per_slot"), [(config_lib.NO_LORA, 3), (LORA, 2)]
)
@pytest.mark.parametrize("chunk", [0, 32, 48])
def test_nothing_of_the_head_is_computed_twice(lora, products_per_slot, chunk):
  """Counts FLOPs: a frozen head has no gradient; chunks pad next to nothing."""
  arch = dataclasses.replace(TIED, vocab_size=4096)

  def count(vocab_size, slots):
    model = model_lib.Model(
        dataclasses.replace(arch, vocab_size=vocab_size),
        lora,
        execution.Execution(logits_chunk=chunk),
    )
    shapes = jax.eval_shape(model.init, jax.random.key(0))
    trained, frozen = lora_lib.split(shapes, lora)
    batch = _batch(0, layouts.Split())
    batch = batch._replace(loss_positions=np.zeros((1, slots), np.int32))

    def loss(trained, frozen):
      weights = np.ones((1, slots), np.float32)
      return model.loss(lora_lib.join(trained, frozen), batch, weights)

    return products.flops(jax.make_jaxpr(jax.grad(loss))(trained, frozen))

  slots = 97
  head_flops = count(4096, slots) - count(40, slots)
  per_slot = 2 * 16 * (4096 - 40) * products_per_slot
  padding = -(-slots // (chunk or slots)) - 1
  assert per_slot * slots <= head_flops <= per_slot * (slots + padding)


@pytest.mark.slow
def test_each_device_computes_the_logits_of_its_rows():
  """Checks that one of 4 x 2 devices has an eighth of the FLOPs of all."""
  completed = subprocess.run(
      [sys.executable, GATHERED],
      env=xla.environment(xla.devices(8), "--xla_backend_optimization_level=0"),
      capture_output=True,
      text=True,
      check=False,
  )
  assert completed.returncode == 0, completed.stderr
  flops = json.loads(completed.stdout)
  for name in ("tied", "untied"):
    assert flops[name] < 1.1 * flops[f"{name} alone"] / 8
    # Of all but attention: each query of a device is compared with all keys.
    assert flops[f"{name} context"] < 1.15 * flops[f"{name} alone"] / 8
  # What a gather from a single line would cost.
  assert flops["flat"] > 1.3 * flops["tied"]
