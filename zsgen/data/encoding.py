"""The long part of prepare: encodes a suite's examples into chunks."""

from collections.abc import (
    Callable,
    Generator,
    Iterable,
    Iterator,
    Sequence,
)
from concurrent import futures
import contextlib
import dataclasses
import itertools
import os
import pathlib
import time
from typing import Protocol

import numpy as np
import pyarrow as pa

from zsgen.core import config, errors
from zsgen.data import (
    ahead,
    choices,
    chunks,
    judged,
    lost_text,
    prompts,
    raw_texts,
    tokenizers,
    truncation,
)
from zsgen.data import suite as suite_lib
from zsgen.data.sources import options

# Threads that encode chunks, at most.
_ENCODERS = 2
# Chunks that are encoded, or wait for it, while the next one is read.
_AHEAD = 2
# Seconds between two lines of progress.
_SECONDS = 5.0
_EMPTY = prompts.Encoded(np.zeros(0, np.uint32), np.zeros(0, np.uint8))


class Work(Protocol):
  """The examples of a suite, split into batches; each becomes a chunk."""

  @property
  def outline(self) -> suite_lib.Outline:
    """The suite without its examples."""
    ...

  def batches(self, first: int) -> Iterator[list[suite_lib.Example]]:
    """Yields the batches from number `first` on."""
    ...


@dataclasses.dataclass(frozen=True)
class Listed:
  """The work of a suite whose examples come one after another."""

  suite: suite_lib.Suite

  @property
  def outline(self) -> suite_lib.Outline:
    """The suite without its examples."""
    return self.suite.outline

  def batches(self, first: int) -> Iterator[list[suite_lib.Example]]:
    """Yields the batches from number `first` on."""
    batches = _batches(choices.examples(self.suite))
    return itertools.islice(batches, first, None)


def encode_rest(
    folder: pathlib.Path,
    work: Work,
    data: config.Data,
    seed: int,
    report: Callable[[str], None],
) -> Generator[chunks.Chunk, None, None]:
  """Yields all chunks; encodes and writes those that do not exist yet.

  Args:
    folder: of the chunks; those in it are of the same source and config.
    work: the batches of all examples.
    data: the config's section.
    seed: draws labels.
    report: prints a line on the progress.

  Raises:
    InputError: a damaged chunk, or see `encode`.
    OSError: the disk is full.
  """
  first = before = 0
  for chunk in chunks.read(folder):
    yield chunk
    before += len(chunk.table)
    first += 1
  progress = Progress(report, before)
  with contextlib.closing(encode(work.batches(first), data, seed)) as encoded:
    for number, chunk in enumerate(encoded, first):
      chunks.write(folder, number, chunk)
      progress.add(len(chunk.table))
      yield chunk


def encode(
    batches: Iterable[list[suite_lib.Example]], data: config.Data, seed: int
) -> Generator[chunks.Chunk, None, None]:
  """Yields the chunk of each batch.

  While the caller uses a chunk, the next ones are encoded.

  Args:
    batches: examples; they are read in this thread.
    data: the config's section.
    seed: draws labels.

  Raises:
    InputError: a bad row, a prompt that cannot be shown, an answer that the
      tokenizer cannot encode whole, or text that is not Unicode.
  """
  tokenizer = tokenizers.get(data)
  tokenizers.check_patterns(tokenizer)

  def chunk_of(batch: list[suite_lib.Example]) -> chunks.Chunk:
    """Encodes the examples of a chunk."""
    # The chunk's own: threads share no counts.
    prompt = prompts.get(data, tokenizer, seed)
    try:
      return encode_chunk(batch, prompt, tokenizer, data)
    except UnicodeEncodeError as error:
      raise errors.InputError(
          f"an example of {batch[0].task} … {batch[-1].task} has text that is"
          f" not Unicode ({error}). Fix it in the source."
      ) from error

  # This thread reads. While one encodes in the tokenizer's own threads, which
  # are as many as there are cores, the other makes rows of what it has.
  with futures.ThreadPoolExecutor(min(_ENCODERS, _count_cores())) as pool:
    yield from ahead.results(pool, chunk_of, batches, _AHEAD)


def encode_chunk(
    examples: Sequence[suite_lib.Example],
    prompt: prompts.Prompts,
    tokenizer: tokenizers.Tokenizer,
    data: config.Data,
) -> chunks.Chunk:
  """Encodes examples, one or more.

  Args:
    examples: what to encode.
    prompt: turns an example into segments, none without an answer. What it
      leaves out is counted.
    tokenizer: encodes the texts of segments.
    data: `max_length`, `truncate`, `unanswered`, and `on_bad_row`: under "skip"
      an example that cannot be shown, or of whose answer characters are
      dropped, is a row without tokens.

  Raises:
    InputError: an example cannot be shown, or characters of an answer are
      dropped.
    UnicodeEncodeError: a text is not Unicode.
  """
  on_bad_row = options.on_bad_row(data)
  show = prompt.apply_template
  if on_bad_row != "error":
    show = _or_nothing(prompt)
  turns = [prompt.turns(example) for example in examples]
  segments = [show(*pair) for pair in zip(examples, turns, strict=True)]
  parts = [prompts.split(row, tokenizer, data.border) for row in segments]
  ids = list(prompts.encode_pieces(parts, tokenizer))
  encoded = prompts.join_pieces(parts, ids, tokenizer)
  lost = lost_text.find(segments, encoded, tokenizer)
  if on_bad_row == "error":
    lost_text.refuse(examples, lost.answers)
  rows = [
      truncation.cut(
          *(_EMPTY if answer_lost else row),
          _max_length(example, data),
          data.truncate,
      )
      for example, row, answer_lost in zip(
          examples, encoded, lost.answers, strict=True
      )
  ]
  tokens = np.concatenate([row.tokens for row in rows])
  mask = np.concatenate([row.mask for row in rows])
  lengths = np.array([len(row.tokens) for row in rows], np.int64)
  borders = np.concatenate([[0], np.cumsum(lengths)])
  unanswered = np.array(
      [
          data.unanswered == "keep" and row.lost and example.right is None
          for row, example in zip(rows, examples, strict=True)
      ],
      bool,
  )
  unknown = _unknown(tokens, tokenizer)
  losses = _sums(mask, borders)
  table = {
      **_labels(examples),
      "tokens": pa.array(lengths, pa.int32()),
      "loss_tokens": pa.array(losses, pa.int32()),
      "cut": [row.cut for row in rows],
      "answer_cut": [row.answer_cut for row in rows],
      "last_lost": [row.last_lost for row in rows],
      "unanswered": pa.array(unanswered),
      "unknown": pa.array(_sums(unknown, borders), pa.int32()),
      "unknown_loss": pa.array(_sums(unknown & mask, borders), pa.int32()),
      "lost_characters": pa.array(lost.dropped, pa.int32()),
      "answer_changed": pa.array(lost.changed),
      "answer_lost": [bool(characters) for characters in lost.answers],
      "border_differs": pa.array(prompts.differ(parts, ids, tokenizer)),
      **raw_texts.columns(turns),
      "right": pa.array([example.right for example in examples], pa.bool_()),
      **judged.columns(examples),
  }
  is_kept = np.repeat((losses > 0) | unanswered, lengths)
  return chunks.Chunk(
      tokens[is_kept],
      mask[is_kept],
      pa.table(table),
      dict(prompt.counts),
      lost_text.most_common(lost.characters),
  )


def _count_cores() -> int:
  """Returns the number of cores that this process may use."""
  if hasattr(os, "sched_getaffinity"):
    return len(os.sched_getaffinity(0))
  return os.cpu_count() or 1


def _max_length(example: suite_lib.Example, data: config.Data) -> int:
  """Returns the most tokens of an example."""
  if example.split == suite_lib.TRAIN:
    return data.max_length
  return data.heldout_max_length or data.max_length


def _labels(examples: Sequence[suite_lib.Example]) -> dict[str, pa.Array]:
  """Returns the columns of labels."""
  return {
      name: pa.array([getattr(row, name) for row in examples], pa.string())
      for name in ("task", "category", "split", "key")
  }


def _unknown(tokens: np.ndarray, tokenizer: tokenizers.Tokenizer) -> np.ndarray:
  """Returns 1 where a token is the unknown one, uint8."""
  if tokenizer.lost is None or tokenizer.lost.unknown_id is None:
    return np.zeros(len(tokens), np.uint8)
  return (tokens == tokenizer.lost.unknown_id).astype(np.uint8)


def _sums(values: np.ndarray, borders: np.ndarray) -> np.ndarray:
  """Returns the sum of each row, int64 [n]."""
  if not values.any():
    return np.zeros(len(borders) - 1, np.int64)
  before = np.concatenate([[0], np.cumsum(values, dtype=np.int64)])
  return np.diff(before[borders])


def _or_nothing(
    prompt: prompts.Prompts,
) -> Callable[..., list[prompts.Segment]]:
  """Returns `apply_template` that counts what it cannot show: no segments."""

  def show(
      example: suite_lib.Example, turns: tuple[suite_lib.Turn, ...]
  ) -> list[prompts.Segment]:
    """Returns the segments; [] if the template cannot show the turns."""
    try:
      return prompt.apply_template(example, turns)
    except errors.InputError:
      prompt.counts["not_shown"] += 1
      return []

  return show


def _batches(
    examples: Iterator[suite_lib.Example],
) -> Iterator[list[suite_lib.Example]]:
  """Yields the examples of a chunk; memory is independent of their length."""
  batch, (examples, copies) = [], itertools.tee(examples)
  ends = chunks.find_ends(example.count_characters() for example in copies)
  for example, is_last in zip(examples, ends, strict=True):
    batch.append(example)
    if is_last:
      yield batch
      batch = []
  if batch:
    yield batch


class Progress:
  """Reports the progress of the encoding every few seconds."""

  def __init__(self, report: Callable[[str], None], before: int):
    self._report = report
    self._before = before
    self._count = 0
    self._begin = self._last = time.monotonic()
    if self._before:
      report(f"prepare  continues after {self._before:,} examples")

  def add(self, count: int) -> None:
    """Counts examples that are encoded."""
    self._count += count
    now = time.monotonic()
    if now - self._last > _SECONDS:
      self._last = now
      rate = self._count / (now - self._begin)
      total = self._before + self._count
      self._report(f"prepare  {total:,} examples, {rate:,.0f} a second")
