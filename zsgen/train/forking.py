"""Begins a fork: the state of its parent's checkpoint, and its records."""

import json
import pathlib
from typing import Any

import numpy as np

from zsgen.core import artifacts, errors
from zsgen.train import (
    checkpoints,
    job,
    lineage,
    record_digests,
    records,
    resuming,
)

# What Orbax calls a checkpoint of step 5 that it has not saved completely.
_UNFINISHED = "{}.orbax-checkpoint-tmp*"


def find_digest(fork: lineage.Fork) -> str | None:
  """Returns the digest of the checkpoint of a fork; None if there is none.

  Raises:
    InputError: the checkpoint is damaged.
  """
  if not checkpoints.are_in(fork.run):
    return None
  with checkpoints.Finished(fork.run) as saved:
    if fork.step not in saved.steps():
      return None
    try:
      return saved.digest(fork.step)
    except checkpoints.Damaged as error:
      raise _explain_damage(error, fork, saved) from error


def check(fork: lineage.Fork) -> None:
  """Reads the checkpoint that a fork begins with, an array at a time.

  Raises:
    InputError: there is no such checkpoint, or it is damaged.
  """
  with checkpoints.Finished(fork.run) as saved:
    _check_step(fork, saved)
    try:
      saved.digest(fork.step)
      saved.check(fork.step)
    except checkpoints.Damaged as error:
      raise _explain_damage(error, fork, saved) from error


def load(
    run: pathlib.Path, fork: lineage.Fork, like: Any
) -> tuple[Any, record_digests.Digests]:
  """Returns the state that a run begins with, and its parent's records.

  Args:
    run: the fork's directory, which has a manifest.
    fork: its parent.
    like: shapes, dtypes and shardings to restore to.

  Returns:
    The state on the devices, and the digests of the parent's records.

  Raises:
    InputError: there is no such checkpoint, it is damaged, or it is not the one
      that the fork began with before.
  """
  with checkpoints.Finished(fork.run) as saved:
    _check_step(fork, saved)
    try:
      state = saved.state(fork.step, like)
      (digests,) = resuming.unpack(saved.records(fork.step))
      _check_same(run, fork, saved.digest(fork.step))
    except checkpoints.Damaged as error:
      raise _explain_damage(error, fork, saved) from error
  return state, digests


def inherit(
    record: records.Records | records.Silent,
    run: job.Member,
    fork: lineage.Fork,
    digests: record_digests.Digests,
) -> None:
  """Copies the parent's records of all steps before a fork, and its evaluation.

  Args:
    record: the records of the fork, which are empty.
    run: the fork.
    fork: its parent.
    digests: of the parent's records at the step of the fork.

  Raises:
    InputError: a record of the parent is missing or damaged.
  """
  for problem in record_digests.problems(fork.run, digests):
    raise errors.InputError(
        f"{problem}, and the fork continues this record. To write it again,"
        " run the command that trains this run: it says how."
    )
  log = (fork.run / records.METRICS).read_bytes()
  for line in log[: digests[records.METRICS].size].splitlines():
    record.metrics(json.loads(line))
  consumed = artifacts.load_array(fork.run / records.CONSUMED, "r")
  for step in range(fork.step):
    record.consumed(step, consumed[step])
  for evaluator in run.evaluators:
    _inherit_evaluation(record, fork, evaluator.name, evaluator.ids)


def _inherit_evaluation(
    record: records.Records | records.Silent,
    fork: lineage.Fork,
    name: str,
    ids: np.ndarray,
) -> None:
  """Copies the parent's results of one evaluation."""
  directory = fork.run / "evals" / name
  if not np.array_equal(artifacts.load_array(directory / "ids.npy"), ids):
    raise errors.InputError(
        f"config.fork: {directory / 'ids.npy'} has other examples than"
        f" config.evals.{name}. A fork continues the evaluations of its run."
    )
  losses = artifacts.load_array(directory / "loss.npy", "r")
  for row, step in enumerate(lineage.evaluated_steps(fork, name)):
    record.evaluated(name, step, losses[row])
    answers = fork.run / records.predictions(name, step)
    if answers.exists():
      lines = answers.read_bytes().split(b"\n")[:-1]
      record.predictions(name, step, [json.loads(line) for line in lines])


def _check_step(fork: lineage.Fork, saved: checkpoints.Finished) -> None:
  """Raises InputError if there is no checkpoint of the step."""
  if fork.step in saved.steps():
    return
  unfinished = any(saved.path.glob(_UNFINISHED.format(fork.step)))
  remark = " Its save was not completed." if unfinished else ""
  steps = ", ".join(map(str, saved.steps())) or "(none)"
  raise errors.InputError(
      f"config.fork: {fork.run} has no checkpoint of step {fork.step}.{remark}"
      f" It has those of steps {steps}: fork one of them. A run keeps the"
      " newest ones, and those of config.machine.keep_steps."
  )


def _check_same(run: pathlib.Path, fork: lineage.Fork, digest: str) -> None:
  """Raises InputError if a fork began with another state before."""
  written = artifacts.read_manifest(run, "run")[lineage.LINEAGE]["checkpoint"]
  if written not in (None, digest):
    raise errors.InputError(
        f"{run}: began with another state than that of step {fork.step} of"
        f" {fork.run}, which was trained again since. Delete {run} to fork the"
        " new state."
    )


def _explain_damage(
    error: checkpoints.Damaged,
    fork: lineage.Fork,
    saved: checkpoints.Finished,
) -> errors.InputError:
  """Returns the error for a damaged checkpoint, with what to do."""
  before = saved.newest_whole(fork.step, saved.check)
  option = f"{fork.run}@{before}"
  advice = (
      f" To fork the newest whole one before it, set config.fork={option!r}."
      if before
      else ""
  )
  return errors.InputError(
      f"{error}{advice} To make it again, delete {saved.directory(fork.step)},"
      f" then {checkpoints.retrain(fork.run)}."
  )
