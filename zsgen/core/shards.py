"""Shards: parts of a work that several processes do, on one or many hosts.

The processes share a directory, the job, and nothing else. Its file `job.json`
has what all of them must agree on: config and installation. Work is numbered,
and the numbers do not depend on the shards.
"""

from collections.abc import Mapping, Sequence
import pathlib
import re
import sys
from typing import Any, NamedTuple, TypeVar

from zsgen.core import artifacts, errors, software

JOB = "job.json"
# The most numbers or options, and the most other jobs, that a message lists.
_MAX_NUMBERS = 10
_MAX_OTHERS = 3
_Value = TypeVar("_Value")


class Shard(NamedTuple):
  """A part of all work: numbers `index`, `index + count`, …"""

  index: int
  count: int

  def share(self, work: Sequence[_Value]) -> Sequence[_Value]:
    """Returns what this shard does of all work."""
    return work[self.index :: self.count]


class Progress(NamedTuple):
  """What a shard has done.

  Attributes:
    parts: the number of its parts of the work, all of which exist.
    rows: the number of rows in them.
    missing: the number of parts that other shards have to make.
    is_merged: whether the artifact exists already, so that nothing is due.
  """

  parts: int
  rows: int
  missing: int
  is_merged: bool = False


def parse_shard(text: str) -> Shard:
  """Returns the shard of a text such as "3/100".

  Raises:
    InputError: it is none.
  """
  match = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text)
  shard = Shard(*map(int, match.groups())) if match else Shard(0, 0)
  if shard.index >= shard.count:
    raise errors.InputError(
        f"--shard={text}: is not INDEX/COUNT with an index from 0 to COUNT - 1."
        " Of 2 shards, the first is --shard=0/2 and the last --shard=1/2."
    )
  return shard


def path_of(artifact: pathlib.Path) -> pathlib.Path:
  """Returns the directory of the job that makes an artifact."""
  return artifact.with_name(f".{artifact.name}.shards")


def list_numbers(numbers: Sequence[int]) -> str:
  """Returns the first numbers as text."""
  text = ", ".join(map(str, numbers[:_MAX_NUMBERS]))
  return text + ", …" * (len(numbers) > _MAX_NUMBERS)


def describe_software(
    libraries: Sequence[str], code: tuple[str, ...]
) -> dict[str, str]:
  """Returns what must be the same in all processes, by its name.

  Args:
    libraries: those that determine what is made.
    code: how the names of files begin that do, see `software.sources`.
  """
  versions = {
      f"the version of {name}": software.version(name) or "(not installed)"
      for name in libraries
  }
  python = "{}.{}".format(*sys.version_info)
  files = {
      name: digest
      for name, digest in software.sources().items()
      if name.startswith(code)
  }
  return {"the version of Python": python, **versions, **files}


def begin_job(path: pathlib.Path, fields: Mapping[str, Any]) -> None:
  """Begins a job, unless another process does at the same time.

  Args:
    path: the directory of the job.
    fields: what all processes must agree on: `format`, `made_by` and `software`,
      as `read_job` takes them, and others.
  """
  artifacts.remove_leftovers(path)
  with artifacts.writing(path) as partial:
    artifacts.write_sealed(partial / JOB, fields)


def read_job(
    path: pathlib.Path,
    version: int,
    recipe: Mapping[str, Any],
    installed: Mapping[str, str],
) -> dict[str, Any]:
  """Reads what the processes of a job must agree on, and compares it.

  Args:
    path: the directory of the job.
    version: of its layout, the field `format`.
    recipe: of what this process makes, the field `made_by`.
    installed: its `describe_software`, the field `software`.

  Returns:
    All fields.

  Raises:
    InputError: names what is different, or the file is damaged.
  """
  advice = f"Delete {path} to begin again."
  fields = artifacts.read_sealed(path / JOB, "", advice)
  if fields.get("format") != version:
    raise errors.InputError(
        f"{path}: another version of zsgen began these shards. Use that"
        f" version, or delete {path} to begin again."
    )
  for name, job_value, own_value in artifacts.differences(
      fields["made_by"], recipe
  ):
    raise errors.InputError(
        f"{path}: its shards are of another config:"
        f" {_describe_difference(name, job_value, own_value)}. {advice}"
    )
  for name, job_value, own_value in artifacts.differences(
      fields["software"], installed
  ):
    raise errors.InputError(
        f"{path}: its shards are of another installation: {name[1:]} is"
        f" {job_value or '(absent)'} there and {own_value or '(absent)'} here."
        f" Use the same installation for all shards, or delete {path} to begin"
        " again."
    )
  return fields


def describe_progress(
    progress: Progress, shard: Shard, parts: str, artifact: str
) -> str:
  """Returns a line on what a shard has done, and what to do next.

  Args:
    progress: what it has done.
    shard: the shard.
    parts: what the parts are, such as "chunks embedded".
    artifact: what they are merged into, such as "the embeddings exist".
  """
  name = f"shard {shard.index}/{shard.count}"
  if progress.is_merged:
    return f"{name}: {artifact} already."
  line = f"{name}: {progress.parts:,} {parts} ({progress.rows:,} rows)."
  if progress.missing:
    return f"{line} Other shards have to make {progress.missing:,} more."
  return f"{line} Nothing is missing: run --merge."


def describe_missing(
    path: pathlib.Path,
    numbers: Sequence[int],
    total: int,
    work: str,
    artifact: str,
    hints: Sequence[str],
) -> str:
  """Returns the message on a job of which something is missing.

  Args:
    path: the directory of the job.
    numbers: what is missing.
    total: how much there is in all.
    work: what is missing, such as "chunks are not encoded".
    artifact: what is not made, such as "No store is".
    hints: what `describe_others` returns; it may be there.
  """
  message = (
      f"{path}: {len(numbers):,} of {total:,} {work}: {list_numbers(numbers)}."
      f" {artifact} made. Run --shard=INDEX/COUNT again for all shards of one"
      " COUNT; what exists is skipped."
  )
  return " ".join([message, *hints])


def describe_absence(
    path: pathlib.Path, participle: str, hints: Sequence[str]
) -> str:
  """Returns the message on a job that does not exist.

  Args:
    path: the directory that the job would have.
    participle: what shards do, such as "prepared".
    hints: what `describe_others` returns.
  """
  message = (
      f"{path}: no shard of this config is {participle}. Run"
      " --shard=INDEX/COUNT for all shards first."
  )
  return " ".join([message, *hints])


def describe_others(
    path: pathlib.Path,
    recipe: Mapping[str, Any],
    work: Mapping[str, str],
    common: Mapping[str, Any] | None = None,
) -> list[str]:
  """Returns a line on each job that may have the work of another one.

  A process with another config or tokenizer than the others works in a job of
  its own, and what it does is missing in theirs. Of all jobs next to theirs,
  those are listed that differ in the fewest options.

  Args:
    path: the directory of the job.
    recipe: of what this process makes.
    work: what parts of the work are called, by the pattern of their names.
    common: fields that other jobs must have, too; None for none.
  """
  jobs = []
  for job_file in sorted(path.parent.glob(f".*.shards/{JOB}")):
    try:
      fields = artifacts.read_sealed(job_file, "", "")
    except errors.InputError:
      continue  # Damaged, or deleted because it has just been merged.
    different = [*artifacts.differences(fields["made_by"], recipe)]
    part = {name: fields.get(name) for name in common or {}}
    if different and not any(artifacts.differences(part, common or {})):
      jobs.append((job_file.parent, different))
  fewest = min((len(different) for _, different in jobs), default=0)
  lines = [
      _describe_other(job_path, different, work)
      for job_path, different in jobs
      if len(different) == fewest
  ]
  more = len(lines) - _MAX_OTHERS
  return lines[:_MAX_OTHERS] + [f"There are {more} more."] * (more > 0)


def _describe_other(
    path: pathlib.Path,
    different: Sequence[tuple[str, Any, Any]],
    work: Mapping[str, str],
) -> str:
  """Returns a line on a job of another config, and what to do about it."""
  text = ", ".join(
      _describe_difference(*values) for values in different[:_MAX_NUMBERS]
  ) + ", …" * (len(different) > _MAX_NUMBERS)
  counts = ", ".join(
      f"{name}: {len([*path.glob(pattern)]):,}"
      for pattern, name in work.items()
  )
  return (
      f"{path} has shards of another config: {text} ({counts}). If both are"
      " meant for the same work, one config is wrong: run its shards again with"
      " the other config, and delete its directory."
  )


def _describe_difference(name: str, job_value: Any, own_value: Any) -> str:
  """Returns what `artifacts.differences` yields as text."""
  values = [f"{_shorten(value)!r}" for value in (job_value, own_value)]
  return f"{name[1:]} is {values[0]} there and {values[1]} here"


def _shorten(value: Any) -> Any:
  """Returns the beginning of a digest, and other values unchanged."""
  is_digest = isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value)
  return f"{value[:16]}…" if is_digest else value
