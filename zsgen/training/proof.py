"""Is what a run has saved and written down what it was?"""

import pathlib

from zsgen import errors
from zsgen.training import checkpoints, record_digests


def check(run: pathlib.Path) -> list[str]:
  """Checks a run's records, and every array of its checkpoints.

  Records of a run that has ended are checked whole; of one that has not, as
  far as its newest checkpoint counts on them. Clocks (perf.jsonl),
  TensorBoard's events and traces are not covered.

  Args:
    run: the run's directory.

  Returns:
    What holds, a line a check.

  Raises:
    InputError: has all that does not hold, a line each.
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
  """Checks all checkpoints; returns what is wrong, adds to `lines` what holds.

  Args:
    run: the run's directory.
    saved: its checkpoints.
    lines: what holds.
    ended: whether the records are checked already.
  """
  problems = []
  for step in saved.steps():
    try:
      checked = saved.check(step)
      said = "verified" if checked else checkpoints.UNCHECKED
      lines.append(f"run {run}: checkpoint of step {step}: {said}")
    except checkpoints.Damaged as error:
      place = saved.directory(step)
      advice = (
          f"If it is needed, delete {place}, then {checkpoints.retrain(run)}."
          if ended
          else "The command that trains the run says how to resume."
      )
      problems.append(f"{error} {advice}")
  if not ended and not problems and saved.steps():
    kept = record_digests.from_json(saved.records(saved.steps()[-1]))
    problems += [f"{each}." for each in record_digests.problems(run, kept)]
    if not problems:
      lines += _records(run, kept)
  return problems


def _records(run: pathlib.Path, digests: record_digests.Digests) -> list[str]:
  """What to say of records that are what was written."""
  count = sum(bool(each.sha256) for each in digests.values())
  if not count:
    return [f"run {run}: its records are not checked: {checkpoints.OLDER}"]
  return [f"run {run}: {count} records verified"]
