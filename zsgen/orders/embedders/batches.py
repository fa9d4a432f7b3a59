"""Encodes texts on devices: tokens, buckets by length, batches of fixed shape.

A text is padded to the shortest bucket that it fits into. A device's batch always
has the number of rows of its bucket, even if there are fewer texts. So every
device runs the same program on the same rows as a single device would, one batch
after the other, and the bits do not depend on the number of devices.
"""

from collections.abc import Callable, Iterator
import functools
from typing import Any

import jax
from jax.sharding import AxisType, NamedSharding, PartitionSpec
import numpy as np

from zsgen.core import errors
from zsgen.data.tokenizers import guard
from zsgen.models import encoder, encoder_files

# Lengths in tokens that texts are padded to, with one compiled program per length.
_LENGTHS = (*range(32, 256, 32), *range(256, 513, 64))
# Tokens of a device's batch, including padding.
_TOKENS = 4096
# Batches that wait on the devices while the next ones are prepared.
_AHEAD = 2


class Devices:
  """The model on each device of this process, with rows split among them."""

  def __init__(self, files: encoder_files.Files, dtype: str):
    self._files = files
    self._tokenizer = _tokenizer(files)
    devices = jax.local_devices()
    self._count = len(devices)
    mesh = jax.make_mesh(
        (self._count,), ("rows",), (AxisType.Auto,), devices=devices
    )
    unsplit, rows = PartitionSpec(), PartitionSpec("rows")
    self._params = jax.device_put(files.params(), NamedSharding(mesh, unsplit))
    encode = functools.partial(
        encoder.encode,
        arch=files.arch,
        dtype=dtype,
        pooling=files.pooling,
        normalize=files.normalize,
    )
    self._call = jax.jit(
        jax.shard_map(
            encode,
            mesh=mesh,
            in_specs=(unsplit, rows, rows),
            out_specs=rows,
        )
    )

  def encode(
      self,
      texts: list[str],
      is_done: np.ndarray,
      keep: Callable[[np.ndarray, np.ndarray], None],
  ) -> int:
    """Embeds texts, except for batches that are done.

    Args:
      texts: N texts.
      is_done: which of them need not be embedded, bool [N]; they are embedded
        again if they share a batch with texts that are not done.
      keep: is called with rows [n] and their vectors [n, D], batch by batch.

    Returns:
      The number of the N texts that are cut.
    """
    prefixed = [self._files.prefix + text for text in texts]
    file = self._files.directory / encoder_files.TOKENIZER
    with guard.one_error(file, "cannot encode a text"):
      encodings = self._tokenizer.encode_batch_fast(prefixed)
    ids = [encoding.ids for encoding in encodings]
    batches = _batches(ids, is_done, self._files.max_length, self._count)
    for rows, result in self._results(batches):
      keep(rows, np.asarray(result)[: len(rows)])
    return sum(bool(encoding.overflowing) for encoding in encodings)

  def _results(
      self, batches: Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]
  ) -> Iterator[tuple[np.ndarray, jax.Array]]:
    """Yields vectors, a few batches behind what is computed."""
    waiting = []
    for rows, tokens, lengths in batches:
      waiting.append((rows, self._call(self._params, tokens, lengths)))
      if len(waiting) > _AHEAD:
        yield waiting.pop(0)
    yield from waiting


def _batches(
    ids: list[list[int]], is_done: np.ndarray, max_length: int, devices: int
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
  """Yields rows [n], tokens [devices * R, T] and lengths [devices * R].

  T is the shortest bucket that a text fits into, and R a function of T. Each
  device's R rows are those of one batch of a single device, if no text is done.
  """
  buckets = [
      *(length for length in _LENGTHS if length < max_length),
      max_length,
  ]
  bucket = np.searchsorted(buckets, [len(tokens) for tokens in ids])
  for number, width in enumerate(buckets):
    members = np.flatnonzero(bucket == number)
    size = max(1, _TOKENS // width)
    due = [
        rows
        for rows in np.split(members, range(size, len(members), size))
        if not is_done[rows].all()
    ]
    for start in range(0, len(due), devices):
      rows = np.concatenate(due[start : start + devices])
      yield rows, *_padded([ids[row] for row in rows], devices * size, width)


def _padded(
    ids: list[list[int]], rows: int, width: int
) -> tuple[np.ndarray, np.ndarray]:
  """Returns tokens [rows, width] and their lengths [rows], int32."""
  tokens, lengths = np.zeros((rows, width), np.int32), np.zeros(rows, np.int32)
  for row, row_ids in enumerate(ids):
    tokens[row, : len(row_ids)] = row_ids
    lengths[row] = len(row_ids)
  return tokens, lengths


def _tokenizer(files: encoder_files.Files) -> Any:
  """Returns the directory's tokenizer, which cuts texts to the model's length."""
  try:
    import tokenizers
  except ImportError as error:
    raise errors.InputError(
        "encoders need the package tokenizers. Run `pip install tokenizers`."
    ) from error

  path = files.directory / encoder_files.TOKENIZER
  with guard.one_error(path, "is not a tokenizer; download it again"):
    tokenizer = tokenizers.Tokenizer.from_file(str(path))
  highest = max(tokenizer.get_vocab().values(), default=0)
  if highest >= files.arch.vocab_size:
    raise errors.InputError(
        f"{path}: has a token {highest}, but the model has"
        f" {files.arch.vocab_size} tokens. Use the tokenizer of this model."
    )
  if files.lowercase:
    tokenizer.normalizer = tokenizers.normalizers.Sequence(
        [
            tokenizers.normalizers.Lowercase(),
            *filter(None, [tokenizer.normalizer]),
        ]
    )
  # The file's settings of both are for other uses.
  tokenizer.no_padding()
  tokenizer.enable_truncation(files.max_length)
  return tokenizer
