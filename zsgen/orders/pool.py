"""What an arrangement arranges, and what it may look at."""

from collections.abc import Callable, Sequence
import dataclasses

import numpy as np

from zsgen.core import config, errors
from zsgen.orders import embeddings

Vectors = tuple[embeddings.Embeddings | None, embeddings.Embeddings | None]


@dataclasses.dataclass(frozen=True)
class Facts:
  """What is known of a pool's rows besides, read when it is asked for.

  Attributes:
    embed: embeddings of the whole pool and of the target that an order names.
    texts: text of each row that is given, and of the target's examples.
    ids: example id of each row of the whole pool, int64.
    names: name of each task.
    keys: the publisher's id of each row of the whole pool.
  """

  embed: Callable[[config.Order], Vectors]
  texts: Callable[[config.Order, np.ndarray], tuple[list[str], list[str]]]
  ids: np.ndarray
  names: Sequence[str]
  keys: Callable[[], Sequence[str]]


@dataclasses.dataclass(frozen=True)
class Pool:
  """Rows that an arrangement chooses from; row numbers are places in it.

  Attributes:
    tasks: task of each row, int32 [N]; tasks count up in the suite's order.
    categories: category of each row, int32 [N].
    train: embeddings of the rows, [N, D]; None if the order has no embedder.
    heldout: embeddings of the target, [M, D], or None.
    rows: where the rows stand in the whole pool, int64 [N].
    order: whose embeddings these are; None where nothing asks for it.
    facts: of the whole pool; None where nothing asks for them.
  """

  tasks: np.ndarray
  categories: np.ndarray | None = None
  train: embeddings.Embeddings | None = None
  heldout: embeddings.Embeddings | None = None
  rows: np.ndarray | None = None
  order: config.Order | None = None
  facts: Facts | None = dataclasses.field(default=None, repr=False)

  def __len__(self) -> int:
    return len(self.tasks)

  def take(self, rows: np.ndarray) -> "Pool":
    """The pool of some of its rows, in their order."""

    def some(values):
      return None if values is None else values[rows]

    return dataclasses.replace(
        self,
        tasks=self.tasks[rows],
        categories=some(self.categories),
        train=None if self.train is None else self.train.take(rows),
        rows=rows if self.rows is None else self.rows[rows],
    )

  def looking(self, order: config.Order) -> "Pool":
    """The pool with the embeddings that `order` names."""
    if self.facts is None:
      return self
    train, heldout = self.facts.embed(order)
    if train is not None and self.rows is not None:
      train = train.take(self.rows)
    return dataclasses.replace(self, train=train, heldout=heldout, order=order)

  def embedded(
      self,
  ) -> tuple[embeddings.Embeddings, embeddings.Embeddings]:
    """Embeddings of rows and target.

    Raises:
      InputError: the order has no embedder.
    """
    if self.train is None or self.heldout is None:
      raise errors.InputError(
          "this arrangement looks at embeddings, but config.order.embedder is"
          " ''. Name an embedder, such as 'ngram'."
      )
    return self.train, self.heldout

  def texts(self) -> tuple[list[str], list[str]]:
    """Texts of the rows and of the target's examples.

    Raises:
      InputError: the rows are not examples but means of them.
    """
    if self.facts is None or self.order is None or self.rows is None:
      raise errors.InputError(
          "config.order.measure: bigrams are counted in examples, not in"
          " tasks. Set config.order.granularity to 'instance'."
      )
    return self.facts.texts(self.order, self.rows)
