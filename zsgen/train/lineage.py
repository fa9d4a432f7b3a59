"""Which ids a run consumes at each step, also if it was forked from another.

A fork begins with the state of a step of another run, its parent, and goes on
under an order of its own. Its steps continue the parent's numbers: before the
step of the fork, it has consumed what the parent has. A parent may be a fork
too. A run's manifest has its lineage; nothing here imports jax.
"""

from collections.abc import Mapping
import os
import pathlib
from typing import Any, NamedTuple

import numpy as np

from zsgen.core import artifacts, errors
from zsgen.core import config as config_lib
from zsgen.orders import order as order_lib
from zsgen.orders import segments
from zsgen.train import batches, record_digests, run_copies

# The manifest's field with the parent's directory and its checkpoint's digest.
LINEAGE = "lineage"


class Fork(NamedTuple):
  """The step of another run that a run begins with.

  Attributes:
    run: the directory of the parent.
    step: the step of the parent, the first one of the fork.
    part: `config.fork_order`.
    identity: what marks the files of the parent.
  """

  run: pathlib.Path
  step: int
  part: str
  identity: str

  def recipe(self) -> dict[str, Any]:
    """Returns what the result depends on: the parent, wherever it is."""
    return {"run": self.identity, "step": self.step, "order": self.part}

  @property
  def begin(self) -> int:
    """The step that consumes the beginning of the fork's order."""
    return 0 if self.part == config_lib.TAIL else self.step


def parse(option: str) -> tuple[pathlib.Path, int]:
  """Returns the run's directory and the step of a checked `config.fork`."""
  path, _, step = option.rpartition("@")
  return pathlib.Path(path).expanduser(), int(step)


def find_fork(run: pathlib.Path, manifest: Mapping[str, Any]) -> Fork | None:
  """Returns what a run was forked from; None if it began with step 0.

  Of a parent in a bucket, there is a local copy then.

  Args:
    run: the run's directory.
    manifest: its manifest.
  """
  recipe = manifest["made_by"].get("fork")
  if recipe is None:
    return None
  parent = (run / manifest[LINEAGE]["run"]).resolve()
  run_copies.refresh(parent)
  return Fork(parent, recipe["step"], recipe["order"], recipe["run"])


def describe_parent(
    run: pathlib.Path, fork: Fork, checkpoint: str | None
) -> dict[str, Any]:
  """Returns the field `lineage` of the manifest of a fork.

  Args:
    run: the fork's directory.
    fork: its parent.
    checkpoint: the digest of the checkpoint that it begins with; None if it is
      no longer there.
  """
  path = os.path.relpath(fork.run.resolve(), run.resolve())
  return {"run": path, "checkpoint": checkpoint}


def follow(fork: Fork, ids: np.ndarray, batch_size: int) -> np.ndarray:
  """Returns the ids of all steps of a fork, int64 [steps, B].

  Args:
    fork: the parent, whose steps come first.
    ids: the fork's order, int64 [n].
    batch_size: the examples of a step, B.

  Raises:
    InputError: an artifact of the parent is missing or damaged, or is not that
      of the fork; or the order has no example after the step.
  """
  steps = batches.table(ids, batch_size)[fork.step - fork.begin :]
  if not len(steps):
    raise errors.InputError(
        f"config.fork_order is {fork.part!r}, but the order has no more than"
        f" {fork.step} steps: nothing is left to train. Raise"
        " config.order.budget, or set 'rest' or 'all'."
    )
  return np.concatenate([planned_ids(fork.run, fork)[: fork.step], steps])


def planned_ids(run: pathlib.Path, fork: Fork | None = None) -> np.ndarray:
  """Returns the ids that the steps of a run consume, by its orders.

  Args:
    run: the run's directory.
    fork: a fork of it, which must be of this very run.

  Returns:
    int64 [steps, B]; the last step of an order is padded with -1.

  Raises:
    InputError: a manifest or an order is missing or damaged, or a run is not
      the one that was forked.
  """
  manifest = artifacts.read_manifest(run, "run")
  if (
      fork is not None
      and artifacts.digest(manifest["made_by"]) != fork.identity
  ):
    raise errors.InputError(
        f"{run}: is not the run that was forked. Put that run back to where it"
        " was."
    )
  order = order_lib.Order.load((run / manifest["order"]).resolve())
  if manifest["made_by"].get("order") != order.fingerprint:
    raise errors.InputError(
        f"{run}: its order, {order.path}, is not the one that it was made from."
        " Put that order back to where it was."
    )
  table = _first_plan(run, manifest, order)
  needed = fork.step if fork else 0
  for segment in find_segments(run, manifest, order, needed):
    table[segment.step :] = batches.table(segment.ids, table.shape[1])
  return table


def find_segments(
    run: pathlib.Path,
    manifest: Mapping[str, Any],
    order: order_lib.Order,
    needed: int = 0,
) -> list[segments.Segment]:
  """Reads the segments of a run's order that are written, ascending.

  Args:
    run: the run's directory.
    manifest: its manifest.
    order: its order, as it was made before training.
    needed: all segments that begin before this step must be there.

  Raises:
    InputError: a segment is missing or damaged, or see `planned_ids`.
  """
  due = segments.steps_of(manifest)
  if not due:
    return []
  identity = artifacts.digest(manifest["made_by"])
  store = order.manifest["made_by"]["store"]
  table = _first_plan(run, manifest, order)
  read = []
  for step in due:
    path = segments.path_of(run, step)
    if not path.is_dir():
      if step < needed:
        raise errors.InputError(
            f"{path}: is missing, but the run consumed it. Delete the"
            f" checkpoints of {run} after step {step}, and the command that"
            " trains the run makes it again."
        )
      break
    rest = table[step:]
    rest = rest[rest != batches.NO_EXAMPLE]
    segment = segments.load(run, identity, step, rest, store)
    table[step:] = batches.table(segment.ids, table.shape[1])
    read.append(segment)
  return read


def _first_plan(
    run: pathlib.Path, manifest: Mapping[str, Any], order: order_lib.Order
) -> np.ndarray:
  """Returns the ids that the steps of a run consume unless it is remade."""
  parent = find_fork(run, manifest)
  if parent is None:
    return batches.table(order.ids, manifest["batch_size"])
  return follow(parent, order.ids, manifest["batch_size"])


def consumed_ids(fork: Fork) -> np.ndarray:
  """Returns the ids that were consumed before a fork, ascending, int64.

  Raises:
    InputError: see `planned_ids`.
  """
  ids = np.unique(planned_ids(fork.run, fork)[: fork.step])
  return ids[ids != batches.NO_EXAMPLE]


def evaluated_steps(fork: Fork, evaluation: str) -> list[int]:
  """Returns the steps up to a fork at which its parent evaluated, ascending.

  Raises:
    InputError: the parent's file is missing or damaged.
  """
  path = fork.run / "evals" / evaluation / record_digests.REWRITTEN[0]
  steps = artifacts.load_array(path)
  return [step for step in steps.tolist() if step <= fork.step]
