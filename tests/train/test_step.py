"""The step: what the loss divides by, and the ids that it witnesses."""

import numpy as np
import optax
import pytest

from zsgen.core import config
from zsgen.train import batches, optimizer
from zsgen.train import step as step_lib


def _batch(segments, mask, ids):
  segments = np.array(segments, np.int32)
  slots = range(1, len(ids) + 1)
  return batches.Batch(
      tokens=np.zeros_like(segments),
      positions=np.zeros_like(segments),
      segments=segments,
      mask=np.array(mask, np.float32),
      loss_positions=np.flatnonzero(mask).astype(np.int32)[None],
      ids=np.array(ids, np.int32),
      lengths=np.array([(segments == s).sum() for s in slots], np.int32),
  )


NLL = np.array([[9.0, 1, 2, 9, 3], [9, 4, 5, 9, 0]], np.float32)
BATCH = _batch(
    segments=[[1, 1, 1, 2, 2], [3, 3, 3, 4, 4]],
    mask=[[0, 1, 1, 0, 1], [0, 1, 1, 0, 0]],
    ids=[7, 8, 9, 4],
)


def _loss(groups):
  weights = step_lib.token_weights(BATCH, groups)
  nll = NLL.ravel()[BATCH.loss_positions]
  return (nll * step_lib.slot_weights(BATCH, weights)).sum()


def test_loss_is_the_token_mean_over_the_global_batch():
  assert _loss(1) == pytest.approx(15 / 5)


def test_empty_slots_have_no_weight_and_belong_to_no_example():
  slots = np.pad(BATCH.loss_positions, ((0, 0), (0, 2)))
  padded = BATCH._replace(loss_positions=slots)
  weights = step_lib.slot_weights(padded, step_lib.token_weights(padded, 1))
  assert weights.tolist() == [[pytest.approx(0.2)] * 5 + [0, 0]]
  sums = step_lib.sum_losses(np.array([[1.0, 2, 3, 4, 5, 9, 9]]), padded)
  assert sums.tolist() == [3, 3, 9, 0]


def test_loss_in_groups_is_the_mean_of_their_token_means():
  # Group 0 holds examples 0 and 2, group 1 examples 1 and 3.
  expected = ((1 + 2 + 4 + 5) / 4 + 3 / 1) / 2
  assert _loss(2) == pytest.approx(expected)


def test_a_group_without_loss_tokens_does_not_count():
  # Group 3 is example 3, which has none.
  expected = (3 / 2 + 3 + 9 / 2) / 3
  assert _loss(4) == pytest.approx(expected)


def test_witnessed_ids_have_all_their_tokens():
  assert step_lib.witnessed_ids(BATCH).tolist() == [7, 8, 9, 4]
  short = BATCH._replace(segments=BATCH.segments.copy())
  short.segments[0, 2] = 0
  assert step_lib.witnessed_ids(short).tolist() == [-1, 8, 9, 4]
  twice = BATCH._replace(segments=BATCH.segments.copy())
  twice.segments[1, 3:] = 2
  assert step_lib.witnessed_ids(twice).tolist() == [7, -1, 9, -1]
  empty = BATCH._replace(lengths=np.array([3, 2, 3, 0], np.int32))
  assert step_lib.witnessed_ids(empty).tolist() == [7, 8, 9, -1]


def test_learning_rate_of_the_paper():
  train = config.Train(learning_rate=1e-6)
  assert optimizer.learning_rate(train, 0, 1800) == 1e-6
  assert optimizer.learning_rate(train, 900, 1800) == pytest.approx(5.5e-7)
  assert optimizer.learning_rate(train, 1800, 1800) == pytest.approx(1e-7)
  warm = config.Train(learning_rate=1.0, warmup_steps=3, final_share=1.0)
  rates = [optimizer.learning_rate(warm, step, 10) for step in range(5)]
  assert rates == [0.25, 0.5, 0.75, 1.0, 1.0]
  line = config.Train(learning_rate=2.0, schedule="linear", final_share=0.0)
  rates = [optimizer.learning_rate(line, step, 4) for step in range(5)]
  assert rates == [2.0, 1.5, 1.0, 0.5, 0.0]


def test_weights_decay_by_the_rate():
  train = config.Train(learning_rate=0.1, weight_decay=0.5)
  hyper = optimizer.hyper_at(train, 0, 10)
  params, zero_grads = np.array([2.0, -4.0], np.float32), np.zeros(
      2, np.float32
  )
  adam = optimizer.transformation(hyper, "float32")
  moments = optimizer.init(params, "float32")
  updates, _ = adam.update(zero_grads, moments, params)
  np.testing.assert_allclose(updates, -0.1 * 0.5 * params, rtol=1e-6)


def test_adam_of_the_released_code():
  """eps outside the square root, clip before the moments (spec 3.4)."""
  train = config.Train(learning_rate=0.1, clip=1.0)
  params, grads = np.array([1.0, -2.0]), np.array([3.0, 4.0])
  moments = optimizer.init(params, "float32")
  first = second = np.zeros(2)
  expected = params
  for step in range(3):
    hyper = optimizer.hyper_at(train, step, 10)
    updates, moments = optimizer.transformation(hyper, "float32").update(
        grads, moments, params
    )
    params = optax.apply_updates(params, updates)
    clipped = grads / 5.0
    first = 0.9 * first + 0.1 * clipped
    second = 0.95 * second + 0.05 * clipped**2
    unbiased = (first / (1 - 0.9 ** (step + 1))) / (
        np.sqrt(second / (1 - 0.95 ** (step + 1))) + 1e-5
    )
    rate = optimizer.learning_rate(train, step, 10)
    expected = expected - rate * unbiased
  np.testing.assert_allclose(params, expected, rtol=1e-5)
