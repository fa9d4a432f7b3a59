"""Chunks: rows that were encoded, on disk until all of them are.

Preparing millions of examples takes long, and may be stopped: what is done is
kept beside the stores, and is dropped when the store is whole. A chunk is
`chunk-00000.npz` (tokens and mask of its rows) and `chunk-00000.parquet` (an
example a line); the latter is written last, and so says that both are there.
The archive, which has sums of its own, holds a digest of the table.
"""

from collections.abc import Iterator, Mapping
from concurrent import futures
import hashlib
import io
import json
import pathlib
from typing import NamedTuple
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from zsgen.core import artifacts, errors
from zsgen.data import ahead

# Member of the archive that has the digest of the table.
_DIGEST = "table.sha256"
# Most examples of a chunk, and the characters at which it ends before.
SIZE = 4096
CHARACTERS = 1 << 24
# Of the files; chunks of another format are not continued.
FORMAT = 2
# Where the table's metadata has the counts of prompts, and of characters.
_PROMPTS, _CHARACTERS = "zsgen.prompts", "zsgen.characters"


class Chunk(NamedTuple):
  """Examples of a suite and their rows.

  Attributes:
    tokens: of all rows that have loss tokens, one after another, uint32.
    mask: 1 where a token takes part in the loss, uint8.
    table: of each example
      task, category, split, key: its labels.
      tokens, loss_tokens: their number.
      cut: whether it was longer than a row may be; answer_cut, whether loss
        tokens were lost by that; last_lost, whether all of its last answer's.
      unknown, unknown_loss: the number of unknown tokens, and of those with
        loss.
      lost_characters: characters of the request that no token stands for.
      answer_changed: whether the tokenizer changes characters of the answer.
      answer_lost: whether the answer lost characters, so that all tokens are
        left out.
      prompt, answer: the text without and with loss.
      right: null but for choices.
      and the columns of `judged`: null but for held-out examples.
    prompts: what prompts left out, counted.
    characters: that the tokenizer does not know, the most frequent ones.
  """

  tokens: np.ndarray
  mask: np.ndarray
  table: pa.Table
  prompts: Mapping[str, int]
  characters: Mapping[str, int]


def write(folder: pathlib.Path, number: int, chunk: Chunk) -> None:
  """Writes a chunk to a folder that is there."""
  arrays, table = io.BytesIO(), io.BytesIO()
  np.savez(arrays, tokens=chunk.tokens, mask=chunk.mask)
  said = {
      _PROMPTS: json.dumps(chunk.prompts, sort_keys=True),
      _CHARACTERS: json.dumps(chunk.characters),
  }
  pq.write_table(
      chunk.table.replace_schema_metadata(said), table, compression="zstd"
  )
  path = _path(folder, number)
  with zipfile.ZipFile(arrays, "a") as archive:
    archive.writestr(_DIGEST, _digest(path, table.getvalue()))
  artifacts.write_bytes(path.with_suffix(".npz"), arrays.getvalue())
  artifacts.write_bytes(path, table.getvalue())


def done(folder: pathlib.Path) -> int:
  """Chunks that are whole, counted from the first."""
  number = 0
  while _path(folder, number).is_file():
    number += 1
  return number


def read(folder: pathlib.Path) -> Iterator[Chunk]:
  """All chunks, in their order; InputError for one that is damaged.

  The caller drops them all then.
  """
  paths = [_path(folder, number) for number in range(done(folder))]
  # One is read while the one before it is used.
  with futures.ThreadPoolExecutor(1) as pool:
    yield from ahead.results(pool, _read_checked, paths, 1)


def _read_checked(path: pathlib.Path) -> Chunk:
  """The chunk of this table, if both files are what was written."""
  try:
    with zipfile.ZipFile(path.with_suffix(".npz")) as archive:
      whole = archive.testzip() is None
      digest = archive.read(_DIGEST).decode()
      whole = whole and digest == _digest(path, path.read_bytes())
  except Exception:  # A damaged archive raises a dozen kinds.
    whole = False
  if not whole:
    raise errors.InputError(
        f"{path}: is damaged, or {path.stem}.npz is. All chunks were dropped;"
        " run again to have the examples encoded again."
    )
  return _read(path)


def _digest(path: pathlib.Path, table: bytes) -> str:
  """SHA-256 (hex) of a table's file and its name."""
  return hashlib.sha256(path.name.encode() + table).hexdigest()


def _read(path: pathlib.Path) -> Chunk:
  """The chunk of this table."""
  try:
    with np.load(path.with_suffix(".npz"), allow_pickle=False) as arrays:
      table = pq.read_table(path)
      counts, characters = (
          json.loads(table.schema.metadata[name.encode()])
          for name in (_PROMPTS, _CHARACTERS)
      )
      tokens, mask = arrays["tokens"], arrays["mask"]
      return Chunk(tokens, mask, table, counts, characters)
  except (
      OSError,
      ValueError,
      TypeError,
      KeyError,
      zipfile.BadZipFile,
  ) as error:
    raise errors.InputError(
        f"{path}: is damaged ({error}). All chunks were dropped; run again to"
        " have the examples encoded again."
    ) from error


def _path(folder: pathlib.Path, number: int) -> pathlib.Path:
  return folder / f"chunk-{number:05d}.parquet"
