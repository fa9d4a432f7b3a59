"""Rows of a store as a seqio data source. Imports TensorFlow."""

from collections.abc import Iterator, Mapping, Sequence
import functools
from typing import Any, cast

import numpy as np
import seqio
import tensorflow as tf

from zsgen.core import errors
from zsgen.data import store as store_lib

# Rows that Python hands to TensorFlow in one go: one at a time is too slow.
_CHUNK = 256
# What Python hands over: id and text of each row, and where its tokens are.
_CHUNK_SPEC = {
    "id": tf.TensorSpec([None], tf.int64),
    "begin": tf.TensorSpec([None], tf.int64),
    "end": tf.TensorSpec([None], tf.int64),
    "tokens": tf.TensorSpec([None], tf.int32),
    "mask": tf.TensorSpec([None], tf.int32),
}
_TEXT_SPEC = {
    "prompt": tf.TensorSpec([None], tf.string),
    "answer": tf.TensorSpec([None], tf.string),
}


class RowSource(seqio.DataSource):
  """Rows of a store in a given sequence; it has one split.

  Elements: `id` int64, `tokens` and `mask` int32 [T], and, if `texts`,
  `prompt` and `answer`. Shard i of n has positions i, i + n, ….

  Attributes:
    defers: whether a damaged store ends the rows and sets `failure`. By default
      it raises, which TensorFlow replaces by its own error, with a trace.
    failure: why rows could not be read; None if they could.
  """

  def __init__(
      self, store: store_lib.Store, ids: np.ndarray, split: str, texts: bool
  ):
    super().__init__([split], {split: len(ids)}, caching_permitted=False)
    self._store = store
    self._ids = ids
    self._texts = texts
    self.defers = False
    self.failure: errors.InputError | None = None

  @property
  def supports_arbitrary_sharding(self) -> bool:
    """True: a shard is a stride."""
    return True

  def num_input_examples(self, split: str) -> int:
    """Returns the number of ids."""
    count = super().num_input_examples(split)
    assert count is not None, "the constructor sets it"
    return count

  def list_shards(self, split: str) -> Sequence[str]:
    """Returns the split itself: there are no files."""
    return [split]

  def get_dataset(
      self,
      split: str,
      shuffle: bool = False,
      seed: int | None = None,
      shard_info: seqio.ShardInfo | None = None,
      **unused: Any,
  ) -> tf.data.Dataset:
    """Returns the rows unshuffled: the Task shuffles them, or raises.

    Raises:
      ValueError: there is no such split.
    """
    if split not in self.splits:
      raise ValueError(f"no split {split!r}; there is {self.splits[0]!r}.")
    shard = shard_info or seqio.ShardInfo(0, 1)
    ids = self._ids[shard.index :: shard.num_shards]
    chunks = tf.data.Dataset.from_generator(
        functools.partial(self._chunks, ids),
        output_signature=_CHUNK_SPEC | (_TEXT_SPEC if self._texts else {}),
    )
    # TensorFlow's types take the generator for one of its items.
    return cast("tf.data.Dataset[Any]", chunks).flat_map(_rows_of)

  def _chunks(self, ids: np.ndarray) -> Iterator[dict[str, Any]]:
    """Yields the rows of the ids; records why they cannot be read."""
    try:
      yield from self._read(ids)
    except errors.InputError as error:
      self.failure = error
      if not self.defers:
        raise

  def _read(self, ids: np.ndarray) -> Iterator[dict[str, Any]]:
    """Yields the rows of the ids, `_CHUNK` at a time."""
    for first in range(0, len(ids), _CHUNK):
      chunk_ids = ids[first : first + _CHUNK]
      rows = [self._store.row(i) for i in chunk_ids]
      borders = np.cumsum([0, *(len(row.tokens) for row in rows)])
      chunk: dict[str, Any] = {
          "id": chunk_ids,
          "begin": borders[:-1],
          "end": borders[1:],
          "tokens": np.concatenate([row.tokens for row in rows]),
          "mask": np.concatenate([row.mask for row in rows]),
      }
      if self._texts:
        texts = self._store.texts(chunk_ids)
        chunk["prompt"] = [prompt for prompt, _ in texts]
        chunk["answer"] = [answer for _, answer in texts]
      yield chunk


def _rows_of(chunk: Mapping[str, tf.Tensor]) -> tf.data.Dataset:
  """Takes a chunk apart into its rows."""
  joined = {name: chunk[name] for name in ("tokens", "mask")}
  # TensorFlow's types do not know structures of tensors.
  single: Any = {name: chunk[name] for name in chunk.keys() - joined.keys()}

  def row(fields: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Returns the fields of a row, with its own part of the joined arrays."""
    begin, end = fields.pop("begin"), fields.pop("end")
    return fields | {name: values[begin:end] for name, values in joined.items()}

  return tf.data.Dataset.from_tensor_slices(single).map(row)
