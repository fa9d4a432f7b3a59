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

  # Number of training examples in the order; -1: all that the arrangement
  # yields.
  budget: int = option(-1, low=-1)

  def check(self, location: str) -> None:
    """Raises InputError for a budget of no example."""
    if self.budget == 0:
      raise errors.InputError(
          f"{location}.budget is 0. Set the number of training examples, or -1"
          " for all that the arrangement yields."
      )


@dataclasses.dataclass(frozen=True)
class Arranged:
  """A sequence of rows of the pool.

  Attributes:
    rows: positions in the pool, int64 [n]; no row twice in an epoch.
    rounds: the round each row came in, from 1, int32 [n]; 0 where the
      arrangement knows no rounds.
    distances: what ranked each row, float32 [n]: for TMT 1 - cosine to the
      held-out example that picked it, otherwise the measure; or NaN.
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

  def take(self, positions: np.ndarray | slice) -> "Arranged":
    """Returns some positions of the sequence, in the given order."""
    return dataclasses.replace(
        self,
        rows=self.rows[positions],
        rounds=self.rounds[positions],
        distances=self.distances[positions],
        epochs=self.epochs[positions],
    )

  def map_rows(self, rows: np.ndarray) -> "Arranged":
    """Returns the sequence for another pool, in which row i is `rows[i]`."""
    return dataclasses.replace(self, rows=rows[self.rows])

  def once(self) -> "Arranged":
    """Returns the sequence without repetitions in an epoch; the first stays."""
    order = np.lexsort((self.rows, self.epochs))
    repeats = np.zeros(len(order), bool)
    repeats[1:] = (np.diff(self.rows[order]) == 0) & (
        np.diff(self.epochs[order]) == 0
    )
    is_repeated = np.zeros(len(order), bool)
    is_repeated[order] = repeats
    return self.take(np.flatnonzero(~is_repeated))

  def with_notes(self, **notes: Any) -> "Arranged":
    """Returns the sequence with these notes."""
    return dataclasses.replace(self, notes=notes)


def from_rows(
    rows: np.ndarray,
    rounds: np.ndarray | None = None,
    distances: np.ndarray | None = None,
    epochs: np.ndarray | None = None,
) -> Arranged:
  """Builds a sequence of rows; columns that are not given get defaults."""
  zeros = np.zeros(len(rows), np.int32)
  if distances is None:
    distances = np.full(len(rows), np.nan)
  return Arranged(
      rows.astype(np.int64),
      zeros if rounds is None else rounds.astype(np.int32),
      distances.astype(np.float32),
      zeros if epochs is None else epochs.astype(np.int32),
  )


def join(parts: Sequence[Arranged]) -> Arranged:
  """Joins sequences one after another, without their notes."""
  return Arranged(
      np.concatenate([part.rows for part in parts]),
      np.concatenate([part.rounds for part in parts]),
      np.concatenate([part.distances for part in parts]),
      np.concatenate([part.epochs for part in parts]),
  )


def permutation(name: str, seed: int, size: int) -> np.ndarray:
  """Returns a random permutation of `range(size)`, int64, by seed alone.

  It is the same on every machine.

  It ranks the words of PCG64, whose stream numpy keeps from version to
  version; that of `Generator.permutation` may change.

  Args:
    name: its purpose; other names give unrelated permutations.
    seed: 0 or more.
    size: elements.
  """
  words = np.random.PCG64([seed, zlib.crc32(name.encode())]).random_raw(size)
  return np.argsort(words, kind="stable")
