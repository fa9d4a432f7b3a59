"""Sentence encoders as embedders: BERT models from a Hugging Face directory.

Texts are embedded in chunks whose vectors are saved on disk (`parts`), so that an
interrupted run continues. Chunks and their batches do not depend on the number
of devices, processes or interruptions, and so neither do the vectors' bits.
"""

from collections.abc import Callable, Iterator, Sequence
import dataclasses
import functools
import itertools
import pathlib
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from zsgen.core import errors, hosts, hub, registry, storage
from zsgen.core.schema import option
from zsgen.orders.embedders import chunks as chunks_lib
from zsgen.orders.embedders import encoded, parts

# These import jax, which tools on orders do without.
if TYPE_CHECKING:
  from zsgen.models import encoder_files
  from zsgen.orders.embedders import batches

_SECONDS = 5.0
DTYPES = ("float32", "bfloat16")
_DOWNLOADED = ("*.json", "*.safetensors", "*.txt")


class _Progress:
  """Prints the progress of the encoding every few seconds.

  Args:
    log: is called with lines.
    rows: number of texts of this process.
    saved: number of texts that an earlier start has embedded.
  """

  def __init__(self, log: Callable[[str], None], rows: int, saved: int):
    self._log, self._rows, self._saved, self._new = log, rows, saved, 0
    self._begin = self._last = time.monotonic()

  def resume(self, rows: int) -> None:
    """Counts further texts that an earlier start has embedded."""
    self._saved += rows
    if rows or (self._saved and not self._new):
      self._log(
          f"embedding resumes: {self._saved + self._new:,} of"
          f" {self._rows:,} texts are done"
      )

  def add(self, rows: int) -> None:
    """Counts texts that are done."""
    self._new += rows
    now = time.monotonic()
    if now - self._last > _SECONDS:
      self._last = now
      rate = self._new / (now - self._begin)
      self._log(
          f"embedded {self._saved + self._new:,} of {self._rows:,} texts,"
          f" {rate:.0f} a second"
      )


@dataclasses.dataclass(frozen=True)
class Encoder(chunks_lib.ChunkEmbedder):
  """A BERT sentence encoder (MiniLM, bge, e5).

  Attributes:
    path: a directory in Hugging Face's layout, or a model's name on the hub.
    dtype: dtype of activations, "float32" or "bfloat16".
  """

  path: str
  dtype: str = "float32"

  @property
  def width(self) -> int:
    """The length of a vector."""
    return self._files.arch.width

  def locate(self) -> pathlib.Path:
    """Returns the directory of the encoder; downloads it if it is on the hub.

    Raises:
      InputError: there is no such directory, and the download fails.
    """
    return hub.locate(self.path, _DOWNLOADED, "config.order.encoder", "encoder")

  def parameters(self) -> dict[str, Any]:
    """Returns what determines the vectors; the location of files does not.

    Raises:
      InputError: see `encoder_files.read`; or the dtype is not supported.
    """
    return dict(
        model=self._files.digest,
        dtype=self.dtype,
        max_length=self._files.max_length,
        pooling=self._files.pooling,
        normalize=self._files.normalize,
        prefix=self._files.prefix,
    )

  def embed(
      self,
      texts: Iterator[str],
      training: np.ndarray,
      partial: pathlib.Path,
      log: Callable[[str], None],
  ) -> encoded.Encoded:
    """Embeds texts, on all devices of all processes.

    Args:
      texts: all N texts, in every process.
      training: only its length, N, is used.
      partial: directory for finished vectors, created if necessary; for these
        texts and these `parameters` only, and shared by all processes. The
        caller deletes it.
      log: is called with lines about the progress.

    Returns:
      Vectors and the number of cut texts; the same in every process.

    Raises:
      InputError: the encoder's files do not match, a vector is not finite,
        the file of another process does not appear, or several processes have
        a workdir in a bucket.
    """
    import jax

    if jax.process_count() > 1 and storage.find(partial):
      raise errors.InputError(
          "config.order.embedder: several processes exchange vectors through"
          " files, which a bucket does not show to other hosts. Make the order"
          " in one process first (--stage=order), then train in all of them."
      )
    partial.mkdir(parents=True, exist_ok=True)
    chunks = chunks_lib.Chunks(partial, len(training), self.width)
    numbers = range(jax.process_index(), len(chunks), jax.process_count())
    self.embed_chunks(chunks, numbers, _read_from(texts), log)
    hosts.wait("all chunks")
    result = _assemble(chunks)
    hosts.wait("all have read the chunks")  # Then they may be deleted.
    if result.cut:
      log(
          f"{result.cut:,} of {chunks.count:,} texts were cut to"
          f" {self._files.max_length} tokens"
      )
    return result

  def embed_chunks(
      self,
      chunks: chunks_lib.Chunks,
      numbers: Sequence[int],
      read: chunks_lib.ReadTexts,
      log: Callable[[str], None],
  ) -> None:
    """Embeds chunks; see `chunks.ChunkEmbedder.embed_chunks`.

    Raises:
      InputError: the encoder's files do not match, or a vector is not finite.
    """
    from zsgen.orders.embedders import batches

    due = [number for number in numbers if chunks.read(number) is None]
    if not due:
      return
    devices = batches.Devices(self._files, self.dtype)
    total, new = (
        sum(len(chunks.rows(n)) for n in part) for part in (numbers, due)
    )
    progress = _Progress(log, total, total - new)
    for number in due:
      # Another shard may have embedded it in the meantime.
      if chunks.read(number) is None:
        texts = read(chunks.rows(number))
        self._encode(devices, chunks.begin(number), texts, progress, log)

  def _encode(
      self,
      devices: "batches.Devices",
      chunk: parts.Chunk,
      texts: list[str],
      progress: _Progress,
      log: Callable[[str], None],
  ) -> None:
    """Embeds the texts of a chunk that are not done, and writes the chunk."""
    for path in chunk.damaged:
      log(f"{path} was damaged; its texts are embedded again")
    progress.resume(int(chunk.is_done.sum()))

    def keep(rows: np.ndarray, vectors: np.ndarray) -> None:
      """Adds the vectors of a batch, some of which may be done already."""
      _check_finite(vectors, rows, texts, self._files.directory)
      new = int((~chunk.is_done[rows]).sum())
      chunk.add(rows, vectors)
      progress.add(new)

    chunk.finish(devices.encode(texts, chunk.is_done.copy(), keep))

  @functools.cached_property
  def _files(self) -> "encoder_files.Files":
    """The encoder's files, read when they are first needed."""
    from zsgen.models import encoder_files

    dtypes = {name: None for name in DTYPES}
    errors.choose(dtypes, self.dtype, "the encoder's dtype")
    return encoder_files.read(self.locate())


@dataclasses.dataclass(frozen=True)
class Options:
  """The options of `encoder`."""

  # The encoder: a Hugging Face directory, or a name on the hub.
  encoder: str = option("", kind="local", machine=True)
  # Element type of the encoder's activations.
  encoder_dtype: str = option("float32", choices=DTYPES)


@registry.embedder("encoder", options=Options)
def build(options: Options) -> Encoder:
  """Returns the embedder."""
  return Encoder(options.encoder, options.encoder_dtype)


def _read_from(texts: Iterator[str]) -> chunks_lib.ReadTexts:
  """Returns what reads rows of an iterator, whose numbers ascend."""
  position = 0

  def read(rows: range) -> list[str]:
    """Returns the texts of `rows`; skips the texts before them."""
    nonlocal position
    skipped = rows.start - position
    position = rows.stop
    return list(itertools.islice(texts, skipped, skipped + len(rows)))

  return read


def _assemble(chunks: chunks_lib.Chunks) -> encoded.Encoded:
  """Returns the vectors of all chunks, in order.

  Raises:
    InputError: a chunk does not appear.
  """
  vectors = np.empty((chunks.count, chunks.width), np.float32)
  cut = 0
  advice = (
      "It was just written. With several processes, --workdir must be shared by"
      f" all of them. If the disk is damaged, delete {chunks.folder} to embed"
      " the texts again."
  )
  for number, chunk in enumerate(chunks.read_all(advice)):
    assert isinstance(chunk.vectors, np.ndarray), "an encoder's are dense"
    vectors[chunks.rows(number)] = chunk.vectors
    cut += chunk.cut
  return encoded.Encoded(vectors, cut)


def _check_finite(
    vectors: np.ndarray,
    rows: np.ndarray,
    texts: list[str],
    directory: pathlib.Path,
) -> None:
  """Raises InputError for a vector that is not finite."""
  bad = np.flatnonzero(~np.isfinite(vectors).all(1))
  if len(bad):
    raise errors.InputError(
        f"{directory}: the vector of {texts[rows[bad[0]]][:80]!r} is not"
        f" finite, as are those of {len(bad)} texts of its batch. The weights"
        " are damaged, or the dtype is too narrow for them."
    )
