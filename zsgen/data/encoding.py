"""The long part of prepare: a suite's examples become chunks on disk."""

from collections.abc import Callable, Iterator
from concurrent import futures
import itertools
import pathlib
import time

from zsgen.core import config, errors
from zsgen.data import ahead, choices, chunks, prompts, rows, suite, tokenizers

# Threads that encode chunks.
_ENCODERS = 2
# Chunks that are encoded, or wait for it, while the next one is read.
_AHEAD = 2
# Seconds between two lines of progress.
_SECONDS = 5.0


def encode(
    folder: pathlib.Path,
    source: suite.Suite,
    data: config.Data,
    seed: int,
    say: Callable[[str], None],
) -> None:
  """Encodes and writes the chunks that are not there yet.

  Args:
    folder: of the chunks; those in it are of the same source and config.
    source: the suite.
    data: the config's section.
    seed: draws labels.
    say: takes lines on the progress.

  Raises:
    InputError: a bad row, a prompt that cannot be shown, an answer that the
      tokenizer cannot encode whole, or text that is not Unicode.
    OSError: the disk is full.
  """
  tokenizer = tokenizers.get(data)
  tokenizers.check_patterns(tokenizer)
  first = chunks.done(folder)
  batches = _batches(choices.examples(source))
  before = sum(map(len, itertools.islice(batches, first)))
  progress = _Progress(say, before)

  def chunk_of(batch: list[suite.Example]) -> chunks.Chunk:
    # The chunk's own: threads share no counts.
    prompt = prompts.get(data, tokenizer, seed)
    shown = prompt if data.on_bad_row == "error" else _or_nothing(prompt)
    try:
      found = rows.encode(
          batch,
          shown,
          tokenizer,
          data.max_length,
          data.truncate,
          on_lost=data.on_bad_row,
      )
      return chunks.of(batch, found, prompt.counts)
    except UnicodeEncodeError as error:
      raise errors.InputError(
          f"an example of {batch[0].task} … {batch[-1].task} has text that is"
          f" not Unicode ({error}). Fix it in the source."
      ) from error

  # This thread reads. While one encodes in the tokenizer's own threads, which
  # are as many as there are cores, the other makes rows of what it has.
  with futures.ThreadPoolExecutor(_ENCODERS) as pool:
    made = ahead.results(pool, chunk_of, batches, _AHEAD)
    for number, chunk in enumerate(made, first):
      chunks.write(folder, number, chunk)
      progress.add(len(chunk.table))


def _or_nothing(
    prompt: prompts.Prompts,
) -> Callable[[suite.Example], list[prompts.Segment]]:
  """The prompt; an example that it cannot show has no segments, and counts."""

  def shown(example: suite.Example) -> list[prompts.Segment]:
    try:
      return prompt(example)
    except errors.InputError:
      prompt.counts["not_shown"] += 1
      return []

  return shown


def _batches(
    examples: Iterator[suite.Example],
) -> Iterator[list[suite.Example]]:
  """Examples of a chunk at a time: memory does not grow with their length."""
  batch, characters = [], 0
  for example in examples:
    batch.append(example)
    characters += example.count_characters()
    if len(batch) == chunks.SIZE or characters >= chunks.CHARACTERS:
      yield batch
      batch, characters = [], 0
  if batch:
    yield batch


class _Progress:
  """Says how far the encoding is, every few seconds."""

  def __init__(self, say: Callable[[str], None], before: int):
    self._say = say
    self._before = before
    self._count = 0
    self._begin = self._last = time.monotonic()
    if self._before:
      say(f"prepare  goes on after {self._before:,} examples")

  def add(self, count: int) -> None:
    """Counts examples that are encoded."""
    self._count += count
    now = time.monotonic()
    if now - self._last > _SECONDS:
      self._last = now
      rate = self._count / (now - self._begin)
      total = self._before + self._count
      self._say(f"prepare  {total:,} examples, {rate:,.0f} a second")
