"""Chunks: rows that were encoded, on disk until all of them are.

Preparing millions of examples takes long, and may be stopped: what is done is
kept beside the stores, and is dropped when the store is whole. A chunk is
`chunk-00000.npz` (tokens and mask of its rows) and `chunk-00000.parquet` (an
example a line); the latter is written last, and so says that both are there.
The archive, which has sums of its own, holds a digest of the table.
"""

from collections.abc import Iterator, Mapping, Sequence
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
from zsgen.data import ahead, judged, lost_text, suite
from zsgen.data import rows as rows_lib

# Member of the archive that has the digest of the table.
_DIGEST = "table.sha256"
# Most examples of a chunk, and the characters at which it ends before.
SIZE = 4096
CHARACTERS = 1 << 24
# Of the files; chunks of another format are not continued.
FORMAT = 2
# Where the table's metadata has the counts of prompts, and of characters.
_PROMPTS, _CHARACTERS = "zsgen.prompts", "zsgen.characters"
# Columns that are numbers, and the fields of the rows that they are.
_NUMBERS = {
    "tokens": ("lengths", pa.int32()),
    "loss_tokens": ("losses", pa.int32()),
    "cut": ("cut", pa.bool_()),
    "answer_cut": ("answer_cut", pa.bool_()),
    "last_lost": ("last_lost", pa.bool_()),
    "unknown": ("unknown", pa.int32()),
    "unknown_loss": ("unknown_loss", pa.int32()),
    "lost_characters": ("dropped", pa.int32()),
    "answer_changed": ("changed", pa.bool_()),
    "answer_lost": ("answer_lost", pa.bool_()),
}


class Chunk(NamedTuple):
  """Examples of a suite and their rows.

  Attributes:
    tokens: of all rows that have loss tokens, one after another, uint32.
    mask: 1 where a token takes part in the loss, uint8.
    table: task, category, split, key, tokens (their number), loss_tokens, cut,
      answer_cut, last_lost, unknown, unknown_loss, lost_characters,
      answer_changed, answer_lost (see `rows.Rows`), prompt, answer, right (null but for
      choices), and what `judged` gives (null but for held-out examples) of
      each example.
    prompts: what prompts left out, counted.
    characters: that the tokenizer does not know, the most frequent ones.
  """

  tokens: np.ndarray
  mask: np.ndarray
  table: pa.Table
  prompts: Mapping[str, int]
  characters: Mapping[str, int]


def of(
    examples: Sequence[suite.Example],
    rows: rows_lib.Rows,
    counts: Mapping[str, int],
) -> Chunk:
  """The chunk of some examples."""
  columns = {
      name: pa.array([getattr(each, name) for each in examples], pa.string())
      for name in ("task", "category", "split", "key")
  }
  numbers = {
      name: pa.array(getattr(rows, field), kind)
      for name, (field, kind) in _NUMBERS.items()
  }
  texts = {"prompt": rows.prompts, "answer": rows.answers}
  right = pa.array([each.right for each in examples], pa.bool_())
  kept = np.repeat(rows.losses > 0, rows.lengths)
  shown = judged.columns(examples)
  table = pa.table({**columns, **numbers, **texts, "right": right, **shown})
  return Chunk(
      rows.tokens[kept],
      rows.mask[kept],
      table,
      dict(counts),
      lost_text.most_common(rows.characters),
  )


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
