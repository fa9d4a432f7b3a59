"""Cosines of vectors on the grid, in float64: the same bits on every machine.

Truncation to the grid leaves vectors slightly shorter than 1, so that their dot
products are not quite cosines. Dot products and squared norms are multiples of
2^-24, which float64 holds exactly; their quotient by the square root of the
product of the norms is rounded as IEEE 754 prescribes.

Shortlists are made of float32 quotients, which are close to the cosines. `rank`
sorts a list by the cosines, and keeps only the rows that no row outside of the
list can precede.
"""

from collections.abc import Iterator
import dataclasses
from typing import NamedTuple

import numpy as np

from zsgen.orders import embeddings, shortlists, similarity, sparse

# The most by which a float32 quotient differs from the cosine, and more.
_MARGIN = 2.0**-20


class Lists(NamedTuple):
  """Rows of the pool for each of M held-out examples, the best first.

  Attributes:
    rows: rows, int64 [M, K].
    keys: their keys, float [M, K], ascending.
    ends: the number of rows of each example, int64 [M].
  """

  rows: np.ndarray
  keys: np.ndarray
  ends: np.ndarray


def blocks(
    train: embeddings.Embeddings, heldout: embeddings.Embeddings
) -> Iterator[tuple[slice, np.ndarray]]:
  """Yields cosines, a block of training rows at a time.

  Args:
    train: vectors [N, D].
    heldout: vectors [M, D].

  Yields:
    The slice of training rows and their cosines, float64 [M, rows].
  """
  train_squares, heldout_squares = map(similarity.squares, (train, heldout))
  for rows, products in similarity.blocks(train, heldout):
    squares = heldout_squares[:, None] * train_squares[rows]
    yield rows, products / np.sqrt(squares)


def scaled(train: embeddings.Embeddings) -> embeddings.Embeddings:
  """Returns embeddings whose products are divided by their norms, in float32."""
  norms = np.sqrt(similarity.squares(train))
  whole = np.ones(sparse.shape_of(train.vectors)[0], np.float32)
  whole[slice(None) if train.index is None else train.index] = 1 / norms
  return dataclasses.replace(train, scales=whole)


def rank(
    shortlist: shortlists.Shortlist,
    train: embeddings.Embeddings,
    heldout: embeddings.Embeddings,
) -> Lists:
  """Returns a shortlist sorted by cosines; equal ones by row.

  Args:
    shortlist: made of `scaled` vectors.
    train: these vectors, [N, D].
    heldout: the vectors of the examples, [M, D].

  Returns:
    Lists of at least one row each, which precede all rows that are not in them.
  """
  while True:
    lists = _ranked(shortlist, train, heldout)
    if lists.ends.all():
      return lists
    # Too many rows are about as near: with longer lists, some are nearer.
    size = min(2 * shortlist.rows.shape[1], len(train))
    shortlist = shortlists.make(train, heldout, (shortlist.pick,), size)[0]


def _ranked(
    shortlist: shortlists.Shortlist,
    train: embeddings.Embeddings,
    heldout: embeddings.Embeddings,
) -> Lists:
  """Sorts lists by cosines, and cuts them where others may come."""
  sign = 1 if shortlist.pick == "farthest" else -1
  train_squares, heldout_squares = map(similarity.squares, (train, heldout))
  rows, filled = shortlist.rows, shortlist.filled
  ranked, keys = rows.copy(), np.full(rows.shape, np.inf)
  ends = filled.copy()
  for example, count in enumerate(filled):
    (vector,) = heldout.block(example, example + 1)
    members = rows[example, :count]
    squares = heldout_squares[example] * train_squares[members]
    own = sign * train.products(members, vector) / np.sqrt(squares)
    order = np.lexsort((members, own))
    ranked[example, :count], keys[example, :count] = members[order], own[order]
    if count < len(train):
      last = shortlist.keys[example, count - 1].astype(np.float64)
      limit = last / np.sqrt(heldout_squares[example]) - _MARGIN
      ends[example] = np.searchsorted(own[order], limit)
  return Lists(ranked, keys, ends)
