"""What an arrangement returns, and what all of them draw and sort by."""

from collections.abc import Mapping, Sequence
import dataclasses
from typing import Any
import zlib

import numpy as np

from zsgen.core import errors
from zsgen.core.schema import option


@dataclasses.dataclass(frozen=True)
class Budget:
  """The option of arrangements whose orders have a chosen length."""

  # Training examples in the order; -1: all that the arrangement gives.
  budget: int = option(-1, low=-1)

  def check(self, where: str) -> None:
    """Raises InputError for a budget of no example."""
    if self.budget == 0:
      raise errors.InputError(
          f"{where}.budget is 0. Set the number of training examples, or -1 for"
          " all that the arrangement yields."
      )


@dataclasses.dataclass(frozen=True)
class Arranged:
  """A sequence of rows of the pool.

  Attributes:
    rows: positions in the pool, int64 [n]; no row twice in an epoch.
    rounds: the round each row came in, from 1, int32 [n]; 0 where the
      arrangement knows no rounds.
    distances: what ranked each row, float32 [n]: for TMT 1 - cosine to the
      held-out example that picked it, else the measure; NaN where none did.
    epochs: the epoch of each row, from 0, int32 [n].
    notes: what the manifest should tell besides.
  """

  rows: np.ndarray
  rounds: np.ndarray
  distances: np.ndarray
  epochs: np.ndarray
  notes: Mapping[str, Any] = dataclasses.field(default_factory=dict)

  def __len__(self) -> int:
    return len(self.rows)

  def take(self, places: np.ndarray | slice) -> "Arranged":
    """Some positions of the sequence, in the order given."""
    return dataclasses.replace(
        self,
        rows=self.rows[places],
        rounds=self.rounds[places],
        distances=self.distances[places],
        epochs=self.epochs[places],
    )

  def within(self, rows: np.ndarray) -> "Arranged":
    """The same of another pool, in which row i stands at `rows[i]`."""
    return dataclasses.replace(self, rows=rows[self.rows])

  def once(self) -> "Arranged":
    """Without what comes again in the same epoch; the first place stays."""
    order = np.lexsort((self.rows, self.epochs))
    same = np.zeros(len(order), bool)
    same[1:] = (np.diff(self.rows[order]) == 0) & (
        np.diff(self.epochs[order]) == 0
    )
    again = np.zeros(len(order), bool)
    again[order] = same
    return self.take(np.flatnonzero(~again))

  def telling(self, **notes: Any) -> "Arranged":
    """The same with these notes."""
    return dataclasses.replace(self, notes=notes)


def of(
    rows: np.ndarray,
    rounds: np.ndarray | None = None,
    distances: np.ndarray | None = None,
    epochs: np.ndarray | None = None,
) -> Arranged:
  """A sequence of rows of which not everything is known."""
  nothing = np.zeros(len(rows), np.int32)
  if distances is None:
    distances = np.full(len(rows), np.nan)
  return Arranged(
      rows.astype(np.int64),
      nothing if rounds is None else rounds.astype(np.int32),
      distances.astype(np.float32),
      nothing if epochs is None else epochs.astype(np.int32),
  )


def join(parts: Sequence[Arranged]) -> Arranged:
  """One sequence after another, without their notes."""
  columns = ("rows", "rounds", "distances", "epochs")
  return Arranged(
      *(np.concatenate([getattr(p, name) for p in parts]) for name in columns)
  )


def permutation(name: str, seed: int, size: int) -> np.ndarray:
  """A random permutation of `range(size)`, int64, the same on every machine.

  It ranks the words of PCG64, whose stream numpy keeps from version to
  version; that of `Generator.permutation` may change.

  Args:
    name: what it is for; other names give unrelated permutations.
    seed: 0 or more.
    size: elements.
  """
  words = np.random.PCG64([seed, zlib.crc32(name.encode())]).random_raw(size)
  return np.argsort(words, kind="stable")
