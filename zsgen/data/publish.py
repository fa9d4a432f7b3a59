"""Joins chunks to a store, while they are encoded."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
import contextlib
import pathlib
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from zsgen.data import (
    ahead,
    blocks,
    choices,
    chunks,
    judged,
    ledger,
    lost_text,
    raw_texts,
    sealing,
    store,
    suite,
    tokenizers,
)

# Bytes that are collected before they are written to a Parquet file.
_BUFFER = 1 << 20
_SCHEMA = pa.schema(
    {
        "id": pa.int64(),
        "task": pa.string(),
        "split": pa.string(),
        "key": pa.string(),
        "tokens": pa.int32(),
        "loss_tokens": pa.int32(),
        "answer_cut": pa.bool_(),
        "last_lost": pa.bool_(),
        **dict(
            zip(raw_texts.SCHEMA.names, raw_texts.SCHEMA.types, strict=True)
        ),
    }
)


def write(
    path: pathlib.Path,
    encoded: Iterable[chunks.Chunk],
    outline: suite.Outline,
    sources_read: Sequence[Mapping[str, Any]],
    recipe: Mapping[str, Any],
    tokenizer: tokenizers.Tokenizer,
) -> None:
  """Writes every file of a store.

  Args:
    path: an empty directory.
    encoded: all chunks, in their order.
    outline: the suite that they are of.
    sources_read: its files, as `store.describe_sources` returns them.
    recipe: what made the store, for the manifest.
    tokenizer: is saved with it.

  Raises:
    InputError: a task whose examples are not contiguous, a split without an
      example, or an error of `encoded`.
    OSError: the disk is full.
  """
  counted, choice_table = ledger.Ledger(), choices.Table()
  rows = _count(encoded, counted, choice_table)
  offsets, measured = _write_rows(path, rows)
  np.save(path / "offsets.npy", offsets)
  if len(table := choice_table.array()):
    np.save(path / store.CHOICES, table)
  pq.write_table(counted.tasks(outline), path / "tasks.parquet")
  tokenizer.save(path / store.TOKENIZER)
  sealing.seal(
      path,
      {
          "made_by": dict(recipe),
          "suite": outline.name,
          "heldout": list(outline.heldout),
          "source": dict(outline.notes),
          "counts": counted.counts,
          "prompts": dict(counted.prompts),
          "dropped_by_task": dict(counted.dropped),
          "cut_by_task": dict(counted.cut),
          "unknown_characters": lost_text.most_common(counted.characters),
          "sources": list(sources_read),
      },
      measured,
  )


def _count(
    encoded: Iterable[chunks.Chunk],
    counted: ledger.Ledger,
    choice_table: choices.Table,
) -> Iterator[tuple[chunks.Chunk, int]]:
  """Yields chunks and the id of their first row; counts what is in them."""
  for chunk in encoded:
    first = counted.rows
    counted.add(chunk.table)
    choice_table.add(chunk.table, first)
    counted.prompts.update(chunk.prompts)
    counted.characters.update(chunk.characters)
    yield chunk, first


def _write_rows(
    path: pathlib.Path, rows: Iterator[tuple[chunks.Chunk, int]]
) -> tuple[np.ndarray, dict[str, blocks.Measured]]:
  """Writes tokens, masks and tables.

  Each file has threads of its own. They write a chunk while the next one is
  read and counted.

  Returns:
    The borders of rows, int64 [N+1], and the checksums of the files by name.
  """
  lengths, files = [np.zeros(1, np.int64)], {}
  with contextlib.ExitStack() as stack:

    def create(name: str) -> blocks.MeasuredWriter:
      """Opens a file that is measured as it grows, and closed at the end."""
      file = blocks.MeasuredWriter(path / name)
      return files.setdefault(name, stack.enter_context(file))

    tokens, mask = create("tokens.bin"), create("mask.bin")
    examples = _table_writer(create("examples.parquet"), _SCHEMA, stack)
    answers = _table_writer(create("heldout.parquet"), judged.SCHEMA, stack)
    for chunk, first in rows:
      table = _rows_of(chunk, first)
      tokens.write(chunk.tokens)
      mask.write(chunk.mask)
      examples.add(table.select(_SCHEMA.names).cast(_SCHEMA))
      answers.add(judged.of_chunk(table))
      # A copy: a view may keep the whole chunk in memory.
      lengths.append(table["tokens"].to_numpy().astype(np.int64))
  measured = {name: file.measured() for name, file in files.items()}
  return np.cumsum(np.concatenate(lengths), dtype=np.int64), measured


def _rows_of(chunk: chunks.Chunk, first: int) -> pa.Table:
  """Returns the examples of a chunk that are kept, and their ids."""
  is_kept, examples = chunks.is_kept(chunk.table), chunk.table
  if not is_kept.all():
    examples = examples.filter(pa.array(is_kept))
  ids = np.arange(first, first + len(examples), dtype=np.int64)
  return examples.append_column("id", pa.array(ids))


def _table_writer(
    file: blocks.MeasuredWriter, schema: pa.Schema, stack: contextlib.ExitStack
) -> ahead.Consumer[pa.Table]:
  """Returns a thread that appends tables to a file; the stack closes it."""
  # Parquet writes many pieces of a few bytes.
  sink = pa.BufferedOutputStream(pa.PythonFile(file, "w"), _BUFFER)
  writer = pq.ParquetWriter(stack.enter_context(sink), schema)
  consumer = ahead.Consumer(stack.enter_context(writer).write_table)
  return stack.enter_context(contextlib.closing(consumer))
