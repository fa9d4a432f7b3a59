"""Texts on devices: tokens, buckets by length, batches of a fixed shape.

A text is padded to the shortest bucket that it fits, and a device's batch has
as many rows as the bucket says, however few texts there are. So every device
runs the same program on the same rows as a single device would, one batch
after the other, and bits do not depend on the number of devices.
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

# Lengths in tokens that texts are padded to, one compiled program each.
_LENGTHS = (*range(32, 256, 32), *range(256, 513, 64))
# Tokens of a device's batch, padding counted.
_TOKENS = 4096
# Batches that wait on the devices while the next ones are made.
_AHEAD = 2


class Devices:
  """The model on each device of this process, rows split among them."""

  def __init__(self, files: encoder_files.Files, dtype: str):
    self._files = files
    self._tokenizer = _tokenizer(files)
    devices = jax.local_devices()
    self._count = len(devices)
    mesh = jax.make_mesh(
        (self._count,), ("rows",), (AxisType.Auto,), devices=devices
    )
    whole, rows = PartitionSpec(), PartitionSpec("rows")
    self._params = jax.device_put(files.params(), NamedSharding(mesh, whole))
    encode = functools.partial(
        encoder.encode,
        arch=files.arch,
        dtype=dtype,
        pooling=files.pooling,
        normalize=files.normalize,
    )
    specs = dict(in_specs=(whole, rows, rows), out_specs=rows)
    self._call = jax.jit(jax.shard_map(encode, mesh=mesh, **specs))

  def encode(
      self,
      texts: list[str],
      done: np.ndarray,
      keep: Callable[[np.ndarray, np.ndarray], None],
  ) -> int:
    """Embeds texts, but for batches that are done.

    Args:
      texts: N texts.
      done: which of them need not be embedded, bool [N]; one that shares a
        batch with others which need it is embedded once more.
      keep: takes rows [n] and their vectors [n, D], batch by batch.

    Returns:
      How many of all N texts are cut.
    """
    prefixed = [self._files.prefix + text for text in texts]
    file = self._files.directory / encoder_files.TOKENIZER
    with guard.one_error(file, "cannot encode a text"):
      found = self._tokenizer.encode_batch_fast(prefixed)
    ids = [each.ids for each in found]
    batches = _batches(ids, done, self._files.max_length, self._count)
    for rows, result in self._results(batches):
      keep(rows, np.asarray(result)[: len(rows)])
    return sum(bool(each.overflowing) for each in found)

  def _results(
      self, batches: Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]
  ) -> Iterator[tuple[np.ndarray, jax.Array]]:
    waiting = []
    for rows, tokens, lengths in batches:
      waiting.append((rows, self._call(self._params, tokens, lengths)))
      if len(waiting) > _AHEAD:
        yield waiting.pop(0)
    yield from waiting


def _batches(
    ids: list[list[int]], done: np.ndarray, max_length: int, devices: int
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
  """Yields rows [n], tokens [devices * R, T] and lengths [devices * R].

  T is the shortest bucket that a text fits, R a function of T. Each device's
  R rows are those that a single device would have got in one batch, had none
  been done.
  """
  buckets = [*(each for each in _LENGTHS if each < max_length), max_length]
  bucket = np.searchsorted(buckets, [len(each) for each in ids])
  for number, width in enumerate(buckets):
    members = np.flatnonzero(bucket == number)
    size = max(1, _TOKENS // width)
    due = [
        rows
        for rows in np.split(members, range(size, len(members), size))
        if not done[rows].all()
    ]
    for start in range(0, len(due), devices):
      rows = np.concatenate(due[start : start + devices])
      yield rows, *_padded([ids[row] for row in rows], devices * size, width)


def _padded(
    ids: list[list[int]], rows: int, width: int
) -> tuple[np.ndarray, np.ndarray]:
  """Tokens [rows, width] and their lengths [rows], int32."""
  tokens, lengths = np.zeros((rows, width), np.int32), np.zeros(rows, np.int32)
  for row, each in enumerate(ids):
    tokens[row, : len(each)] = each
    lengths[row] = len(each)
  return tokens, lengths


def _tokenizer(files: encoder_files.Files) -> Any:
  """The directory's tokenizer, cutting texts where the model ends."""
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
  # What the file says of both is for other uses.
  tokenizer.no_padding()
  tokenizer.enable_truncation(files.max_length)
  return tokenizer
