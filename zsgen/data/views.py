"""seqio views of a store: suites and orders as Tasks and Mixtures.

  zsgen:<suite>:<task>    each task of the suite
  zsgen:<suite>:<split>   a Mixture of the training tasks ("train"), and one of
                          each held-out set's
  zsgen:<suite>:<order>   an order: a Task, and a Mixture of that one Task

seqio's split is the suite's: "train", or the name of the held-out set. seqio
names have letters, digits and "_.:#" only; all else in a name becomes "_".
Rows come from the store's memory maps as they are, end tokens included; where
seqio would take one of the tokenizer's tokens for padding, each id is one more
(`vocabularies`).
Imports seqio, and with it TensorFlow.
"""

import collections
from collections.abc import Iterable, Iterator, Mapping, Sequence
import functools
import itertools
import pathlib
import re
from typing import Any

import numpy as np
import seqio
import tensorflow as tf

from zsgen.core import artifacts, errors
from zsgen.data import row_source, suite, view_metrics, vocabularies
from zsgen.data import store as store_lib

# Rows that cross over to Python in one go.
_CHUNK = 256
# The file of ids of an order.
_IDS = "ids.npy"
# Names in seqio's registries, by the view that they belong to.
_REGISTERED: dict[str, list[str]] = {}


def register_suite(store: store_lib.Store) -> list[str]:
  """Registers a suite's tasks, and a Mixture for each of its splits.

  Elements: `inputs` (what comes before the first loss token) and `targets`
  (the rest, with its end tokens), int32 [T]; `id`, int64; and the texts
  `inputs_pretokenized` and `targets_pretokenized`. A Mixture keeps only
  `inputs` and `targets`, unless asked for more by `passthrough_features`. It
  draws tasks by their size until all are used up: one epoch is every example
  of the split once. `seqio.Evaluator` runs over tasks and Mixtures, with the
  metrics of `view_metrics`; of a conversation it sees all answers as one.

  The views are of the store that was registered last under a suite's name.

  Returns:
    The names: tasks in the suite's sequence, then Mixtures.

  Raises:
    InputError: two names are one to seqio, or a tokenizer that the store does
      not carry.
  """
  vocabulary = vocabularies.of_store(store)
  splits = (suite.TRAIN, *store.manifest["heldout"])
  members = {split: store.split_tasks(split) for split in splits}
  # Choices are no examples of their own.
  tasks = {
      task: _name(store.suite, store.tasks[task])
      for task in sum(members.values(), [])
  }
  mixtures = [_name(store.suite, split) for split in splits]
  _claim(_name(store.suite), [*tasks.values(), *mixtures])
  for split, mixture in zip(splits, mixtures, strict=True):
    for task in members[split]:
      ids = np.flatnonzero(store.task_index == task)
      _add_task(tasks[task], store, ids, split, vocabulary)
    seqio.MixtureRegistry.add(
        mixture,
        [tasks[task] for task in members[split]],
        default_rate=functools.partial(_size, split),
        sample_fn=functools.partial(
            tf.data.Dataset.sample_from_datasets, stop_on_empty_dataset=False
        ),
    )
  return [*tasks.values(), *mixtures]


def register_order(
    store: store_lib.Store, order: pathlib.Path, start: int = 0
) -> str:
  """Registers an order: a Task, and under the same name a Mixture of it.

  Elements: `targets` (all tokens) and `mask` (1 on loss tokens), int32 [T],
  and `id`, int64, in the sequence of the order; shard i of n has positions
  i, i + n, …. To ask for shuffling raises: pass `shuffle=False`. A Mixture
  repeats for ever unless it is given `num_epochs`. Where both are known by
  the name (`seqio.get_mixture_or_task`), seqio gives the Mixture.

  Args:
    store: the store that the order was made for.
    order: the order's directory; the view is named after it.
    start: the first position that is read, in every epoch; those before it
      are not touched. Registering the order again changes it.

  Returns:
    The name.

  Raises:
    InputError: the order is not there, is damaged or was made for another
      store; its name is taken; or a tokenizer as in `register_suite`.
    ValueError: a negative start.
  """
  if start < 0:
    raise ValueError(f"start is {start}; it must be 0 or more.")
  vocabulary = vocabularies.of_store(store)
  ids = _order_ids(store, order)[start:]
  name = _name(store.suite, order.name)
  _claim(name, [name])
  seqio.TaskRegistry.add(
      name,
      source=row_source.RowSource(store, ids, suite.TRAIN, texts=False),
      preprocessors=[functools.partial(_to_element, shift=vocabulary.shift)],
      output_features={
          "targets": seqio.Feature(vocabulary, add_eos=False),
          "mask": seqio.Feature(seqio.PassThroughVocabulary(2), add_eos=False),
          "id": seqio.Feature(
              seqio.PassThroughVocabulary(len(store)),
              add_eos=False,
              dtype=tf.int64,
              rank=0,
          ),
      },
      shuffle_buffer_size=None,
  )
  seqio.MixtureRegistry.add(name, [name], default_rate=1.0)
  return name


def read_order(
    store: store_lib.Store, order: pathlib.Path, start: int = 0
) -> Iterator[tuple[int, store_lib.TokenRow]]:
  """Yields ids and rows of an order from `start`, read from its Mixture.

  Accelerators are hidden from TensorFlow, which would take their memory: they
  are JAX's.

  Raises:
    InputError, ValueError: see `register_order`; or a damaged store.
  """
  for kind in ("GPU", "TPU"):
    tf.config.set_visible_devices([], kind)
  name = register_order(store, order, start)
  mixture = seqio.MixtureRegistry.get(name)
  dataset = mixture.get_dataset(
      split=suite.TRAIN, shuffle=False, num_epochs=1, try_in_mem_cache=False
  )
  vocabulary = mixture.output_features["targets"].vocabulary
  source = seqio.TaskRegistry.get(name).source
  assert isinstance(vocabulary, vocabularies.Vocabulary)
  assert isinstance(source, row_source.RowSource)
  source.defers = True
  rows = _rows(dataset.ragged_batch(_CHUNK).prefetch(1), vocabulary.shift)
  return itertools.chain(rows, _failure(source))


def _failure(source: row_source.RowSource) -> Iterator[Any]:
  """Yields nothing; raises the error that ended the rows, if any."""
  if source.failure is not None:
    raise source.failure
  yield from ()


def _rows(
    chunks: Iterable[Mapping[str, tf.RaggedTensor | tf.Tensor]], shift: int
) -> Iterator[tuple[int, store_lib.TokenRow]]:
  """Yields the store's ids and rows of an order's ragged batches."""
  for chunk in chunks:
    tokens = (chunk["targets"].values.numpy() - shift).astype(np.uint32)
    mask = chunk["mask"].values.numpy().astype(np.uint8)
    borders = chunk["targets"].row_splits.numpy()
    for i, example in enumerate(chunk["id"].numpy().tolist()):
      row = slice(borders[i], borders[i + 1])
      yield example, store_lib.TokenRow(tokens[row], mask[row])


def _add_task(
    name: str,
    store: store_lib.Store,
    ids: np.ndarray,
    split: str,
    vocabulary: vocabularies.Vocabulary,
) -> None:
  """Registers a task of a suite."""
  tokens = seqio.Feature(vocabulary, add_eos=False)
  seqio.TaskRegistry.add(
      name,
      source=row_source.RowSource(store, ids, split, texts=True),
      preprocessors=[
          functools.partial(_prompt_and_answer, shift=vocabulary.shift)
      ],
      output_features={"inputs": tokens, "targets": tokens},
      postprocess_fn=view_metrics.postprocess,
      metric_fns=view_metrics.METRICS,
  )


@seqio.map_over_dataset
def _prompt_and_answer(
    row: Mapping[str, tf.Tensor], shift: int
) -> dict[str, tf.Tensor]:
  """Splits a row before its first loss token."""
  border = tf.where(
      tf.reduce_any(row["mask"] > 0),
      tf.argmax(row["mask"]),
      tf.size(row["mask"], tf.int64),
  )
  tokens = row["tokens"] + shift
  return {
      "inputs": tokens[:border],
      "targets": tokens[border:],
      "id": row["id"],
      "inputs_pretokenized": row["prompt"],
      "targets_pretokenized": row["answer"],
  }


@seqio.map_over_dataset
def _to_element(
    row: Mapping[str, tf.Tensor], shift: int
) -> dict[str, tf.Tensor]:
  """Converts a row into an element of an order."""
  tokens = row["tokens"] + shift
  return {"targets": tokens, "mask": row["mask"], "id": row["id"]}


def _size(split: str, task: seqio.Task) -> int:
  """Returns the rate of a task in a Mixture: its number of examples."""
  count = task.num_input_examples(split)
  assert count is not None, "a RowSource has it"
  return count


def _name(*parts: str) -> str:
  """Returns the name of a view."""
  return ":".join(["zsgen", *(re.sub(r"[^\w.:#]", "_", p) for p in parts)])


def _claim(view: str, names: Sequence[str]) -> None:
  """Reserves names for a view, and releases those that it had before.

  Raises:
    InputError: a name comes twice, or is another view's.
  """
  for name in _REGISTERED.pop(view, ()):
    seqio.TaskRegistry.remove(name)
    seqio.MixtureRegistry.remove(name)
  known = {*seqio.TaskRegistry.names(), *seqio.MixtureRegistry.names()}
  for name, count in collections.Counter(names).items():
    if count > 1 or name in known:
      raise errors.InputError(
          f"two tasks, splits or orders have the seqio name {name}. Rename"
          " one: a task in the source, an order by its directory."
      )
  _REGISTERED[view] = list(names)


def _order_ids(store: store_lib.Store, order: pathlib.Path) -> np.ndarray:
  """Returns the ids of an order, int64 [n], checked against the store."""
  manifest = artifacts.read_manifest(order, "order")
  if manifest["made_by"].get("store") != store.fingerprint:
    raise errors.InputError(
        f"{order}: is not an order of the store {store.path}. Make the order"
        " for this store, or use the one it was made for."
    )
  artifacts.check_files(order, {_IDS: manifest["files"][_IDS]})
  ids = artifacts.load_array(order / _IDS, "r")
  if (
      ids.dtype != np.int64
      or ids.ndim != 1
      or not _are_in_range(ids, len(store))
  ):
    raise errors.InputError(
        f"{order / _IDS}: does not hold ids of the store's {len(store)}"
        f" examples. Delete {order} to have it made again."
    )
  return ids


def _are_in_range(ids: np.ndarray, count: int) -> bool:
  """Returns whether all ids are in [0, count)."""
  return bool(((ids >= 0) & (ids < count)).all())
