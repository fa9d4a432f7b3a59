"""Checks that a run consumed its order."""

from collections.abc import Mapping
import pathlib
import tokenize
from typing import Any

import numpy as np

from zsgen.core import artifacts, errors
from zsgen.orders import order as order_lib
from zsgen.train import batches, lineage
from zsgen.verify import artifact

# Errors of np.load for a file that is missing or has a damaged header.
_UNREADABLE = (
    OSError,
    ValueError,
    EOFError,
    SyntaxError,
    tokenize.TokenError,
)
# What training writes to a run's directory.
_TRAINED = ("consumed.npy", "metrics.jsonl", "checkpoints", "result.json")


def check_run(path: pathlib.Path) -> list[str]:
  """Checks a run, finished or not, and its inputs.

  Args:
    path: the run's directory.

  Returns:
    A line for each check that passed.

  Raises:
    InputError: its message has all problems.
  """
  if not any((path / name).exists() for name in _TRAINED):
    return [f"run {path}: unfinished: training has not begun"]
  lines = _run(path)
  if not (path / "result.json").exists():
    return [*lines, f"run {path}: unfinished: its command resumes it"]
  return lines


def check_population(path: pathlib.Path) -> list[str]:
  """Checks a population; see `proof.check_population`.

  Raises:
    InputError: what does not hold.
  """
  from zsgen.train import proof  # Imports jax and orbax.

  try:
    return proof.check_population(path)
  except errors.InputError as error:
    raise artifact.Damaged(str(error).splitlines()) from error


def _run(path: pathlib.Path) -> list[str]:
  """Checks a run against its order; returns the lines to print."""
  run = artifacts.read_manifest(path, "run")
  order_path = (path / run["order"]).resolve()
  size, steps = run["batch_size"], run["steps"]
  lines = artifact.check_order(order_path)
  order = order_lib.Order.load(order_path)
  if type(size) is not int or size < 1:
    raise _differs(path / artifacts.MANIFEST, "batch_size")
  if run["made_by"].get("order") != order.fingerprint:
    raise _differs(path / artifacts.MANIFEST, "made_by.order")
  if fork := lineage.find_fork(path, run):
    lines += _parent(path, fork)
    expected = lineage.follow(fork, order.ids, size)
  else:
    expected = batches.table(order.ids, size)
  if len(expected) != steps:
    raise _differs(path / artifacts.MANIFEST, "steps")
  problems = []
  try:
    consumed = _consumed(path, expected.shape)
    lines += _segments(path, run, order, expected, count_recorded(consumed))
    recorded = compare(consumed, expected, path)
    rest = steps - recorded
    tail = f"; {rest} not recorded yet" if rest else ""
    lines.append(f"run {path}: {recorded} steps verified of {steps}{tail}")
  except errors.InputError as error:
    problems.append(str(error))
  from zsgen.train import proof  # Imports jax and orbax.

  try:
    lines += proof.check(path)
  except errors.InputError as error:
    problems += str(error).splitlines()
  for export in sorted(path.glob(f"export*/{artifacts.MANIFEST}")):
    try:
      lines += artifact.check_files(export.parent)
    except errors.InputError as error:
      problems += artifact.problems_of(error)
  if problems:
    raise artifact.Damaged(problems)
  return lines


def _parent(path: pathlib.Path, fork: lineage.Fork) -> list[str]:
  """Checks what a fork continues: orders of its parents, and a checkpoint.

  Args:
    path: the fork's directory.
    fork: its parent.

  Returns:
    A line for each check that passed.

  Raises:
    InputError: the parent is gone or is another run, or one of these is
      damaged.
  """
  if not fork.run.is_dir():
    raise errors.InputError(
        f"{path}: the run that it was forked from, {fork.run}, does not exist,"
        f" so that its first {fork.step} steps cannot be verified. Put it back"
        " to where it was."
    )
  parent = artifacts.read_manifest(fork.run, "run")
  lines = []
  if before := lineage.find_fork(fork.run, parent):
    lines += _parent(fork.run, before)
  lines += artifact.check_order((fork.run / parent["order"]).resolve())
  lineage.planned_ids(fork.run, fork)  # It is the run that was forked.
  from zsgen.train import proof  # Imports jax and orbax.

  return [*lines, proof.check_parent(path, fork)]


def compare(
    consumed: np.ndarray, expected: np.ndarray, path: pathlib.Path
) -> int:
  """Returns the number of recorded steps, all with the expected ids.

  Args:
    consumed: ids that the device program returned, int64 [steps, B]; steps
      that are not recorded are -1 throughout.
    expected: ids of the order, int64 [steps, B], the last step padded with -1.
    path: the run, for messages.

  Raises:
    InputError: a step differs; the message names the first step and position.
      A step that is recorded after one that is not differs too.
  """
  steps = count_recorded(consumed)
  differ = consumed[:steps] != expected[:steps]
  if differ.any():
    step, position = (int(i) for i in np.argwhere(differ)[0])
    raise errors.InputError(
        f"{path / 'consumed.npy'}: step {step}, position {position}: expected"
        f" id {expected[step, position]}, found {consumed[step, position]}."
        " The run did not consume its order; delete it and train again."
    )
  return steps


def count_recorded(consumed: np.ndarray) -> int:
  """Returns the steps of int64 [steps, B] up to the last one that is recorded."""
  recorded = (consumed != batches.NO_EXAMPLE).any(axis=1)
  return int(np.flatnonzero(recorded)[-1]) + 1 if recorded.any() else 0


def _segments(
    path: pathlib.Path,
    run: Mapping[str, Any],
    order: order_lib.Order,
    expected: np.ndarray,
    recorded: int,
) -> list[str]:
  """Checks the segments of an order that was arranged anew.

  Args:
    path: the run's directory.
    run: its manifest.
    order: its order, as it was made before training.
    expected: ids of the order, int64 [steps, B]; those of the segments replace
      them.
    recorded: the number of steps that the run has recorded.

  Returns:
    A line for each segment.

  Raises:
    InputError: a segment is damaged, or missing although it was consumed.
  """
  lines = []
  for segment in lineage.find_segments(path, run, order, recorded):
    size = expected.shape[1]
    expected[segment.step :] = batches.table(segment.ids, size)
    lines.append(
        f"run {path}: segment of step {segment.step}: {len(segment.ids)} ids"
        f" verified, fingerprint {segment.fingerprint[:12]}…"
    )
  return lines


def _consumed(path: pathlib.Path, shape: tuple[int, ...]) -> np.ndarray:
  """Returns the ids that a run consumed, int64 [steps, B]."""
  file = path / "consumed.npy"
  try:
    consumed = np.load(file, mmap_mode="r", allow_pickle=False)
  except _UNREADABLE as error:
    raise errors.InputError(
        f"{file}: cannot be read ({error}). Training has not begun, or the run"
        " is damaged."
    ) from error
  if consumed.shape != shape or consumed.dtype != np.int64:
    raise _differs(file, f"shape ({list(consumed.shape)}, not {list(shape)})")
  return consumed


def _differs(path: pathlib.Path, part: str) -> errors.InputError:
  """Returns the error for a part of a run that was changed."""
  return errors.InputError(
      f"{path}: {part} is not what was written; it was changed or is damaged."
      " Delete the directory, and the same command makes it again."
  )
