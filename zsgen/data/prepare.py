"""The prepare stage: a suite becomes a store.

Examples are encoded chunk by chunk into a folder beside the store; a prepare
that was stopped goes on after the last whole chunk. Then the chunks are put
together and the folder is deleted.
"""

import collections
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent import futures
import itertools
import os
import pathlib
import shutil
import time
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from zsgen import artifacts, config, errors
from zsgen.data import (
    chunks,
    ledger,
    prompts,
    rows,
    sources,
    store,
    suite,
    tokenizers,
)

# Threads that encode chunks.
_ENCODERS = 2
# Chunks that are encoded, or wait for it, while the next one is read.
_AHEAD = 2
# Seconds between two lines of progress.
_SECONDS = 5.0
_SCHEMA = pa.schema(
    {
        "id": pa.int64(),
        "task": pa.string(),
        "split": pa.string(),
        "key": pa.string(),
        "tokens": pa.int32(),
        "loss_tokens": pa.int32(),
        "prompt": pa.string(),
        "answer": pa.string(),
    }
)
_COLUMNS = _SCHEMA.names[1:]


def made_by(data: config.Data, seed: int) -> dict[str, Any]:
  """All that decides what is in a store, but the content of its sources."""
  path = data.path if "://" in data.path else _resolved(data.path)
  made = {
      **config.science(data),
      "path": path,
      "seed": seed,
      "tokenizer": tokenizers.get(data).fingerprint,
  }
  for name, each in data.heldout.items():
    if each.tasks_file:
      made["heldout"][name]["tasks_file"] = _resolved(each.tasks_file)
  return made


def _resolved(path: str) -> str:
  """The path as every working directory knows it; "" for none."""
  return os.path.realpath(os.path.expanduser(path)) if path else ""


def path_of(root: pathlib.Path, data: config.Data, seed: int) -> pathlib.Path:
  """Where the store of `data` and `seed` is, or will be."""
  return root / artifacts.name(data.source, made_by(data, seed))


def prepare(
    root: pathlib.Path,
    data: config.Data,
    seed: int,
    say: Callable[[str], None] = lambda line: None,
    check: Callable[[suite.Suite], None] = lambda source: None,
) -> store.Store:
  """Opens the store of `data` and `seed` under `root`, or makes it.

  Args:
    root: directory of the stores.
    data: the config's section.
    seed: draws the suite's instances.
    say: takes lines on the progress of long work.
    check: raises InputError for a suite that is of no use to the caller,
      before it is encoded.

  Returns:
    The store, whole and with unchanged sources.

  Raises:
    InputError: bad sources, a damaged store, or sources that changed.
  """
  made = made_by(data, seed)
  path = path_of(root, data, seed)
  if not path.exists():
    source = sources.load(data, seed, root.parent / "scratch")
    check(source)
    _make(path, source, data, made, say)
  _tidy(path)
  opened = store.open_store(path)
  artifacts.check_made_by(path, made)
  store.check_sources(opened.manifest["sources"], path)
  return opened


def _make(
    path: pathlib.Path,
    source: suite.Suite,
    data: config.Data,
    made: Mapping[str, Any],
    say: Callable[[str], None],
) -> None:
  """Makes the store `path`, unless another process has it first.

  Chunks are kept for the next start, unless it is the source that is wrong.
  """
  files = store.describe_sources(source.files)
  folder = path.parent / _partial(path.name, files)
  try:
    folder.mkdir(parents=True, exist_ok=True)
    _encode(folder, source, data, made["seed"], say)
    with artifacts.writing(path) as beside:
      _write(beside, folder, source, files, made, tokenizers.get(data))
      _check_unchanged(files)
  except (OSError, errors.InputError) as error:
    if path.is_dir():  # The other process has taken the chunks away.
      return
    if isinstance(error, errors.InputError):
      shutil.rmtree(folder, ignore_errors=True)
      raise
    raise errors.InputError(
        f"{path}: cannot be written ({error}). Check the disk, or use another"
        " workdir. What is encoded is kept: the same command goes on."
    ) from error


def _partial(name: str, files: Sequence[Mapping[str, Any]]) -> str:
  """Name of the folder of chunks; of other files they are other chunks."""
  contents = [[each["path"], each["sha256"]] for each in files]
  mark = artifacts.digest([chunks.SIZE, chunks.CHARACTERS, contents])[:10]
  return f".{name}.{mark}.partial"


def _check_unchanged(files: Sequence[Mapping[str, Any]]) -> None:
  """The files are as they were before they were encoded."""
  for each in files:
    stat = pathlib.Path(each["path"]).stat()
    if (stat.st_size, stat.st_mtime_ns) != (each["bytes"], each["mtime_ns"]):
      raise errors.InputError(
          f"{each['path']}: changed while the store was made of it. Run again."
      )


def _tidy(path: pathlib.Path) -> None:
  """Deletes what starts that were stopped left beside a store."""
  for stale in path.parent.glob(f".{path.name}.*"):
    shutil.rmtree(stale, ignore_errors=True)


def _encode(
    folder: pathlib.Path,
    source: suite.Suite,
    data: config.Data,
    seed: int,
    say: Callable[[str], None],
) -> None:
  """Encodes and writes the chunks that are not there yet."""
  tokenizer = tokenizers.get(data)
  first = chunks.done(folder)
  batches = _batches(source.examples())
  before = sum(map(len, itertools.islice(batches, first)))
  progress = _Progress(say, before)

  def encode(batch: list[suite.Example]) -> chunks.Chunk:
    # The chunk's own: threads share no counts.
    prompt = prompts.get(data, tokenizer, seed)
    shown = prompt if data.on_bad_row == "error" else _or_nothing(prompt)
    try:
      found = rows.encode(
          batch, shown, tokenizer, data.max_length, data.truncate
      )
      return chunks.of(batch, found, prompt.counts)
    except UnicodeEncodeError as error:
      raise errors.InputError(
          f"an example of {batch[0].task} … {batch[-1].task} has text that is"
          f" not Unicode ({error}). Mend it in the source."
      ) from error

  # This thread reads. While one encodes in the tokenizer's own threads, which
  # are as many as there are cores, the other makes rows of what it has.
  with futures.ThreadPoolExecutor(_ENCODERS) as pool:
    for number, chunk in enumerate(_ahead(pool, encode, batches), first):
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
    characters += _characters(example)
    if len(batch) == chunks.SIZE or characters >= chunks.CHARACTERS:
      yield batch
      batch, characters = [], 0
  if batch:
    yield batch


def _characters(example: suite.Example) -> int:
  """Length of what a prompt may show."""
  texts = [example.definition, example.input, *example.targets]
  texts += [turn.text for turn in example.turns]
  return sum(map(len, texts))


def _ahead(
    pool: futures.Executor,
    function: Callable[[Any], chunks.Chunk],
    values: Iterator[Any],
) -> Iterator[chunks.Chunk]:
  """Results in their order, some of them worked on before they are asked."""
  waiting: collections.deque[futures.Future] = collections.deque()
  for value in values:
    waiting.append(pool.submit(function, value))
    if len(waiting) > _AHEAD:
      yield waiting.popleft().result()
  for each in waiting:
    yield each.result()


def _write(
    path: pathlib.Path,
    folder: pathlib.Path,
    source: suite.Suite,
    sources_read: Sequence[Mapping[str, Any]],
    made: Mapping[str, Any],
    tokenizer: tokenizers.Tokenizer,
) -> None:
  """Puts the chunks together: every file of a store, to `path`."""
  counted, end = ledger.Ledger(), 0
  borders = [np.zeros(1, np.int64)]
  with (
      open(path / "tokens.bin", "wb") as tokens,
      open(path / "mask.bin", "wb") as mask,
      pq.ParquetWriter(path / "examples.parquet", _SCHEMA) as table,
  ):
    for chunk in chunks.read(folder):
      first = counted.rows
      counted.add(chunk.table)
      counted.prompts.update(chunk.prompts)
      kept = chunk.table.filter(pc.greater(chunk.table["loss_tokens"], 0))
      chunk.tokens.tofile(tokens)
      chunk.mask.tofile(mask)
      lengths = kept["tokens"].to_numpy().astype(np.int64)
      # A chunk may have lost all of its rows.
      borders.append(end + np.cumsum(lengths))
      end += int(lengths.sum())
      ids = pa.array(range(first, counted.rows), pa.int64())
      table.write_table(
          kept.select(_COLUMNS).add_column(0, "id", ids).cast(_SCHEMA)
      )
  np.save(path / "offsets.npy", np.concatenate(borders))
  pq.write_table(counted.tasks(source), path / "tasks.parquet")
  tokenizer.save(path / store.TOKENIZER)
  files = store.describe_files(path)
  artifacts.write_json(
      path / artifacts.MANIFEST,
      {
          "kind": "store",
          "made_by": dict(made),
          "suite": source.name,
          "heldout": list(source.heldout),
          "source": dict(source.told),
          "counts": counted.counts,
          "prompts": dict(counted.prompts),
          "dropped_by_task": dict(counted.dropped),
          "sources": list(sources_read),
          "files": files,
          "fingerprint": store.fingerprint(path, files),
      },
  )


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
