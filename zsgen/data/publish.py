"""Joins chunks to a store, while they are encoded."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent import futures
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

  A thread writes a chunk while the next one is read and counted.

  Returns:
    The borders of rows, int64 [N+1], and the checksums of some of the files.
  """
  with (
      blocks.MeasuredWriter(path / "tokens.bin") as tokens,
      blocks.MeasuredWriter(path / "mask.bin") as mask,
      pq.ParquetWriter(path / "examples.parquet", _SCHEMA) as table,
      pq.ParquetWriter(path / "heldout.parquet", judged.SCHEMA) as answers,
      futures.ThreadPoolExecutor(1) as pool,
  ):

    def append(part: tuple[chunks.Chunk, int]) -> np.ndarray:
      """Appends a chunk to all files; returns the lengths of its rows."""
      chunk, first = part
      is_kept, examples = chunks.is_kept(chunk.table), chunk.table
      if not is_kept.all():
        examples = examples.filter(pa.array(is_kept))
      tokens.write(chunk.tokens)
      mask.write(chunk.mask)
      ids = np.arange(first, first + len(examples), dtype=np.int64)
      examples = examples.append_column("id", pa.array(ids))
      table.write_table(examples.select(_SCHEMA.names).cast(_SCHEMA))
      answers.write_table(judged.of_chunk(examples))
      return examples["tokens"].to_numpy().astype(np.int64)

    lengths = list(ahead.results(pool, append, rows, 1))
    measured = {"tokens.bin": tokens.close(), "mask.bin": mask.close()}
  offsets = np.cumsum(np.concatenate([[0], *lengths]), dtype=np.int64)
  return offsets, measured
