"""The work of a shard: scans rows, then encodes chunks."""

from collections.abc import Callable
import contextlib
import pathlib
from typing import NamedTuple

from zsgen.core import config
from zsgen.data import chunks, encoding
from zsgen.data import suite as suite_lib
from zsgen.data.shards import job as job_lib


class Progress(NamedTuple):
  """What a shard has done.

  Attributes:
    items: the number of work items that it has scanned, or that were scanned.
    unscanned: the numbers of work items that other shards have to scan before
      any can encode.
    chunks: the number of chunks that it has encoded, or that were encoded.
    rows: the number of rows in them.
    tokens: the number of tokens in them.
    digests: the SHA-256 of each of their files, by its name.
  """

  items: int
  unscanned: tuple[int, ...] = ()
  chunks: int = 0
  rows: int = 0
  tokens: int = 0
  digests: dict[str, str] = {}


def prepare_shard(
    root: pathlib.Path,
    data: config.Data,
    seed: int,
    shard: job_lib.Shard,
    report: Callable[[str], None] = lambda line: None,
    check: Callable[[suite_lib.Suite], None] = lambda suite: None,
) -> Progress:
  """Does a shard's part of the work that is possible now.

  It scans the shard's work items. If the work items of all shards are scanned,
  it encodes the shard's chunks; otherwise it must be called again when they
  are. What exists already is skipped.

  Args:
    root: the directory of the stores.
    data: the config's section.
    seed: draws the suite's instances.
    shard: which work to do.
    report: prints a line on the progress.
    check: raises InputError for a suite that is of no use to the caller.

  Raises:
    InputError: bad rows, a source that is prepared on one host only, or other
      files, software or damaged work than that of other shards.
  """
  job = job_lib.open_job(root, data, seed, create=True)
  numbers = shard.share(range(len(job.items)))
  unscanned = {*job.missing_parts()}
  for number in numbers:
    if number in unscanned:
      job.scan(number)
      report(f"prepare  scanned work item {number:,} of {len(job.items):,}")
  if unscanned := job.missing_parts():
    return Progress(len(numbers), tuple(unscanned))
  return _encode(job, data, seed, shard, report, check)


def _encode(
    job: job_lib.Job,
    data: config.Data,
    seed: int,
    shard: job_lib.Shard,
    report: Callable[[str], None],
    check: Callable[[suite_lib.Suite], None],
) -> Progress:
  """Encodes the chunks of a shard that are missing; reads the others."""
  plan = job.open_plan()
  check(plan.suite)
  numbers = shard.share(range(len(plan)))
  missing = {*job.missing_chunks(len(plan))}
  due = [number for number in numbers if number in missing]
  present = [number for number in numbers if number not in missing]
  rows = tokens = 0
  for chunk in job.read_chunks(present):
    rows, tokens = rows + _count_rows(chunk), tokens + len(chunk.tokens)
  progress = encoding.Progress(report, rows)
  batches = map(plan.batch, due)
  with contextlib.closing(encoding.encode(batches, data, seed)) as encoded:
    for number, chunk in zip(due, encoded, strict=True):
      chunks.write(job.path, number, chunk, job.digest)
      progress.add(len(chunk.table))
      rows, tokens = rows + _count_rows(chunk), tokens + len(chunk.tokens)
  items = len(shard.share(range(len(job.items))))
  digests = {
      path.name: chunks.read_digest(path)
      for path in (chunks.path_of(job.path, number) for number in numbers)
  }
  return Progress(items, (), len(numbers), rows, tokens, digests)


def _count_rows(chunk: chunks.Chunk) -> int:
  """Returns the number of a chunk's rows in the store."""
  return int(chunks.is_kept(chunk.table).sum())
