"""Views of a store in which answers are compared with and without prompts.

Without a prompt, the first token of an answer has no token before it, unless
the tokenizer begins every text with one. It then counts in neither view.
"""

import functools

import numpy as np

from zsgen.data import store as store_lib


class AnswerStore(store_lib.Store):
  """A store whose examples count the same answer tokens, with their prompts.

  Args:
    store: the store that is viewed.
    begin: the token that begins every text; None if there is none.
  """

  def __init__(self, store: store_lib.Store, begin: int | None):
    super().__init__(store.path, store.manifest)
    self._begin = begin

  @functools.cached_property
  def loss_lengths(self) -> np.ndarray:
    """Loss tokens of each example that count, int32 [N]."""
    uncounted = 1 if self._begin is None else 0
    lengths = self._column("loss_tokens").astype(np.int32)
    return np.maximum(lengths - uncounted, 0)

  def row(self, example: int) -> store_lib.TokenRow:
    """Returns tokens and the mask of those that count, of an example id."""
    row = super().row(example)
    if self._begin is not None:
      return row
    mask = row.mask.copy()
    mask[mask.argmax()] = 0
    return store_lib.TokenRow(row.tokens, mask)


class PromptlessStore(AnswerStore):
  """A store whose examples are their answers alone, one after another."""

  @functools.cached_property
  def lengths(self) -> np.ndarray:
    """Tokens of each example, int32 [N]."""
    return self.loss_lengths + np.int32(1)

  def row(self, example: int) -> store_lib.TokenRow:
    """Returns tokens and the mask of those that count, of an example id."""
    tokens, mask = store_lib.Store.row(self, example)
    answer = tokens[mask.astype(bool)]
    if self._begin is not None:
      answer = np.insert(answer, 0, self._begin)
    counted = np.ones(len(answer), np.uint8)
    counted[:1] = 0
    return store_lib.TokenRow(answer, counted)
