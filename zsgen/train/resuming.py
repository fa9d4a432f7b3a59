"""Reads what a run resumes from, and advises if that is damaged."""

from collections.abc import Callable, Sequence
import pathlib
from typing import Any

from zsgen.core import errors, hosts
from zsgen.train import checkpoints, record_digests, trees


def pack(digests: Sequence[record_digests.Digests]) -> Any:
  """Returns what a checkpoint has of the records of its runs.

  Args:
    digests: of each run; those of a single run are saved as they are.
  """
  return list(digests) if len(digests) > 1 else digests[0]


def unpack(records: Any) -> list[record_digests.Digests]:
  """Returns the digests of each run; see `pack`."""
  packed = records if isinstance(records, list) else [records]
  return [record_digests.from_json(digests) for digests in packed]


def first_problem(runs: Sequence[pathlib.Path], records: Any) -> str:
  """Returns what is wrong with records that a checkpoint depends on, or "".

  Args:
    runs: the directories of the runs.
    records: what `pack` returned.
  """
  if not hosts.is_first():
    return ""  # Process 0 alone reads and writes them.
  for run, digests in zip(runs, unpack(records), strict=True):
    fixed = record_digests.without_rewritten(digests)
    for problem in record_digests.problems(run, fixed):
      return problem
  return ""


def newest(
    saved: checkpoints.Checkpoints,
    like: Any,
    first_problem: Callable[[Any], str],
    directory: pathlib.Path,
) -> tuple[Any, Any]:
  """Returns the state of the newest checkpoint, and its records' digests.

  Args:
    saved: the run's checkpoints, at least one.
    like: shapes, dtypes and shardings to restore to.
    first_problem: returns the first problem of such records; or "".
    directory: the directory to delete to start from scratch.

  Raises:
    InputError: the checkpoint or its records are damaged; the message says how
      to resume from the newest whole checkpoint.
  """

  def read(step: int) -> tuple[Any, Any]:
    """Returns the state of a step, and the digests of its records."""
    records = saved.records(step)
    if problem := first_problem(records):
      raise checkpoints.Damaged(
          f"{problem}, and the checkpoint of step {step} depends on it."
      )
    return saved.state(step, like), records

  latest = saved.latest()
  assert latest is not None, "there is a checkpoint"
  try:
    return read(latest)
  except checkpoints.Damaged as error:
    step = saved.newest_whole(latest, read)
    if step is None:
      raise errors.InputError(
          f"{error} There is no whole checkpoint before it: delete {directory}"
          " to start from scratch."
      ) from error
    directories = _after(saved, step)
    raise errors.InputError(
        f"{error} The newest whole checkpoint is that of step {step}: delete"
        f" {directories} to resume from it."
    ) from error


def last(
    saved: checkpoints.Finished,
    steps: int,
    like: trees.Params,
    run: pathlib.Path,
) -> trees.Params:
  """Returns the parameters after the last step of a finished run.

  The moments are not read.

  Args:
    saved: the run's checkpoints.
    steps: the number of steps of the run.
    like: shapes, dtypes and shardings of the parameters.
    run: the run's directory.

  Raises:
    InputError: the parameters are missing or damaged; the message says how to
      train the run again.
  """
  advice = checkpoints.retrain(run)
  if steps not in saved.steps():
    before = [step for step in saved.steps() if step < steps]
    action = _describe_retraining(before[-1] if before else None)
    raise errors.InputError(
        f"{saved.directory(steps)} is missing: the run is finished, but the"
        f" checkpoint of its last step is gone. To make it again, {advice}: it"
        f" {action}."
    )
  try:
    return saved.params(steps, like)
  except checkpoints.Damaged as error:
    step = saved.newest_whole(steps, saved.check)
    directories = _after(saved, -1 if step is None else step)
    raise errors.InputError(
        f"{error} Delete {directories}, then {advice}: it"
        f" {_describe_retraining(step)}."
    ) from error


def _describe_retraining(step: int | None) -> str:
  if step is None:
    return "trains the run from scratch"
  return f"resumes from step {step}"


def _after(saved: checkpoints.Checkpoints, step: int) -> str:
  """Returns the directories of all checkpoints after a step."""
  later = [number for number in saved.steps() if number > step]
  return " and ".join(str(saved.directory(number)) for number in later)
