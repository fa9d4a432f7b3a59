"""The training examples that are nearest to held-out ones, and their steps."""

from typing import Any, NamedTuple

import numpy as np

from zsgen.core import artifacts
from zsgen.data import store as store_lib
from zsgen.orders import embeddings, similarity
from zsgen.orders import order as order_lib
from zsgen.reports import curves
from zsgen.reports.interactive import encoding
from zsgen.train import batches

# Neighbours of an example, and characters of their texts.
_NEAREST, _CHARACTERS = 5, 600


class _Consumed(NamedTuple):
  """What a run was trained on."""

  ids: np.ndarray  # int64 [n], ascending
  steps: np.ndarray  # int64 [n], the first that consumed each


def build(
    run: curves.RunRecords,
    store: store_lib.Store,
    order: order_lib.Order,
    ids: np.ndarray,
) -> dict[str, Any] | None:
  """Returns the nearest training examples of held-out examples.

  Args:
    run: whose training examples are searched: those that it consumed.
    store: its store.
    order: gives the vectors by which texts are compared.
    ids: of held-out examples, [M].

  Returns:
    None without vectors. Otherwise `vectors` in words, and `rows`: the neighbours
    of each held-out example as [id, cosine, step].

  Raises:
    InputError: vectors or records are damaged.
  """
  text = order.manifest["made_by"]["text"] or run.config.order.text
  vectors = _vectors(order, store, text)
  if vectors is None or not len(ids):
    return None
  consumed = _read_consumed(run)
  if not len(consumed.ids):
    return None
  nearest, cosines = _search(
      vectors.take(consumed.ids), vectors.take(ids), len(ids)
  )
  embedder = order.manifest["made_by"]["embedder"]["name"]
  return {
      "vectors": f"{embedder} vectors of {text}",
      "rows": [
          [
              [int(consumed.ids[row]), cosine, int(consumed.steps[row])]
              for row, cosine in zip(
                  rows, encoding.numbers(values), strict=True
              )
          ]
          for rows, values in zip(nearest, cosines, strict=True)
      ],
  }


def _vectors(
    order: order_lib.Order, store: store_lib.Store, text: str
) -> embeddings.Embeddings | None:
  """Returns the embeddings that the order was made with; None if none."""
  embedder = order.manifest["made_by"]["embedder"]
  if embedder is None:
    return None
  recipe = embeddings.described(
      store, embedder["name"], embedder["parameters"], text
  )
  return embeddings.read(order.path.resolve().parents[1], recipe)


def _read_consumed(run: curves.RunRecords) -> _Consumed:
  """Returns the examples that a run consumed, each once."""
  ids = artifacts.load_array(run.path / "consumed.npy")
  unique, first = np.unique(ids, return_index=True)
  is_example = unique != batches.NO_EXAMPLE
  return _Consumed(unique[is_example], first[is_example] // ids.shape[1])


def _search(
    train: embeddings.Embeddings, heldout: embeddings.Embeddings, count: int
) -> tuple[np.ndarray, np.ndarray]:
  """Returns the rows of the largest products, and these, [M, k] each."""
  rows = np.zeros((count, 0), np.int64)
  products = np.zeros((count, 0), np.float32)
  for part, block in similarity.blocks(train, heldout):
    numbers = np.broadcast_to(np.arange(part.start, part.stop), block.shape)
    rows = np.concatenate([rows, numbers], axis=1)
    products = np.concatenate([products, block], axis=1)
    # Stable, so that ties go to the lowest row.
    best = np.argsort(-products, axis=1, kind="stable")[:, :_NEAREST]
    rows, products = (
        np.take_along_axis(values, best, axis=1) for values in (rows, products)
    )
  return rows, products


def describe(store: store_lib.Store, ids: list[int]) -> dict[int, Any]:
  """Returns tasks and texts of training examples, by id."""
  return {
      i: {
          "task": encoding.words(store.tasks[store.task_index[i]]),
          "prompt": encoding.words(prompt, _CHARACTERS),
          "answer": encoding.words(answer, _CHARACTERS),
      }
      for i, (prompt, answer) in zip(ids, store.texts(ids), strict=True)
  }
