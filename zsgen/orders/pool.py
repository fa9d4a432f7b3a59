"""The pool of rows that an arrangement arranges."""

from collections.abc import Callable, Sequence
import dataclasses

import numpy as np

from zsgen.core import config, errors
from zsgen.orders import embeddings, shortlists

Vectors = tuple[embeddings.Embeddings | None, embeddings.Embeddings | None]


@dataclasses.dataclass(frozen=True)
class Facts:
  """Further information about the rows of a pool, read on demand.

  Attributes:
    embed: returns embeddings of the whole pool and of an order's target.
    texts: returns the texts of rows and of the target's examples.
    ids: example id of each row of the whole pool, int64.
    names: name of each task.
    keys: returns the publisher's id of each row of the whole pool.
    lengths: returns the tokens of each row of the whole pool, int32.
    scores: returns the named score of each row of the whole pool, float64.
    file_scores: returns the score of each row of the whole pool that a column
      of a file has, float64, given path and column; NaN where it has none.
    text_hashes: returns the SHA-256 of the texts of rows of the whole pool.
  """

  embed: Callable[[config.Order], Vectors]
  texts: Callable[[config.Order, np.ndarray], tuple[list[str], list[str]]]
  ids: np.ndarray
  names: Sequence[str]
  keys: Callable[[], Sequence[str]]
  lengths: Callable[[], np.ndarray]
  scores: Callable[[str], np.ndarray]
  file_scores: Callable[[str, str], np.ndarray]
  text_hashes: Callable[[np.ndarray], list[str]]


@dataclasses.dataclass(frozen=True)
class Pool:
  """Rows to arrange; row numbers are positions in the pool.

  Attributes:
    tasks: task of each row, int32 [N], numbered in the suite's order.
    categories: category of each row, int32 [N].
    train: embeddings of the rows, [N, D]; None if the facts have them, or if
      the order has no embedder.
    heldout: embeddings of the target, [M, D], or None.
    rows: positions of the rows in the whole pool, int64 [N].
    order: the order whose embeddings and texts are read, or None.
    facts: facts about the whole pool, or None.
    make_lists: makes the shortlists that TMT begins with.
  """

  tasks: np.ndarray
  categories: np.ndarray | None = None
  train: embeddings.Embeddings | None = None
  heldout: embeddings.Embeddings | None = None
  rows: np.ndarray | None = None
  order: config.Order | None = None
  facts: Facts | None = dataclasses.field(default=None, repr=False)
  make_lists: shortlists.Make = dataclasses.field(
      default=shortlists.make, repr=False
  )

  def __len__(self) -> int:
    return len(self.tasks)

  def take(self, rows: np.ndarray) -> "Pool":
    """Returns the pool of some of its rows, in their order."""

    def select(values: np.ndarray | None) -> np.ndarray | None:
      """Returns the values of the rows; None if the pool has no such values."""
      return None if values is None else values[rows]

    return dataclasses.replace(
        self,
        tasks=self.tasks[rows],
        categories=select(self.categories),
        train=None if self.train is None else self.train.take(rows),
        rows=rows if self.rows is None else self.rows[rows],
    )

  def looking(self, order: config.Order) -> "Pool":
    """Returns the pool with the embeddings that `order` names.

    They are computed when they are first read, so that an arrangement can
    refuse its options before.
    """
    if self.facts is None:
      return self
    return dataclasses.replace(self, train=None, heldout=None, order=order)

  def embedded(
      self,
  ) -> tuple[embeddings.Embeddings, embeddings.Embeddings]:
    """Returns the embeddings of the rows and of the target.

    Raises:
      InputError: the order has no embedder.
    """
    train, heldout = self.train, self.heldout
    if train is None and self.facts is not None and self.order is not None:
      train, heldout = self.facts.embed(self.order)
      if train is not None and self.rows is not None:
        train = train.take(self.rows)
    if train is None or heldout is None:
      raise errors.InputError(
          "this arrangement uses embeddings, but config.order.embedder is"
          " ''. Set an embedder, such as 'ngram'."
      )
    return train, heldout

  def lengths(self) -> np.ndarray:
    """Returns the tokens of each row, prompt and answer, int32 [N].

    Raises:
      InputError: the rows are means of examples.
    """
    if self.facts is None or self.rows is None:
      raise errors.InputError(
          "this arrangement reads lengths, which examples have and tasks do"
          " not: set config.order.granularity to 'instance'."
      )
    return self.facts.lengths()[self.rows]

  def texts(self) -> tuple[list[str], list[str]]:
    """Returns the texts of the rows and of the target's examples.

    Raises:
      InputError: the rows are means of examples.
    """
    if self.facts is None or self.order is None or self.rows is None:
      raise errors.InputError(
          "config.order.measure: bigrams are counted per example, not per"
          " task. Set config.order.granularity to 'instance'."
      )
    return self.facts.texts(self.order, self.rows)
