"""The work of a shard: scans rows, then encodes chunks."""

from collections.abc import Callable, Iterator, Mapping, Sequence
import contextlib
import pathlib
import shutil
import time
from typing import NamedTuple

from zsgen.core import artifacts, config, errors, shards
from zsgen.data import chunks, encoding, prepare
from zsgen.data import plan as plan_lib
from zsgen.data import store as store_lib
from zsgen.data.shards import job as job_lib

# Seconds from one look at the work of other shards to the next.
_POLL = 0.5
# Seconds that the first shard has to draw rows; if it fails, others draw them and
# fail in the same way.
_DRAW = 600.0


class Progress(NamedTuple):
  """What a shard has done.

  Attributes:
    items: the number of work items that it has scanned, or that were scanned.
    unscanned: the numbers of work items that other shards have to scan before
      any can encode.
    is_encoded: whether its chunks are encoded; otherwise it must be called
      again.
    chunks: the number of its chunks.
    rows: the number of rows in them.
    tokens: the number of tokens in them.
    digests: the SHA-256 of each of their files, by its name.
    store: the store, if the shards are merged already, so that nothing is due.
  """

  items: int
  unscanned: tuple[int, ...] = ()
  is_encoded: bool = False
  chunks: int = 0
  rows: int = 0
  tokens: int = 0
  digests: Mapping[str, str] = {}
  store: store_lib.Store | None = None


def prepare_shard(
    root: pathlib.Path,
    data: config.Data,
    seed: int,
    shard: shards.Shard,
    wait: float = 0.0,
    report: Callable[[str], None] = lambda line: None,
) -> Progress:
  """Scans what a shard has to scan; if that was done before, encodes.

  What exists already is skipped; if the store does, it is only opened. One
  shard of one does both at once; so does one that waits for the others.

  Args:
    root: the directory of the stores.
    data: the config's section.
    seed: draws the suite's instances.
    shard: which work to do.
    wait: the most seconds to wait for the scans of other shards.
    report: prints a line on the progress.

  Raises:
    InputError: bad rows, a source that is prepared on one host only, or other
      files, software or damaged work than that of other shards; or a store that
      cannot be opened.
  """
  path = prepare.path_of(root, data, seed)
  if not artifacts.exists(path):
    try:
      progress = _work(root, data, seed, shard, wait, report)
    except (OSError, errors.InputError):
      # Another process that merged the shards has deleted them meanwhile.
      if not artifacts.exists(path):
        raise
    else:
      if not artifacts.exists(path):
        return progress
    shutil.rmtree(shards.path_of(path), ignore_errors=True)
  merged = prepare.open_made(path, prepare.recipe_of(data, seed))
  return Progress(0, store=merged)


def _work(
    root: pathlib.Path,
    data: config.Data,
    seed: int,
    shard: shards.Shard,
    wait: float,
    report: Callable[[str], None],
) -> Progress:
  """Does what is due of a shard; see `prepare_shard`."""
  job = job_lib.open_job(root, data, seed, create=True)
  numbers = shard.share(range(len(job.items)))
  unscanned = {*job.missing_parts()}
  due = [number for number in numbers if number in unscanned]
  for number in due:
    job.scan(number)
    report(f"prepare  scanned work item {number:,} of {len(job.items):,}")
  if job.missing_parts():
    for line in job.describe_others(of_same_files=True):
      report(f"prepare  {line}")
  _wait(job, shard, wait)
  if missing := job.missing_parts():
    return Progress(len(numbers), tuple(missing))
  plan = job.open_plan()
  # Others would wait for this shard's chunks before they begin theirs.
  if due and shard.count > 1 and not wait:
    return Progress(len(numbers))
  return _encode(job, plan, data, seed, shard, report)


def _wait(job: job_lib.Job, shard: shards.Shard, seconds: float) -> None:
  """Waits until all is scanned, and then for the first shard to draw."""
  end, is_scanned = time.monotonic() + seconds, False
  while time.monotonic() < end and not job.plan_path.is_dir():
    if not is_scanned and not job.missing_parts():
      is_scanned, end = True, min(end, time.monotonic() + _DRAW)
    if is_scanned and shard.index == 0:
      return
    time.sleep(_POLL)


def encode_chunks(
    job: job_lib.Job,
    plan: plan_lib.Plan,
    numbers: Sequence[int],
    data: config.Data,
    seed: int,
) -> Iterator[chunks.Chunk]:
  """Yields chunks, first those that exist; encodes and commits the others.

  Args:
    job: the common work.
    plan: its plan.
    numbers: of the chunks.
    data: the config's section.
    seed: draws labels.

  Raises:
    InputError: a chunk is damaged, or see `encoding.encode`.
  """
  missing = {*job.missing_chunks(len(plan))}
  yield from job.read_chunks([n for n in numbers if n not in missing])
  due = [number for number in numbers if number in missing]
  batches = map(plan.batch, due)
  with contextlib.closing(encoding.encode(batches, data, seed)) as encoded:
    for number, chunk in zip(due, encoded, strict=True):
      chunks.write(job.path, number, chunk, job.digest)
      yield chunk


def _encode(
    job: job_lib.Job,
    plan: plan_lib.Plan,
    data: config.Data,
    seed: int,
    shard: shards.Shard,
    report: Callable[[str], None],
) -> Progress:
  """Encodes the chunks of a shard; returns what all of them have."""
  numbers = shard.share(range(len(plan)))
  rows = tokens = 0
  progress = encoding.Progress(report, 0)
  for chunk in encode_chunks(job, plan, numbers, data, seed):
    progress.add(len(chunk.table))
    rows += int(chunks.is_kept(chunk.table).sum())
    tokens += len(chunk.tokens)
  paths = [chunks.path_of(job.path, number) for number in numbers]
  digests = {path.name: chunks.read_digest(path) for path in paths}
  items = len(shard.share(range(len(job.items))))
  return Progress(items, (), True, len(numbers), rows, tokens, digests)
