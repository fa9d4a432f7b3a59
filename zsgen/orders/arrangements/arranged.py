"""What an arrangement returns, and the permutation that all of them draw."""

from collections.abc import Mapping
import dataclasses
from typing import Any
import zlib

import numpy as np


@dataclasses.dataclass(frozen=True)
class Arranged:
  """A sequence of rows of the pool.

  Attributes:
    rows: positions in the pool, int64 [n], no row twice.
    rounds: the round each row came in, from 1, int32 [n]; 0 where the
      arrangement knows no rounds.
    distances: 1 - cosine to the held-out example that picked the row, float32
      [n]; NaN where none did.
    notes: what the manifest should tell besides.
  """

  rows: np.ndarray
  rounds: np.ndarray
  distances: np.ndarray
  notes: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def unrated(rows: np.ndarray, rounds: np.ndarray | None = None) -> Arranged:
  """Rows that no held-out example picked, and that may know no rounds."""
  if rounds is None:
    rounds = np.zeros(len(rows))
  return Arranged(
      rows.astype(np.int64),
      rounds.astype(np.int32),
      np.full(len(rows), np.nan, np.float32),
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
