"""Sentence encoders as embedders: BERT models from a Hugging Face directory.

Texts are embedded in chunks whose vectors are saved on disk (`parts`), so that an
interrupted run continues. Chunks and their batches do not depend on the number
of devices, processes or interruptions, and so neither do the vectors' bits.
"""

from collections.abc import Callable, Iterator
import dataclasses
import functools
import itertools
import pathlib
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from zsgen.core import errors, hosts, hub, registry, storage
from zsgen.core.schema import option
from zsgen.orders.embedders import encoded, parts

# These import jax, which tools on orders do without.
if TYPE_CHECKING:
  from zsgen.models import encoder_files
  from zsgen.orders.embedders import batches

# Number of texts of a chunk.
_CHUNK = 8192
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
class Encoder:
  """A BERT sentence encoder (MiniLM, bge, e5).

  Attributes:
    path: a directory in Hugging Face's layout, or a model's name on the hub.
    dtype: dtype of activations, "float32" or "bfloat16".
  """

  path: str
  dtype: str = "float32"

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

    from zsgen.orders.embedders import batches

    if jax.process_count() > 1 and storage.find(partial):
      raise errors.InputError(
          "config.order.embedder: several processes exchange vectors through"
          " files, which a bucket does not show to other hosts. Make the order"
          " in one process first (--stage=order), then train in all of them."
      )
    count, width = len(training), self._files.arch.width
    partial.mkdir(parents=True, exist_ok=True)
    chunks = [
        (parts.chunk_path(partial, number), (min(_CHUNK, count - start), width))
        for number, start in enumerate(range(0, count, _CHUNK))
    ]
    own_chunks = range(jax.process_index(), len(chunks), jax.process_count())
    due = [n for n in own_chunks if parts.read_chunk(*chunks[n]) is None]
    if due:
      devices = batches.Devices(self._files, self.dtype)
      rows = [
          sum(chunks[n][1][0] for n in numbers) for numbers in (own_chunks, due)
      ]
      progress = _Progress(log, rows[0], rows[0] - rows[1])
      for number, chunk_texts in zip(due, _chunks(texts, due), strict=True):
        chunk = parts.Chunk(*chunks[number])
        self._encode(devices, chunk, chunk_texts, progress, log)
    hosts.wait("all chunks")
    result = _assemble(chunks, (count, width))
    hosts.wait("all have read the chunks")  # Then they may be deleted.
    if result.cut:
      log(
          f"{result.cut:,} of {count:,} texts were cut to"
          f" {self._files.max_length} tokens"
      )
    return result

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
      _check_finite(vectors, rows, texts, self._files.directory)
      new = int((~chunk.is_done[rows]).sum())
      chunk.add(rows, vectors)
      progress.add(new)

    chunk.finish(devices.encode(texts, chunk.is_done.copy(), keep))

  @functools.cached_property
  def _files(self) -> "encoder_files.Files":
    """Finds and reads the encoder's files; downloads missing ones."""
    from zsgen.models import encoder_files

    dtypes = {name: None for name in DTYPES}
    errors.choose(dtypes, self.dtype, "the encoder's dtype")
    directory = hub.locate(
        self.path, _DOWNLOADED, "config.order.encoder", "encoder"
    )
    return encoder_files.read(directory)


@dataclasses.dataclass(frozen=True)
class Options:
  """The options of `encoder`."""

  # A Hugging Face directory, or a name on the hub.
  encoder: str = option("", kind="local", machine=True)
  # Element type of its activations.
  encoder_dtype: str = option("float32", choices=DTYPES)


@registry.embedder("encoder", options=Options)
def build(options: Options) -> Encoder:
  """Returns the embedder."""
  return Encoder(options.encoder, options.encoder_dtype)


def _chunks(texts: Iterator[str], numbers: list[int]) -> Iterator[list[str]]:
  """Yields the texts of some chunks, whose numbers ascend."""
  begin = 0
  for number in numbers:
    skipped = (number - begin) * _CHUNK
    yield list(itertools.islice(texts, skipped, skipped + _CHUNK))
    begin = number + 1


def _assemble(
    chunks: list[tuple[pathlib.Path, tuple[int, int]]], shape: tuple[int, int]
) -> encoded.Encoded:
  """Returns the vectors of all chunks, in order.

  Raises:
    InputError: a chunk does not appear.

  Args:
    chunks: the file and the shape of each chunk.
    shape: the shape of all vectors.
  """
  vectors, cut = np.empty(shape, np.float32), 0
  for (path, part), start in zip(
      chunks, range(0, shape[0], _CHUNK), strict=True
  ):
    chunk = parts.read_chunk(path, part)
    if chunk is None:
      raise errors.InputError(
          f"{path} is missing or damaged, although it was just written. With"
          " several processes, --workdir must be shared by all of them. If the"
          f" disk is damaged, delete {path.parent} to embed the texts again."
      )
    assert isinstance(chunk.vectors, np.ndarray), "an encoder's are dense"
    vectors[start : start + _CHUNK] = chunk.vectors
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
