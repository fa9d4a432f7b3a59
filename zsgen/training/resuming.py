"""What a run resumes from, and what to do where that is damaged."""

from collections.abc import Callable
import pathlib
from typing import Any

from zsgen import errors
from zsgen.training import checkpoints
from zsgen.training import step as step_lib


def newest(
    saved: checkpoints.Checkpoints,
    like: step_lib.State,
    first_problem: Callable[[Any], str],
    directory: pathlib.Path,
) -> tuple[step_lib.State, Any]:
  """The state of the newest checkpoint, and the digests of its records.

  Args:
    saved: has at least one.
    like: shapes, dtypes and shardings to restore to.
    first_problem: what is wrong with the records of such digests; "" if
      nothing is.
    directory: what to delete to start anew.

  Raises:
    InputError: it or its records are damaged; says how to resume from the
      newest checkpoint that is whole.
  """

  def read(step: int) -> tuple[step_lib.State, Any]:
    records = saved.records(step)
    if problem := first_problem(records):
      raise checkpoints.Damaged(
          f"{problem}, and the checkpoint of step {step} counts on it."
      )
    return saved.state(step, like), records

  latest = saved.latest()
  try:
    return read(latest)
  except checkpoints.Damaged as error:
    step = saved.newest_whole(latest, read)
    if step is None:
      advice = f"There is no whole one before it: delete {directory} to start"
      raise errors.InputError(f"{error} {advice} anew.") from error
    places = _after(saved, step)
    raise errors.InputError(
        f"{error} The newest whole checkpoint is that of step {step}: delete"
        f" {places} to resume from it."
    ) from error


def last(
    saved: checkpoints.Checkpoints,
    steps: int,
    like: step_lib.State,
    run: pathlib.Path,
) -> step_lib.State:
  """The state after the last step of a run that has ended.

  Args:
    saved: the run's.
    steps: steps of the whole run.
    like: as of `newest`.
    run: the run's directory.

  Raises:
    InputError: it is not there or damaged; says how to have it again.
  """
  again = checkpoints.retrain(run)
  if steps not in saved.steps():
    before = [step for step in saved.steps() if step < steps]
    whence = f"resumes from step {before[-1]}" if before else "trains it anew"
    raise errors.InputError(
        f"{saved.directory(steps)} is not there: the run is finished, but the"
        f" checkpoint of its last step is gone. To have it again, {again}: it"
        f" {whence}."
    )
  try:
    return saved.state(steps, like)
  except checkpoints.Damaged as error:
    step = saved.newest_whole(steps, lambda step: saved.state(step, like))
    whence = "trains it anew" if step is None else f"resumes from step {step}"
    places = _after(saved, -1 if step is None else step)
    raise errors.InputError(
        f"{error} Delete {places}, then {again}: it {whence}."
    ) from error


def _after(saved: checkpoints.Checkpoints, step: int) -> str:
  """The directories of checkpoints after a step."""
  later = [each for each in saved.steps() if each > step]
  return " and ".join(str(saved.directory(each)) for each in later)
