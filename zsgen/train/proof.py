"""Checks the records and checkpoints of runs and populations."""

import pathlib

from zsgen.core import artifacts, errors
from zsgen.train import checkpoints, forking, lineage, record_digests

_RESUME = "Run the command that trains the run: it says how to resume."


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
    if checkpoints.are_in(run):
      with checkpoints.Finished(run) as saved:
        problems += _check_checkpoints(run, saved, lines, ended)
  except errors.InputError as error:
    problems.append(str(error))
  if problems:
    raise errors.InputError("\n".join(problems))
  return lines


def check_parent(run: pathlib.Path, fork: lineage.Fork) -> str:
  """Compares the checkpoint that a fork began with with its lineage.

  Its arrays are checked with those of the parent.

  Args:
    run: the fork.
    fork: its parent.

  Returns:
    A line about the check.

  Raises:
    InputError: the checkpoint is damaged or another one.
  """
  title = f"run {run}: forked from step {fork.step} of {fork.run}"
  written = artifacts.read_manifest(run, "run")[lineage.LINEAGE]["checkpoint"]
  digest = forking.find_digest(fork)
  if digest is None or written is None:
    return f"{title}, whose checkpoint is no longer there"
  if digest != written:
    raise errors.InputError(
        f"{run}: its parent, {fork.run}, has another checkpoint of step"
        f" {fork.step} than the one that it began with: the parent was trained"
        " again since."
    )
  return f"{title}: lineage verified"


def check_population(population: pathlib.Path) -> list[str]:
  """Checks the checkpoints of a population, and its members' records.

  Records of members that are finished belong to the members alone, and are not
  checked here.

  Args:
    population: its directory, in a workdir that has the members' runs.

  Returns:
    A line for each check that passed.

  Raises:
    InputError: its message has all problems, a line each.
  """
  manifest = artifacts.read_manifest(population, "population")
  runs = population.resolve().parent.parent / "runs"
  members = [runs / name for name in manifest["made_by"]["members"]]
  if not checkpoints.are_in(population):
    return [f"population {population}: no checkpoint was saved yet"]
  owner = artifacts.digest([record_digests.identity(run) for run in members])
  lines: list[str] = []
  problems: list[str] = []
  with checkpoints.Finished(population, owner) as saved:
    for step in saved.steps():
      try:
        saved.check(step)
        lines.append(
            f"population {population}: checkpoint of step {step}: verified"
        )
      except checkpoints.Damaged as error:
        problems.append(f"{error} {_RESUME}")
    if saved.steps() and not problems:
      records = saved.records(saved.steps()[-1])
      for run, saved_digests in zip(members, records, strict=True):
        if not (run / record_digests.RESULT).exists():
          wrong = record_digests.problems(
              run, record_digests.from_json(saved_digests)
          )
          problems += [f"{problem}. {_RESUME}" for problem in wrong]
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
      directory = saved.directory(step)
      advice = (
          f"If you need it, delete {directory}, then"
          f" {checkpoints.retrain(run)}."
          if ended
          else _RESUME
      )
      problems.append(f"{error} {advice}")
  if not ended and not problems and saved.steps():
    digests = record_digests.from_json(saved.records(saved.steps()[-1]))
    wrong = record_digests.problems(run, digests)
    problems += [f"{problem}." for problem in wrong]
    if not problems:
      lines += _records(run, digests)
  return problems


def _records(run: pathlib.Path, digests: record_digests.Digests) -> list[str]:
  """Returns the lines about records that passed."""
  count = sum(bool(prefix.sha256) for prefix in digests.values())
  if not count:
    return [f"run {run}: its records are not checked: {checkpoints.OLDER}"]
  return [f"run {run}: {count} records verified"]
