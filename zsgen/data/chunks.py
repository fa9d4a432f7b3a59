"""Chunks: encoded rows, kept on disk until all are encoded.

Preparing millions of examples takes long, and may be interrupted: encoded rows
are kept next to the stores, and are deleted when the store is complete. A chunk
is an Arrow stream `chunk-00000.arrow`, an example a row; the file begins with
the SHA-256 of its name and of the rest.
"""

from collections.abc import Iterable, Iterator, Mapping
from concurrent import futures
import hashlib
import json
import pathlib
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from zsgen.core import artifacts, errors
from zsgen.data import ahead

# The most examples of a chunk, and the characters that end it earlier.
SIZE = 4096
CHARACTERS = 1 << 24
# Version of the files; chunks of another format are ignored.
FORMAT = 4
# Columns of the file that the table in memory does not have.
_TOKENS, _MASK = "token_ids", "mask"
# The key of the counts of prompts and of characters in the file's metadata.
_COUNTS = b"zsgen.counts"
_DIGEST_BYTES = hashlib.sha256().digest_size


class Chunk(NamedTuple):
  """Examples of a suite and their rows.

  Attributes:
    tokens: of all rows that are kept, one after another, uint32.
    mask: 1 where a token takes part in the loss, uint8.
    table: of each example
      task, category, split, key: its labels.
      tokens, loss_tokens: their number.
      cut: whether it was longer than a row may be; answer_cut, whether loss
        tokens were lost by that; last_lost, whether all of its last answer's.
      unanswered: whether it is kept without any loss token.
      unknown, unknown_loss: the number of unknown tokens, and of those with
        loss.
      lost_characters: characters of the request that no token represents.
      answer_changed: whether the tokenizer changes characters of the answer.
      answer_lost: whether the answer lost characters, so that all tokens are
        left out.
      border_differs: whether the ids differ from those of the joined text.
      prompt, answer, turns: the columns of `raw_texts`.
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


def is_kept(table: pa.Table) -> np.ndarray:
  """Returns which examples of a chunk's table become rows of the store, bool."""
  has_loss = table["loss_tokens"].to_numpy() > 0
  return has_loss | table["unanswered"].to_numpy(zero_copy_only=False)


def find_ends(characters: Iterable[int]) -> Iterator[bool]:
  """Yields for each example whether it is the last one of its chunk.

  Args:
    characters: of each example, see `suite.Example.count_characters`.
  """
  count = total = 0
  for size in characters:
    count, total = count + 1, total + size
    is_last = count == SIZE or total >= CHARACTERS
    yield is_last
    if is_last:
      count = total = 0


def write(
    folder: pathlib.Path, number: int, chunk: Chunk, owner: str = ""
) -> None:
  """Writes a chunk to an existing folder.

  Args:
    folder: of the chunks.
    number: of the chunk.
    chunk: its content.
    owner: what the chunk belongs to, if the folder does not say it.
  """
  table, sink = chunk.table, pa.BufferOutputStream()
  lengths = np.where(is_kept(table), table["tokens"].to_numpy(), 0)
  borders = pa.array(np.cumsum([0, *lengths]), pa.int32())
  for name, values in ((_TOKENS, chunk.tokens), (_MASK, chunk.mask)):
    rows = pa.ListArray.from_arrays(borders, pa.array(values))
    table = table.append_column(name, rows)
  counts = json.dumps([chunk.prompts, chunk.characters])
  table = table.replace_schema_metadata({_COUNTS: counts})
  options = pa.ipc.IpcWriteOptions(compression="lz4")
  with pa.ipc.new_stream(sink, table.schema, options=options) as stream:
    stream.write_table(table)
  path, content = path_of(folder, number), sink.getvalue().to_pybytes()
  artifacts.write_bytes(path, _digest(path, content, owner) + content)


def count_complete(folder: pathlib.Path) -> int:
  """Returns how many chunks are complete, counted from the first."""
  number = 0
  while path_of(folder, number).is_file():
    number += 1
  return number


def read(folder: pathlib.Path) -> Iterator[Chunk]:
  """Yields all chunks, in their order.

  Raises:
    InputError: one is damaged; the caller must then drop them all.
  """
  advice = (
      "All chunks were dropped; run again to have the examples encoded again."
  )
  yield from read_some(folder, range(count_complete(folder)), "", advice)


def read_some(
    folder: pathlib.Path, numbers: Iterable[int], owner: str, advice: str
) -> Iterator[Chunk]:
  """Yields chunks by their numbers.

  Args:
    folder: of the chunks.
    numbers: of chunks that exist.
    owner: as for `write`.
    advice: a sentence that says what to do if a chunk is damaged.

  Raises:
    InputError: a chunk is damaged, or belongs to another owner.
  """

  def chunk_of(number: int) -> Chunk:
    """Reads and checks the chunk that has a number."""
    return _read(path_of(folder, number), owner, advice)

  # The next chunk is read while the current one is used.
  with futures.ThreadPoolExecutor(1) as pool:
    yield from ahead.results(pool, chunk_of, numbers, 1)


def _read(path: pathlib.Path, owner: str, advice: str) -> Chunk:
  """Returns the chunk of a file; see `read_some`."""
  content = memoryview(path.read_bytes())
  digest, content = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
  if digest != _digest(path, content, owner):
    raise errors.InputError(f"{path}: is damaged. {advice}")
  table = pa.ipc.open_stream(content).read_all()
  tokens, mask = (_numbers(table[name]) for name in (_TOKENS, _MASK))
  counts = json.loads(table.schema.metadata[_COUNTS])
  return Chunk(tokens, mask, table.drop_columns([_TOKENS, _MASK]), *counts)


def _numbers(lists: pa.ChunkedArray) -> np.ndarray:
  """Returns the numbers of all lists; without a copy if they are one array."""
  is_single = lists.num_chunks == 1  # As `write` makes them.
  array: pa.ListArray = lists.chunk(0) if is_single else lists.combine_chunks()
  return array.flatten().to_numpy()


def read_digest(path: pathlib.Path) -> str:
  """Returns the digest (hex) that a chunk's file begins with."""
  with open(path, "rb") as file:
    return file.read(_DIGEST_BYTES).hex()


def _digest(
    path: pathlib.Path, content: bytes | memoryview, owner: str
) -> bytes:
  """Returns the SHA-256 of a file's owner, of its name and of its content."""
  digest = hashlib.sha256((owner + path.name).encode())
  digest.update(content)
  return digest.digest()


def path_of(folder: pathlib.Path, number: int) -> pathlib.Path:
  """Returns the path of a chunk."""
  return folder / f"chunk-{number:05d}.arrow"
