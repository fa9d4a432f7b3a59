"""Checks the records and checkpoints of a run."""

import pathlib

from zsgen import errors
from zsgen.training import checkpoints, record_digests


def check(run: pathlib.Path) -> list[str]:
  """Checks a run's records, and every array of its checkpoints.

  The records of a finished run are checked in full, those of an unfinished run
  up to its newest checkpoint. Timings (perf.jsonl), TensorBoard events and
  traces are not covered.

  Args:
    run: the run's directory.

  Returns:
    A line for each check that passed.

  Raises:
    InputError: its message has all problems, a line each.
  """
  lines: list[str] = []
  problems: list[str] = []
  ended = (run / record_digests.RESULT).exists()
  try:
    if ended:
      lines += _records(run, record_digests.check_finished(run))
    if (run / checkpoints.NAME).is_dir():
      with checkpoints.Finished(run) as saved:
        problems += _check_checkpoints(run, saved, lines, ended)
  except errors.InputError as error:
    problems.append(str(error))
  if problems:
    raise errors.InputError("\n".join(problems))
  return lines


def _check_checkpoints(
    run: pathlib.Path,
    saved: checkpoints.Finished,
    lines: list[str],
    ended: bool,
) -> list[str]:
  """Checks all checkpoints; returns problems, and appends passes to `lines`.

  Args:
    run: the run's directory.
    saved: its checkpoints.
    lines: the checks that passed.
    ended: whether the run is finished, so that its records were checked.
  """
  problems = []
  for step in saved.steps():
    try:
      checked = saved.check(step)
      state = "verified" if checked else checkpoints.UNCHECKED
      lines.append(f"run {run}: checkpoint of step {step}: {state}")
    except checkpoints.Damaged as error:
      place = saved.directory(step)
      advice = (
          f"If you need it, delete {place}, then {checkpoints.retrain(run)}."
          if ended
          else "Run the command that trains the run: it says how to resume."
      )
      problems.append(f"{error} {advice}")
  if not ended and not problems and saved.steps():
    kept = record_digests.from_json(saved.records(saved.steps()[-1]))
    found = record_digests.problems(run, kept)
    problems += [f"{problem}." for problem in found]
    if not problems:
      lines += _records(run, kept)
  return problems


def _records(run: pathlib.Path, digests: record_digests.Digests) -> list[str]:
  """Returns the lines about records that passed."""
  count = sum(bool(prefix.sha256) for prefix in digests.values())
  if not count:
    return [f"run {run}: its records are not checked: {checkpoints.OLDER}"]
  return [f"run {run}: {count} records verified"]
