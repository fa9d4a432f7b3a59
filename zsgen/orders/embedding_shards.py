"""Embeds the rows of a store by several processes, on one or many hosts.

They share a directory, `embeddings/.NAME.shards` next to the artifact NAME, and
no engine. It has
  job.json             config, software and device, on which all must agree
  chunk-00000.vectors  the vectors of a chunk, see `embedders.chunks`; parts of
                       it until it is whole
Shard i of n embeds the chunks i, i + n, …; batches do not depend on n, and
neither do the bytes of the artifact.
"""

from collections.abc import Callable, Iterator, Mapping
import dataclasses
import pathlib
import shutil
from typing import Any

import numpy as np

from zsgen.core import artifacts, config, errors, shards
from zsgen.data import store as store_lib
from zsgen.orders import dense, embedders, embeddings
from zsgen.orders.embedders import chunks as chunks_lib

# Version of the directory's layout.
_FORMAT = 1
# Libraries and code that determine the bits of vectors.
_LIBRARIES = ("numpy", "jax", "jaxlib", "tokenizers")
_CODE = (
    "the file zsgen/core/",
    "the file zsgen/data/",
    "the file zsgen/models/",
    "the file zsgen/orders/embedders/",
)
_WORK = {"chunk-*.vectors": "chunks embedded"}


@dataclasses.dataclass(frozen=True)
class Job:
  """The common work of several processes.

  Attributes:
    path: its directory.
    store: has the rows.
    text: which text of a row is embedded.
    embedder: embeds it.
    chunks: all chunks.
    device: what the first shard embedded on.
  """

  path: pathlib.Path
  store: store_lib.Store
  text: str
  embedder: chunks_lib.ChunkEmbedder
  chunks: chunks_lib.Chunks
  device: str

  def read(self, rows: range) -> list[str]:
    """Returns the texts of consecutive rows."""
    return embeddings.texts_between(self.store, self.text, rows)

  def vectors(self, cut: dict[int, int]) -> dense.Blocks:
    """Returns all vectors; they are read, and checked, chunk by chunk.

    Args:
      cut: gets the number of cut texts of each chunk that is read.
    """
    advice = (
        "It may be of another job. Delete it, and run its shard again: other"
        " chunks remain. No embeddings are made."
    )

    def read() -> Iterator[np.ndarray]:
      """Yields the vectors of each chunk, [n, D], and counts its cut texts."""
      for number, chunk in enumerate(self.chunks.read_all(advice)):
        assert isinstance(chunk.vectors, np.ndarray), "chunks are dense"
        cut[number] = chunk.cut
        yield chunk.vectors

    shape = self.chunks.count, self.chunks.width
    return dense.Blocks(shape, np.dtype(np.float32), read)


def embed_shard(
    root: pathlib.Path,
    store: store_lib.Store,
    order: config.Order,
    shard: shards.Shard,
    log: Callable[[str], None] = lambda line: None,
) -> shards.Progress:
  """Embeds the chunks of a shard; skips those that exist.

  Args:
    root: the workdir.
    store: the rows.
    order: has the embedder and the text.
    shard: which chunks to embed.
    log: is called with lines about the progress.

  Raises:
    InputError: an embedder that is not divided, other software or another
      device than that of other shards, or a text that cannot be embedded.
  """
  import jax

  embedder, recipe = _describe(store, order)
  path = embeddings.path_of(root, recipe)
  if artifacts.exists(path):
    return shards.Progress(0, 0, 0, is_merged=True)
  device = jax.devices()[0].device_kind
  job = _open(path, store, order.text, embedder, recipe, device)
  if job.device != device:
    raise errors.InputError(
        f"{job.path}: its shards are embedded on devices of another kind:"
        f" {job.device!r} there and {device!r} here, which round differently."
        f" Use the same devices for all shards, or delete {job.path} to begin"
        " again."
    )
  numbers = shard.share(range(len(job.chunks)))
  job.embedder.embed_chunks(job.chunks, numbers, job.read, log)
  rows = sum(len(job.chunks.rows(number)) for number in numbers)
  return shards.Progress(len(numbers), rows, len(job.chunks.missing()))


def merge(
    root: pathlib.Path, store: store_lib.Store, order: config.Order
) -> tuple[embeddings.Embeddings, pathlib.Path]:
  """Makes the embeddings of chunks that shards have embedded.

  They have the bytes of those that a single process makes, and a chunk is in
  memory. The shards are deleted then. Embeddings that exist are opened.

  Args:
    root: the workdir.
    store: the rows.
    order: has the embedder and the text.

  Returns:
    The embeddings, and their directory.

  Raises:
    InputError: names chunks that are missing, damaged, or of another job; no
      embeddings are made then.
  """
  embedder, recipe = _describe(store, order)
  path = embeddings.path_of(root, recipe)
  existing = embeddings.read(root, recipe)
  if existing is not None:
    return existing, path
  job = _open(path, store, order.text, embedder, recipe)
  if missing := job.chunks.missing():
    raise errors.InputError(
        shards.describe_missing(
            job.path,
            missing,
            len(job.chunks),
            "chunks are not embedded",
            "No embeddings are",
            shards.describe_others(job.path, recipe, _WORK),
        )
    )
  cut: dict[int, int] = {}
  ids = np.arange(store.examples)
  vectors = embeddings.scale_to_unit(job.vectors(cut), store, ids)
  embeddings.save(path, vectors, recipe, sum(cut.values()))
  shutil.rmtree(job.path, ignore_errors=True)
  written = embeddings.read(root, recipe)
  assert written is not None, "it has just been written"
  return written, path


def _open(
    artifact: pathlib.Path,
    store: store_lib.Store,
    text: str,
    embedder: chunks_lib.ChunkEmbedder,
    recipe: Mapping[str, Any],
    device: str = "",
) -> Job:
  """Opens the job of an artifact; begins it if a device is named.

  Raises:
    InputError: another installation than that of processes before, or there is
      no job.
  """
  path = shards.path_of(artifact)
  installed = shards.describe_software(_LIBRARIES, _CODE)
  if not path.is_dir():
    if not device:
      hints = shards.describe_others(path, recipe, _WORK)
      message = shards.describe_absence(path, "embedded", hints)
      raise errors.InputError(message)
    fields = {
        "format": _FORMAT,
        "made_by": recipe,
        "software": installed,
        "device": device,
    }
    shards.begin_job(path, fields)
  fields = shards.read_job(path, _FORMAT, recipe, installed)
  owner = artifacts.digest(fields)
  chunks = chunks_lib.Chunks(path, store.examples, embedder.width, owner)
  return Job(path, store, text, embedder, chunks, fields["device"])


def _describe(
    store: store_lib.Store, order: config.Order
) -> tuple[chunks_lib.ChunkEmbedder, dict[str, Any]]:
  """Returns the embedder of an order, and what determines its embeddings.

  Raises:
    InputError: its vectors are made by one process.
  """
  embedder = embedders.make(order)
  if not isinstance(embedder, chunks_lib.ChunkEmbedder):
    raise errors.InputError(
        f"config.order.embedder: the vectors of {order.embedder!r} are not"
        " computed by shards, because they depend on all texts or on a model"
        " that a run trains. Leave --shard and --merge out, or use"
        " --stage=order."
    )
  return embedder, embeddings.recipe_of(store, order)
