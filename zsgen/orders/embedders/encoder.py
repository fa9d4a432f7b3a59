"""Sentence encoders as embedders: BERT models from a Hugging Face directory.

Texts are taken in chunks, and what is done is kept on disk (`parts`), so that
an interrupted run continues where it was. Chunks and their batches depend on no
number of devices, processes or interruptions, so neither do the vectors' bits.
"""

from collections.abc import Callable, Iterator
import dataclasses
import functools
import itertools
import pathlib
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from zsgen.core import errors, hosts, hub, registry
from zsgen.core.schema import option
from zsgen.orders.embedders import encoded, parts

# These import jax, which tools on orders do without.
if TYPE_CHECKING:
  from zsgen.models import encoder_files
  from zsgen.orders.embedders import batches

# Texts of a chunk.
_CHUNK = 8192
_SECONDS = 5.0
DTYPES = ("float32", "bfloat16")
_DOWNLOADED = ("*.json", "*.safetensors", "*.txt")


class _Progress:
  """Says how far the encoding is, every few seconds.

  Args:
    say: takes lines.
    rows: texts of this process.
    done: those of them that an earlier start has embedded.
  """

  def __init__(self, say: Callable[[str], None], rows: int, done: int):
    self._say, self._rows, self._kept, self._new = say, rows, done, 0
    self._begin = self._last = time.monotonic()

  def resume(self, rows: int) -> None:
    """Counts texts that an earlier start has embedded too, and says so."""
    self._kept += rows
    if rows or (self._kept and not self._new):
      self._say(
          f"embedding resumes: {self._kept + self._new:,} of"
          f" {self._rows:,} texts are done"
      )

  def add(self, rows: int) -> None:
    """Counts texts that are done."""
    self._new += rows
    now = time.monotonic()
    if now - self._last > _SECONDS:
      self._last = now
      rate = self._new / (now - self._begin)
      self._say(
          f"embedded {self._kept + self._new:,} of {self._rows:,} texts,"
          f" {rate:.0f} a second"
      )


@dataclasses.dataclass(frozen=True)
class Encoder:
  """A BERT sentence encoder (MiniLM, bge, e5).

  Attributes:
    path: a directory in Hugging Face's layout, or a model's name on the hub.
    dtype: of activations, "float32" or "bfloat16".
  """

  path: str
  dtype: str = "float32"

  def parameters(self) -> dict[str, Any]:
    """What decides the vectors; where the files lie does not.

    Raises:
      InputError: see `encoder_files.read`; or the dtype is none of the two.
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
      say: Callable[[str], None],
  ) -> encoded.Encoded:
    """Embeds texts, on all devices of all processes.

    Args:
      texts: all N of them, in every process.
      training: unused but for its length, N.
      partial: directory of what is done, made where absent; for these texts
        and these `parameters` only, and seen by every process. It is the
        caller's to delete.
      say: is told of the progress.

    Returns:
      Vectors and how many texts were cut; the same in every process.

    Raises:
      InputError: the encoder's files do not fit, a vector is not finite, or
        what another process has written is not seen.
    """
    import jax

    from zsgen.orders.embedders import batches

    count, width = len(training), self._files.arch.width
    partial.mkdir(parents=True, exist_ok=True)
    chunks = [
        (parts.chunk_path(partial, number), (min(_CHUNK, count - start), width))
        for number, start in enumerate(range(0, count, _CHUNK))
    ]
    mine = range(jax.process_index(), len(chunks), jax.process_count())
    due = [n for n in mine if parts.read_chunk(*chunks[n]) is None]
    if due:
      devices = batches.Devices(self._files, self.dtype)
      rows = [sum(chunks[n][1][0] for n in some) for some in (mine, due)]
      progress = _Progress(say, rows[0], rows[0] - rows[1])
      for number, listed in zip(due, _chunks(texts, due), strict=True):
        chunk = parts.Chunk(*chunks[number])
        self._encode(devices, chunk, listed, progress, say)
    hosts.wait("all chunks")
    found = _assemble(chunks, (count, width))
    hosts.wait("all have read the chunks")  # Then it may be deleted.
    if found.cut:
      say(
          f"{found.cut:,} of {count:,} texts were longer than"
          f" {self._files.max_length} tokens and lost their end"
      )
    return found

  def _encode(
      self,
      devices: "batches.Devices",
      chunk: parts.Chunk,
      texts: list[str],
      progress: _Progress,
      say: Callable[[str], None],
  ) -> None:
    """Embeds the texts of a chunk that are not done, and writes it."""
    for path in chunk.damaged:
      say(f"{path} was damaged; its texts are embedded again")
    progress.resume(int(chunk.done.sum()))

    def keep(rows: np.ndarray, vectors: np.ndarray) -> None:
      _check_finite(vectors, rows, texts, self._files.directory)
      new = int((~chunk.done[rows]).sum())
      chunk.add(rows, vectors)
      progress.add(new)

    chunk.finish(devices.encode(texts, chunk.done.copy(), keep))

  @functools.cached_property
  def _files(self) -> "encoder_files.Files":
    from zsgen.models import encoder_files

    dtypes = dict.fromkeys(DTYPES)
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
  """The texts of some chunks, whose numbers ascend."""
  begin = 0
  for number in numbers:
    skipped = (number - begin) * _CHUNK
    yield list(itertools.islice(texts, skipped, skipped + _CHUNK))
    begin = number + 1


def _assemble(
    chunks: list[tuple[pathlib.Path, tuple[int, int]]], shape: tuple[int, int]
) -> encoded.Encoded:
  """What finished chunks hold, in order; InputError for one that is not seen.

  Args:
    chunks: the file and the shape of each.
    shape: of all vectors.
  """
  vectors, cut = np.empty(shape, np.float32), 0
  for (path, part), start in zip(
      chunks, range(0, shape[0], _CHUNK), strict=True
  ):
    found = parts.read_chunk(path, part)
    if found is None:
      raise errors.InputError(
          f"{path} is missing or damaged, although it was just written. With"
          " several processes, --workdir must be shared by all of them. If the"
          f" disk is damaged, delete {path.parent} to embed the texts again."
      )
    vectors[start : start + _CHUNK] = found.vectors
    cut += found.cut
  return encoded.Encoded(vectors, cut)


def _check_finite(
    vectors: np.ndarray,
    rows: np.ndarray,
    texts: list[str],
    directory: pathlib.Path,
) -> None:
  bad = np.flatnonzero(~np.isfinite(vectors).all(1))
  if len(bad):
    raise errors.InputError(
        f"{directory}: the vector of {texts[rows[bad[0]]][:80]!r} is not"
        f" finite, as are those of {len(bad)} texts of its batch. The weights"
        " are damaged, or the dtype is too narrow for them."
    )
