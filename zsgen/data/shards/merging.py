"""Joins the chunks of all shards to a store."""

from collections.abc import Sequence
import pathlib
import shutil

from zsgen.core import artifacts, config, errors, shards
from zsgen.data import plan as plan_lib
from zsgen.data import prepare, publish, store, tokenizers
from zsgen.data.shards import job as job_lib


def merge(root: pathlib.Path, data: config.Data, seed: int) -> store.Store:
  """Makes the store of chunks that shards have encoded, and opens it.

  The store has the bytes of one that a single process makes. The shards are
  deleted then. A store that exists is opened.

  Args:
    root: the directory of the stores.
    data: the config's section.
    seed: draws the suite's instances.

  Raises:
    InputError: names shards that are missing, damaged, or of another config or
      installation, or a source file that has changed; no store is made then.
  """
  path = prepare.path_of(root, data, seed)
  if not path.exists():
    try:
      _join(job_lib.open_job(root, data, seed, create=False), path, data)
    except (OSError, errors.InputError):
      # Another process that merged first has deleted the shards.
      if not path.is_dir():
        raise
  return prepare.open_made(path, prepare.recipe_of(data, seed))


def _join(job: job_lib.Job, path: pathlib.Path, data: config.Data) -> None:
  """Makes the store `path` of the chunks of a job, and deletes the job.

  Raises:
    InputError: see `merge`.
  """
  plan = _complete_plan(job)
  artifacts.remove_leftovers(path)
  with artifacts.writing(path) as partial:
    encoded = job.read_chunks(range(len(plan)))
    tokenizer, outline = tokenizers.get(data), plan.outline
    publish.write(partial, encoded, outline, job.files, job.recipe, tokenizer)
    for number in range(len(job.files)):
      job.check_file(number)
  shutil.rmtree(job.path, ignore_errors=True)


def _complete_plan(job: job_lib.Job) -> plan_lib.Plan:
  """Returns the plan of a job of which nothing is missing.

  Raises:
    InputError: names what is missing.
  """
  _check(job, job.missing_parts(), len(job.items), "work items are not scanned")
  plan = job.open_plan()
  missing = job.missing_chunks(len(plan))
  _check(job, missing, len(plan), "chunks are not encoded")
  return plan


def _check(
    job: job_lib.Job, missing: Sequence[int], total: int, work: str
) -> None:
  """Raises InputError if something is missing."""
  if missing:
    raise errors.InputError(
        shards.describe_missing(
            job.path,
            missing,
            total,
            work,
            "No store is",
            job.describe_others(),
        )
    )
