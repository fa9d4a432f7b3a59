"""Batches: exact ids."""

import numpy as np

from zsgen.train import batches


def test_ids_of_covers_the_order_once():
  order = np.arange(100, 110)
  steps = batches.steps_of(order, 4)
  assert steps == 3
  ids = np.concatenate([batches.ids_of(order, 4, s) for s in range(steps)])
  assert ids.tolist() == [*order.tolist(), -1, -1]
  np.testing.assert_array_equal(batches.table(order, 4), ids.reshape(3, 4))
  assert batches.table(order[:8], 4).shape == (2, 4)
