"""Layouts of an evaluation's examples in batches of rows.

`PlainRows` packs whole examples. `SharedRows` packs groups of examples, whose
prefix is a segment before those of its members. One of them is chosen for an
evaluation, by its examples, the batch size, the model and the mesh only.
"""

import abc
from collections.abc import Iterator, Sequence
import functools

import numpy as np

from zsgen.evals import api, prefixes, shared_batch
from zsgen.models import attention
from zsgen.models import model as model_lib
from zsgen.train import batches, layouts

# Prefixes are shared if that saves this part of all tokens.
_WORTH = 0.05
# Rows with prefixes are at most this many times as long as others: attention
# needs memory for it. So many lengths are compared.
_LONGEST, _LENGTHS = 2, 16


class Rows(abc.ABC):
  """How the examples of an evaluation are laid out.

  Args:
    ids: rows of the store, int64 [E].
    context: what is read, and where it is computed.

  Attributes:
    split: how rows are split.
    note: what the log says about shared prefixes; "" for nothing.
  """

  def __init__(self, ids: np.ndarray, context: api.Context, note: str = ""):
    self._ids = ids
    self.note = note
    self._context = context
    self.split = layouts.split_on(context.mesh)

  @property
  @abc.abstractmethod
  def size(self) -> tuple[int, int]:
    """Rows of a batch, and tokens of a row."""

  @property
  def tokens(self) -> int:
    """The number of tokens that are computed, without padding."""
    return int(self._lengths.tokens.sum())

  @abc.abstractmethod
  def slots(self, rows: int, length: int) -> list[np.ndarray]:
    """Returns the indices into `ids` of each batch of `rows` rows."""

  @abc.abstractmethod
  def loss(self, rows: int, length: int) -> int:
    """Returns the most positions with loss of a share of the batches."""

  @abc.abstractmethod
  def lay_out(
      self, shape: layouts.Shape, count: int, size: int
  ) -> Iterator[batches.Batch[np.ndarray]]:
    """Lays out batches of one shape, so that one program serves all.

    Args:
      shape: the shape.
      count: number of batches; those after the last example are empty.
      size: examples of each batch, with empty ones.
    """

  @functools.cached_property
  def _lengths(self) -> layouts.Lengths:
    """Returns the lengths of the examples, in tokens."""
    store = self._context.store
    return layouts.Lengths(
        store.lengths[self._ids], store.loss_lengths[self._ids]
    )

  def _padded(
      self, slots: Sequence[np.ndarray], count: int, size: int
  ) -> np.ndarray:
    """Returns the ids of each batch, int64 [count, size]."""
    padded = np.full((count, size), batches.NO_EXAMPLE)
    for ids, indices in zip(padded, slots, strict=False):
      ids[: len(indices)] = self._ids[indices]
    return padded


class PlainRows(Rows):
  """Rows of whole examples."""

  @functools.cached_property
  def size(self) -> tuple[int, int]:
    """Rows, and tokens of a row, in which any `batch_size` examples fit."""
    size = self._context.batch_size
    return layouts.largest(self._lengths.tokens, size, self.split)

  def slots(self, rows: int, length: int) -> list[np.ndarray]:
    """Returns the indices into `ids` of each batch of `rows` rows."""
    packed = layouts.best_fit(self._lengths.tokens.tolist(), length)
    return [
        np.array(sum(packed[i : i + rows], []))
        for i in range(0, len(packed), rows)
    ]

  def loss(self, rows: int, length: int) -> int:
    """Returns the most positions with loss of a share of the batches."""
    return max(
        layouts.loss_positions(
            self._lengths.take(indices),
            rows,
            length,
            self.split,
        )
        for indices in self.slots(rows, length)
    )

  def lay_out(
      self, shape: layouts.Shape, count: int, size: int
  ) -> Iterator[batches.Batch[np.ndarray]]:
    """Lays out batches of one shape; see `Rows`."""
    slots = self.slots(shape.rows, shape.length)
    for ids in self._padded(slots, count, size):
      examples = batches.look_up(self._context.store, ids)
      yield layouts.lay_out(examples, shape, self.split)


class SharedRows(Rows):
  """Rows of groups of examples. A group is not split over rows.

  Args:
    ids: rows of the store, int64 [E].
    context: what is read, and where it is computed.
    groups: the groups, of indices into `ids`.
    note: see `Rows`.
  """

  def __init__(
      self,
      ids: np.ndarray,
      context: api.Context,
      groups: Sequence[prefixes.Group],
      note: str = "",
  ):
    super().__init__(ids, context, note)
    self._groups = groups
    # Rows of each length that was asked for.
    self._packed = functools.cache(self._pack)

  @functools.cached_property
  def size(self) -> tuple[int, int]:
    """Rows, and tokens of a row, that take the least time.

    A batch has at most as many slots as one of `PlainRows`.
    """
    most_rows, longest = PlainRows(self._ids, self._context).size
    slots = most_rows * longest
    model = self._context.model
    candidates = []
    longest_row = min(_LONGEST * longest, slots // self.split.groups)
    step = layouts.round_up(-(-(longest_row - longest) // _LENGTHS), 32) or 32
    for length in range(longest, longest_row + 1, step):
      count = len(self._packed(length))
      limit = slots // length // self.split.groups * self.split.groups
      number = -(-count // limit)
      rows = layouts.round_up(-(-count // number), self.split.groups)
      cost = number * rows * length * _slot_cost(model, length)
      candidates.append((cost, rows, length))
    _, rows, length = min(candidates, key=lambda candidate: candidate[0])
    return rows, length

  @property
  def tokens(self) -> int:
    """The number of tokens that are computed, without padding."""
    _, length = self.size
    lengths = self._lengths.tokens
    return sum(
        group.tokens(lengths) for row in self._packed(length) for group in row
    )

  def slots(self, rows: int, length: int) -> list[np.ndarray]:
    """Returns the indices into `ids` of each batch of `rows` rows."""
    return [
        np.array([i for row in batch for group in row for i in group.members])
        for batch in self._batches(rows, length)
    ]

  def loss(self, rows: int, length: int) -> int:
    """Returns the most positions with loss of a share of the batches."""
    largest = 0
    for batch in self._batches(rows, length):
      counts = np.zeros(self.split.row_step, np.int64)
      for number, row in enumerate(batch):
        members = [i for group in row for i in group.members]
        counts[self.split.group(number, rows)] += self._lengths.loss[
            members
        ].sum()
      largest = max(largest, int(self.split.share(counts.max())))
    return largest

  def lay_out(
      self, shape: layouts.Shape, count: int, size: int
  ) -> Iterator[batches.Batch[np.ndarray]]:
    """Lays out batches of one shape; see `Rows`."""
    packed = self._batches(shape.rows, shape.length)
    slots = self.slots(shape.rows, shape.length)
    empty: list[list[shared_batch.Row]] = [[]]
    for rows, ids in zip(
        packed + empty * (count - len(packed)),
        self._padded(slots, count, size),
        strict=True,
    ):
      examples = batches.look_up(self._context.store, ids)
      yield shared_batch.lay_out(examples, rows, shape, self.split)

  def _batches(self, rows: int, length: int) -> list[list[shared_batch.Row]]:
    """Returns the packed rows of each batch."""
    packed = self._packed(length)
    return [packed[i : i + rows] for i in range(0, len(packed), rows)]

  def _pack(self, length: int) -> list[shared_batch.Row]:
    """Returns the groups of each row of some length."""
    tokens = self._lengths.tokens
    groups = prefixes.split_groups(self._groups, tokens, length)
    sizes = [group.tokens(tokens) for group in groups]
    return [[groups[i] for i in row] for row in layouts.best_fit(sizes, length)]


def make(ids: np.ndarray, context: api.Context, share: bool) -> Rows:
  """Returns the layout of an evaluation.

  Args:
    ids: rows of the store, int64 [E].
    context: what is read, and where it is computed.
    share: whether prefixes are shared if that saves enough tokens.
  """
  if not share:
    return PlainRows(ids, context)
  groups = prefixes.find_groups(context.store.row(i) for i in ids)
  tokens = context.store.lengths[ids]
  total = int(tokens.sum())
  saved = total - sum(group.tokens(tokens) for group in groups)
  if saved < _WORTH * total:
    return PlainRows(ids, context)
  note = (
      f"prompts have {saved / total:.0%} of {total:,} tokens in common, which are"
      " computed once"
  )
  return SharedRows(ids, context, groups, note)


def _slot_cost(model: model_lib.Model, length: int) -> float:
  """Returns the multiplications of a slot in a block, in a row of a length."""
  arch = model.arch
  heads = arch.heads * arch.head_width
  kv_heads = arch.kv_heads * arch.head_width
  projections = 2 * arch.width * (heads + kv_heads)
  mlp = (3 if arch.gated else 2) * arch.width * arch.mlp_width
  # A slot is compared with half of its row, and mixes as many values.
  scores = attention.row_reads(model.execution) * heads * length
  return projections + mlp + scores
