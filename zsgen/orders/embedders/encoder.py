"""Sentence encoders as embedders: BERT models from a Hugging Face directory.

Texts are taken in chunks; a chunk that is done is a file, so that an
interrupted run goes on where it was. Chunks and what is done with one depend
on no number of devices or processes, so neither do the vectors' bits.
"""

from collections.abc import Callable, Iterator
import dataclasses
import functools
import io
import itertools
import pathlib
import time
from typing import Any
import zipfile

import jax
import numpy as np

from zsgen import artifacts, errors, hosts, hub
from zsgen.models import encoder_files
from zsgen.orders.embedders import batches, encoded

# Texts of a chunk.
_CHUNK = 8192
_SECONDS = 5.0
_DOWNLOADED = ("*.json", "*.safetensors", "*.txt")


class _Progress:
  """Says how far the encoding is, every few seconds."""

  def __init__(self, say: Callable[[str], None], rows: int):
    self._say, self._rows, self._done = say, rows, 0
    self._begin = self._last = time.monotonic()

  def add(self, rows: int) -> None:
    """Counts texts that are done."""
    self._done += rows
    now = time.monotonic()
    if now - self._last > _SECONDS:
      self._last = now
      rate = self._done / (now - self._begin)
      self._say(
          f"embedded {self._done:,} of {self._rows:,} texts, {rate:.0f} a"
          " second"
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
      partial: directory of finished chunks, made where absent; for these
        texts and these `parameters` only, and seen by every process. It is
        the caller's to delete.
      say: is told of the progress.

    Returns:
      Vectors and how many texts were cut; the same in every process.

    Raises:
      InputError: the encoder's files do not fit, a vector is not finite, or a
        chunk is damaged.
    """
    count = len(training)
    partial.mkdir(parents=True, exist_ok=True)
    paths = [
        partial / f"chunk-{number:05d}.npz"
        for number in range(-(-count // _CHUNK))
    ]
    mine = range(jax.process_index(), len(paths), jax.process_count())
    due = [number for number in mine if not paths[number].is_file()]
    if due:
      rows = sum(min(_CHUNK, count - number * _CHUNK) for number in due)
      chunks = zip(
          map(paths.__getitem__, due), _chunks(texts, due), strict=True
      )
      self._encode(chunks, _Progress(say, rows))
    hosts.wait("all chunks")
    found = _assemble(paths, (count, self._files.arch.width))
    hosts.wait("all have read the chunks")  # Then it may be deleted.
    if found.cut:
      say(
          f"{found.cut:,} of {count:,} texts were longer than"
          f" {self._files.max_length} tokens and lost their end"
      )
    return found

  def _encode(
      self,
      chunks: Iterator[tuple[pathlib.Path, list[str]]],
      progress: _Progress,
  ) -> None:
    """Encodes and writes chunks."""
    devices = batches.Devices(self._files, self.dtype)
    for path, texts in chunks:
      found = devices.encode(texts, progress.add)
      _check_finite(found.vectors, texts, self._files.directory)
      data = io.BytesIO()
      np.savez(data, **found._asdict())
      artifacts.write_bytes(path, data.getvalue())

  @functools.cached_property
  def _files(self) -> encoder_files.Files:
    dtypes = dict.fromkeys(("float32", "bfloat16"))
    errors.choose(dtypes, self.dtype, "the encoder's dtype")
    directory = hub.locate(
        self.path, _DOWNLOADED, "config.order.encoder", "encoder"
    )
    return encoder_files.read(directory)


def _chunks(texts: Iterator[str], numbers: list[int]) -> Iterator[list[str]]:
  """The texts of some chunks, whose numbers ascend."""
  begin = 0
  for number in numbers:
    skipped = (number - begin) * _CHUNK
    yield list(itertools.islice(texts, skipped, skipped + _CHUNK))
    begin = number + 1


def _assemble(
    paths: list[pathlib.Path], shape: tuple[int, int]
) -> encoded.Encoded:
  """What finished chunks hold, in order; InputError for one damaged."""
  vectors, cut = np.empty(shape, np.float32), 0
  for path, start in zip(paths, range(0, shape[0], _CHUNK), strict=True):
    place = vectors[start : start + _CHUNK]
    found = _load(path)
    if found is None or found.vectors.shape != place.shape:
      raise errors.InputError(
          f"{path} is missing, damaged or of other texts. Delete {path.parent}"
          " to have the texts embedded again; several processes need a"
          " directory that all of them see."
      )
    place[:] = found.vectors
    cut += int(found.cut)
  return encoded.Encoded(vectors, cut)


def _load(path: pathlib.Path) -> encoded.Encoded | None:
  try:
    with np.load(path) as found:
      return encoded.Encoded(found["vectors"], found["cut"])
  except (OSError, ValueError, KeyError, zipfile.BadZipFile):
    return None


def _check_finite(
    vectors: np.ndarray, texts: list[str], directory: pathlib.Path
) -> None:
  bad = np.flatnonzero(~np.isfinite(vectors).all(1))
  if len(bad):
    raise errors.InputError(
        f"{directory}: the vector of {texts[bad[0]][:80]!r} is not finite, as"
        f" are those of {len(bad)} texts of its chunk. The weights are"
        " damaged, or the dtype is too narrow for them."
    )
