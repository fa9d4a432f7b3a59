"""Batches of examples, one example a row, for vectors of single examples.

A row is padded to the length of its bucket. The batches depend on the examples
and on the number of rows that a batch may have, not on what is computed yet.
"""

from collections.abc import Callable, Iterator
import pathlib
from typing import Any, NamedTuple

import jax
import numpy as np

from zsgen.core import artifacts, hosts
from zsgen.core import mesh as mesh_lib
from zsgen.data import store as store_lib
from zsgen.orders.embedders import progress

# Lengths of rows are multiples of this, and of an eighth of a power of two.
_STEP = 32
# The number of loss positions of a row is a multiple of this.
_LOSS_STEP = 16


class RowBatch(NamedTuple):
  """Rows of tokens; on the host, on the devices, or their shardings.

  Attributes:
    tokens: int32 [R, T].
    lengths: tokens of each row, int32 [R]; 0 for a row without example.
    loss_positions: positions of the tokens with loss, int32 [R, K]; 0 where
      there is none.
  """

  tokens: Any
  lengths: Any
  loss_positions: Any


class Plan:
  """The batches of examples.

  Args:
    store: the examples.
    ids: rows of the store, int64 [n].
    lengths: the tokens that are read of each, the first ones, int [n].
    rows: returns the rows of a batch, given their length.

  Attributes:
    slots: the indices into `ids` of each batch; ascending by length.
  """

  def __init__(
      self,
      store: store_lib.Store,
      ids: np.ndarray,
      lengths: np.ndarray,
      rows: Callable[[int], int],
  ):
    self._store, self._ids, self._lengths = store, ids, lengths
    self._shapes: list[tuple[int, int, int]] = []
    self.slots: list[np.ndarray] = []
    widths = _bucket(lengths)
    for width in np.unique(widths).tolist():
      members = np.flatnonzero(widths == width)
      size = rows(width)
      loss = int(store.loss_lengths[ids[members]].max())
      shape = (size, width, min(width, _round_up(max(loss, 1), _LOSS_STEP)))
      batches = np.split(members, range(size, len(members), size))
      self.slots += batches
      self._shapes += [shape] * len(batches)

  @property
  def digest(self) -> str:
    """Ten digits of a hash of the plan."""
    sizes = list(map(len, self.slots))
    return artifacts.digest([self._shapes, sizes])[:10]

  def lay_out(self, first: int) -> Iterator[tuple[np.ndarray, RowBatch]]:
    """Yields the batches from number `first` on, with the ids of their rows.

    Ids are int64 [R], -1 for a row without example.
    """
    for indices, (size, width, loss) in zip(
        self.slots[first:], self._shapes[first:], strict=True
    ):
      ids = np.full(size, -1)
      ids[: len(indices)] = self._ids[indices]
      batch = RowBatch(
          np.zeros((size, width), np.int32),
          np.zeros(size, np.int32),
          np.zeros((size, loss), np.int32),
      )
      for row, index in enumerate(indices):
        self._fill(batch, row, index)
      yield ids, batch

  def _fill(self, batch: RowBatch, row: int, index: int) -> None:
    """Writes an example into a row of a batch."""
    example = self._store.row(self._ids[index])
    length = self._lengths[index]
    batch.tokens[row, :length] = example.tokens[:length]
    batch.lengths[row] = length
    positions = np.flatnonzero(example.mask[:length])
    batch.loss_positions[row, : len(positions)] = positions


class Output(NamedTuple):
  """Where computed vectors go.

  Attributes:
    vectors: an array for the vectors, float32 [n, width].
    partial: a directory for vectors that should survive a kill; None keeps them
      in memory only.
    log: is called with lines about the progress.
    topic: the first word of these lines.
  """

  vectors: np.ndarray
  partial: pathlib.Path | None
  log: Callable[[str], None]
  topic: str


def compute(
    plan: Plan,
    call: Callable[[np.ndarray, RowBatch], jax.Array],
    mesh: jax.sharding.Mesh,
    output: Output,
) -> np.ndarray:
  """Computes a vector for each example of a plan.

  With several processes, all of them must call this; all have the result.

  Args:
    plan: the batches.
    call: returns the vectors of a batch on the mesh, [R, width], on all
      devices, given the ids of its rows, int64 [R].
    mesh: the devices.
    output: where the vectors go.

  Returns:
    `output.vectors`, filled.
  """
  shardings = RowBatch(*[mesh_lib.batch_sharding(mesh)] * 3)

  def results(first: int) -> Iterator[jax.Array]:
    """Yields the vectors of the batches from number `first` on."""
    for ids, batch in hosts.moves(plan.lay_out(first)):
      yield call(ids, mesh_lib.put(batch, shardings))

  state = progress.Progress(
      output.partial, plan.digest, plan.slots, output.vectors
  )
  return progress.collect(results, state, output.log, output.topic)


def _bucket(lengths: np.ndarray) -> np.ndarray:
  """Returns the length of the row of each example, int64 [n]."""
  exponents = np.ceil(np.log2(np.maximum(lengths, 1))).astype(np.int64)
  return _round_up(
      lengths.astype(np.int64), np.maximum(_STEP, 2**exponents // 8)
  )


def _round_up(value: Any, multiple: Any) -> Any:
  """Returns the smallest multiple that is at least the value, or each value."""
  return -(-value // multiple) * multiple
