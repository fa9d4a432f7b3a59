"""Rows of tokens in memory that are packed as those of a store are."""

from collections.abc import Sequence
import functools

import numpy as np

from zsgen.data import store as store_lib


class TokenRows(store_lib.Store):
  """A store of contexts and what follows them, for `packed.Packed`.

  Args:
    store: the store of which it is a view; its rows are not read.
    contexts: the tokens before, one at least.
    continuations: the tokens with loss that follow each context.
  """

  def __init__(
      self,
      store: store_lib.Store,
      contexts: Sequence[Sequence[int]],
      continuations: Sequence[Sequence[int]],
  ):
    super().__init__(store.path, store.manifest)
    self._contexts = contexts
    self._continuations = continuations

  @functools.cached_property
  def lengths(self) -> np.ndarray:
    """Tokens of each row, int32 [N]."""
    counts = np.array([len(row) for row in self._contexts], np.int32)
    return counts + self.loss_lengths

  @functools.cached_property
  def loss_lengths(self) -> np.ndarray:
    """Tokens with loss of each row, int32 [N]."""
    return np.array([len(row) for row in self._continuations], np.int32)

  def row(self, example: int) -> store_lib.TokenRow:
    """Returns tokens and the mask of those with loss, of a row."""
    context = self._contexts[example]
    tokens = np.array([*context, *self._continuations[example]], np.uint32)
    mask = (np.arange(len(tokens)) >= len(context)).astype(np.uint8)
    return store_lib.TokenRow(tokens, mask)
