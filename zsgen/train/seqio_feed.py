"""Batches from the seqio Mixture of an order: the store's feed, slower.

It shows that the deterministic Mixture is what a run trains on. Only who
calls `seqio_feed` imports TensorFlow.
"""

import itertools
import pathlib

import numpy as np

from zsgen.core import errors
from zsgen.data import store as store_lib
from zsgen.train import batches


def seqio_feed(
    store: store_lib.Store, order: pathlib.Path, batch_size: int, first: int
) -> batches.Feed:
  """Returns a feed from `zsgen:<suite>:<order>`, bit-equal to `store_feed`.

  A Mixture can only be read onwards: the feed must be called with `first`,
  `first` + 1, …, and raises a ValueError otherwise.

  Args:
    store: the store that the order was built for.
    order: the order's directory.
    batch_size: examples of a step, B.
    first: the first step that will be requested; what it skips is not read.

  Raises:
    InputError: seqio is not installed, or the order is not one of the store.
  """
  try:
    # TensorFlow is loaded only where it is asked for.
    from zsgen.data import views
  except ImportError as error:
    raise errors.InputError(
        f"config.data.feed='seqio' needs seqio and TensorFlow ({error}): pip"
        " install 'zsgen[data]', or use config.data.feed='store'."
    ) from error

  rows = views.read_order(store, order, start=first * batch_size)
  steps = itertools.count(first)

  def feed(step: int) -> batches.Examples:
    """Returns the examples of the next step; raises ValueError for another."""
    expected = next(steps)
    if step != expected:
      raise ValueError(f"the feed is at step {expected}, not at {step}.")
    return _pad(list(itertools.islice(rows, batch_size)), batch_size)

  return feed


def _pad(
    examples: list[tuple[int, store_lib.TokenRow]], batch_size: int
) -> batches.Examples:
  """Fills up a batch with empty slots."""
  padded = [
      *examples,
      *[(batches.NO_EXAMPLE, batches.NO_ROW)] * (batch_size - len(examples)),
  ]
  ids, rows = zip(*padded, strict=True)
  return batches.Examples(np.array(ids, np.int64), list(rows))
