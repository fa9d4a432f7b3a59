"""Saves and restores checkpoints; the only module that uses Orbax.

A checkpoint is the state and `meta`: its step, the identity of its run, the
checksum of every array on the devices, and the digests of the run's records at
that step. Everything is checked before it is used.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
import contextlib
import pathlib
import textwrap
from typing import Any, Self

from absl import logging
import jax
import numpy as np
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers as managers

from zsgen.core import artifacts, errors, hosts, storage
from zsgen.train import checksums, record_digests

# The directory of checkpoints in a run's directory.
NAME = "checkpoints"
# Remarks on a checkpoint without checksums.
OLDER = "an older version wrote no checksums"
UNCHECKED = f"not checked: {OLDER}"
# Fields of the meta of older versions, without checksums or a digest.
_OLD = {"step", "lengths"}
_FIELDS = {"step", "run", "arrays", "records"}
# What orbax puts before pages of a library's settings.
_DETAILS = "See full TensorStore details"
_HANDLERS = {"meta": ocp.JsonCheckpointHandler()}


class Damaged(errors.InputError):
  """A checkpoint, or a record that it depends on, is damaged."""


class Checkpoints:
  """Saves asynchronously; only committed checkpoints are ever seen.

  Use as a context manager: leaving waits for the last save and raises what
  went wrong in it.

  Args:
    path: their directory.
    keep: the number of newest checkpoints to keep.
    run: the identity of the run; a checkpoint of another run is damaged.
    keep_steps: steps whose checkpoints are kept too.
  """

  def __init__(
      self,
      path: pathlib.Path,
      keep: int,
      run: str,
      keep_steps: Sequence[int] = (),
  ):
    self.path = storage.direct(path)
    self._run = run
    options = ocp.CheckpointManagerOptions(
        preservation_policy=managers.AnyPreservationPolicy(
            [managers.LatestN(keep), managers.CustomSteps(keep_steps)]
        ),
        cleanup_tmp_directories=True,
        create=True,
        # Made later and failing, it leaves threads that wait for it.
        async_options=ocp.AsyncOptions(create_directories_asynchronously=False),
    )
    with storage.explained(self.path, "opened"):
      self._manager = ocp.CheckpointManager(
          storage.direct(path.absolute()),
          options=options,
          item_handlers={"state": ocp.StandardCheckpointHandler(), **_HANDLERS},
      )

  def __enter__(self) -> Self:
    return self

  def __exit__(self, _: Any, error: BaseException | None, __: Any) -> None:
    if hosts.is_distributed() and not isinstance(error, errors.Stopped | None):
      return  # It would wait for the others, who may be gone.
    with storage.explained(self.path, "written"):
      self._manager.close()

  def latest(self) -> int | None:
    """Returns the step of the newest committed checkpoint, or None."""
    return self._manager.latest_step()

  def steps(self) -> list[int]:
    """Returns the steps of all committed checkpoints, ascending."""
    return sorted(self._manager.all_steps())

  def directory(self, step: int) -> pathlib.PurePath:
    """Returns the directory of the checkpoint of a step."""
    return self.path / str(step)

  def save(self, step: int, state: Any, records: Any) -> None:
    """Starts to save; waits for the save before it, and raises its error.

    Args:
      step: the step before which the state is.
      state: a tree of arrays on the devices, where its checksums are computed
        first.
      records: digests of the records at that step, as JSON values.

    Raises:
      InputError: the bucket cannot be used.
    """
    meta = {
        "step": step,
        "run": self._run,
        "arrays": checksums.checksums(state),
        "records": records,
    }
    with storage.explained(self.path, "written"):
      self._manager.save(
          step,
          args=ocp.args.Composite(
              state=ocp.args.StandardSave(state),
              meta=ocp.args.JsonSave(artifacts.seal(meta, self._run)),
          ),
      )

  def records(self, step: int) -> Any:
    """Returns the digests of the records that `save` was given.

    Raises:
      Damaged: see `state`.
    """
    meta = self._meta(step)
    if meta.keys() != _OLD:
      return meta["records"]
    if isinstance(meta["lengths"], list):  # Of the members of a population.
      return [
          record_digests.from_lengths(lengths) for lengths in meta["lengths"]
      ]
    return record_digests.from_lengths(meta["lengths"])

  def has_checksums(self, step: int) -> bool:
    """Returns whether a step has checksums; older versions saved none.

    Raises:
      Damaged: see `state`.
    """
    return self._meta(step).keys() != _OLD

  def digest(self, step: int) -> str:
    """Returns a digest of the state of a step, by its checksums.

    Raises:
      Damaged: see `state`.
      InputError: an older version saved no checksums.
    """
    meta = self._meta(step)
    if "arrays" not in meta:
      raise errors.InputError(
          f"{self.directory(step)}: cannot be identified, because {OLDER}. Train"
          " the run again."
      )
    return artifacts.digest([step, self._run, meta["arrays"]])

  def state(self, step: int, like: Any) -> Any:
    """Restores the state of a step, and checks it on the devices.

    Args:
      step: a committed step.
      like: shapes, dtypes and shardings to restore to.

    Raises:
      Damaged: the checkpoint cannot be read, is that of another step or run,
        or an array does not match its checksum.
      InputError: the state has another structure.
    """
    meta = self._meta(step)
    self._compare(step, self._metadata(step, meta), _described(like))
    state = self._restore(step, state=self._restoring(like))["state"]
    try:
      self._check_sums(step, meta, checksums.checksums(state))
    except Damaged:
      del state  # The error holds this frame, and another step may be read.
      raise
    return state

  def _restoring(self, like: Any) -> Any:
    """Returns Orbax's arguments to restore a whole state."""
    return ocp.args.StandardRestore(like)

  def newest_whole(self, before: int, read: Callable[[int], Any]) -> int | None:
    """Returns the newest step before another one that can be read, or None.

    Args:
      before: a step.
      read: reads a step, and raises `Damaged`. With several processes it is
        not called, because they might not agree.
    """
    for step in reversed(self.steps()):
      if step >= before:
        continue
      if hosts.is_distributed():
        return step
      try:
        read(step)
        return step
      except Damaged:
        continue
    return None

  def _meta(self, step: int) -> dict[str, Any]:
    """Returns the meta of a step; raises as `state`."""
    saved = self._restore(step, meta=ocp.args.JsonRestore())["meta"]
    try:
      owner = saved.get("run", "") if isinstance(saved, dict) else ""
      meta = artifacts.unseal(saved, owner)
    except ValueError as error:
      raise self._damaged(step, f"meta: {error}") from error
    if meta.keys() == _OLD == saved.keys():
      origin = {"step": meta["step"], "run": self._run}
    elif meta.keys() == _FIELDS and len(saved) > len(meta):
      origin = meta
    else:
      raise self._damaged(step, "meta does not have the expected fields")
    if origin["run"] != self._run:
      raise self._damaged(step, "it was copied here from another run")
    if origin["step"] != step:
      raise self._damaged(
          step, f"it is of step {origin['step']} and was renamed or copied"
      )
    return meta

  def _check_sums(
      self,
      step: int,
      meta: Mapping[str, Any],
      actual: Mapping[str, str],
      below: str | tuple[str, ...] = "",
  ) -> None:
    """Raises Damaged if arrays are not those that were saved.

    Args:
      step: the step of the checkpoint.
      meta: its meta.
      actual: checksums of the restored arrays.
      below: the prefixes of the paths to compare.
    """
    if "arrays" not in meta:
      return
    saved = meta["arrays"]
    expected = {path: saved[path] for path in saved if path.startswith(below)}
    wrong = checksums.differing(actual, expected)
    if wrong:
      rest = f", and {len(wrong) - 1} other arrays" if wrong[1:] else ""
      raise self._damaged(step, f"checksum mismatch in {wrong[0]}{rest}")

  def _compare(
      self, step: int, saved: dict[str, tuple], expected: dict[str, tuple]
  ) -> None:
    """Raises InputError if arrays have other shapes or types."""
    differing = sorted(
        name
        for name in {*saved, *expected}
        if saved.get(name) != expected.get(name)
    )
    if differing:
      name = differing[0]
      raise errors.InputError(
          f"{self.directory(step)}: {name} is {saved.get(name)} there, but"
          f" {expected.get(name)} in this run ({len(differing)} such entries)."
          " Delete the run's directory to start it from scratch."
      )

  def _metadata(self, step: int, meta: Mapping[str, Any]) -> dict[str, tuple]:
    """Returns the shape and dtype of every array of a step, by path.

    Raises:
      Damaged: they differ from those that were saved.
    """
    tree = self._tree(step)
    if "arrays" in meta:
      kinds = checksums.kinds(tree)
      saved = {path: s.partition(" ")[0] for path, s in meta["arrays"].items()}
      if wrong := checksums.differing(kinds, saved):
        raise self._damaged(step, f"{wrong[0]} is not the array that was saved")
    return _described(tree)

  def _tree(self, step: int) -> Any:
    """Returns the shapes of the state of a step, as a tree."""
    try:
      with _quiet():
        tree = self._manager.item_metadata(step)["state"]
      if tree is None:
        raise ValueError("it has no state")
      return jax.tree.map(
          lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype),
          getattr(tree, "tree", tree),
      )
    except Exception as error:  # orbax raises many kinds for damaged files.
      raise self._unreadable(step, error) from error

  def _restore(self, step: int, **args: Any) -> Any:
    """Reads a part of a checkpoint.

    Raises:
      Damaged: it cannot be read.
    """
    try:
      with _quiet():
        return self._manager.restore(step, args=ocp.args.Composite(**args))
    except Exception as error:  # orbax raises many kinds for damaged files.
      raise self._unreadable(step, error) from error

  def _unreadable(self, step: int, error: Exception) -> errors.InputError:
    """Returns the error for a step that Orbax cannot read."""
    lost = storage.explain(str(self.directory(step)), "read", error)
    return lost or self._damaged(step, error)

  def _damaged(self, step: int, error: object) -> Damaged:
    """Returns the error for a checkpoint that is damaged."""
    # orbax puts whole trees into its messages.
    text = (str(error) or repr(error)).partition(_DETAILS)[0]
    reason = textwrap.shorten(text, 300).rstrip(".")
    return Damaged(
        f"{self.directory(step)}: the checkpoint is damaged ({reason})."
    )


class Finished(Checkpoints):
  """The checkpoints of a run opened only for reading, even while it trains.

  Args:
    run: the run's directory.
    owner: identity of what they belong to; None for that of the run.

  Raises:
    InputError: the run has none.
  """

  def __init__(self, run: pathlib.Path, owner: str | None = None):
    self.path = path_of(run)
    self._run = record_digests.identity(run) if owner is None else owner
    if not are_in(run):
      raise errors.InputError(
          f"{self.path} is missing: the run has no checkpoints. To make them"
          f" again, {retrain(run)}."
      )
    with _quiet(), storage.explained(self.path, "opened"):
      self._manager = ocp.CheckpointManager(
          storage.direct((run / NAME).absolute()),
          options=ocp.CheckpointManagerOptions(read_only=True),
          item_handlers={"state": ocp.PyTreeCheckpointHandler(), **_HANDLERS},
      )

  def params(self, step: int, like: Any) -> Any:
    """Returns the parameters of a step; the moments are not read.

    Args:
      step: a committed step.
      like: shapes, dtypes and shardings to restore to.

    Raises:
      Damaged: as for `state`.
      InputError: the checkpoint is of other parameters.
    """
    return self.parts(step, {"params": like})["params"]

  def parts(self, step: int, like: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns parts of the state of a step, such as "params" and "moments".

    Args:
      step: a committed step.
      like: shapes, dtypes and shardings to restore to, by part.

    Raises:
      Damaged: as for `state`.
      InputError: a part has another structure.
    """
    below = tuple(f"{name}/" for name in like)
    meta = self._meta(step)
    saved = {
        name: leaf
        for name, leaf in self._metadata(step, meta).items()
        if name.startswith(below)
    }
    self._compare(step, saved, _described(like))
    args = self._restoring(like, partial=True)
    tree = self._restore(step, state=args)["state"]
    try:
      self._check_sums(step, meta, checksums.checksums(tree), below)
    except Damaged:
      del tree  # As in `state`.
      raise
    return tree

  def _restoring(self, like: Any, partial: bool = False) -> Any:
    """Returns Orbax's arguments to restore a state, or a part of it."""
    return ocp.args.PyTreeRestore(
        item=like,
        restore_args=ocp.checkpoint_utils.construct_restore_args(like),
        partial_restore=partial,
    )

  def check(self, step: int) -> bool:
    """Checks all arrays of a step, one after the other, on one device.

    Returns:
      Whether the step has checksums; older versions saved none.

    Raises:
      Damaged: see `state`.
    """
    meta = self._meta(step)
    shapes, tree = jax.tree_util.tree_flatten(self._tree(step))
    sums = {}
    for index in range(len(shapes)):
      leaves = [ocp.PLACEHOLDER] * len(shapes)
      leaves[index] = shapes[index]
      args = ocp.args.PyTreeRestore(
          item=tree.unflatten(leaves),
          restore_args=tree.unflatten(
              [ocp.RestoreArgs(restore_type=np.ndarray)] * len(shapes)
          ),
      )
      sums |= checksums.checksums(
          jax.tree.map(
              lambda leaf: None if leaf is ocp.PLACEHOLDER else leaf,
              self._restore(step, state=args)["state"],
          )
      )
    self._check_sums(step, meta, sums)
    return "arrays" in meta


def path_of(run: pathlib.Path) -> Any:
  """Returns the directory of a run's checkpoints, as `storage.direct` does."""
  return storage.direct(run / NAME)


def are_in(run: pathlib.Path) -> bool:
  """Returns whether a run, or a population, has a directory of checkpoints."""
  path = path_of(run)
  with storage.explained(path, "opened"):
    return path.is_dir()


def check_steps(keep_steps: Sequence[int], steps: int) -> None:
  """Raises InputError for a step to keep that a run of `steps` never reaches."""
  if keep_steps and max(keep_steps) > steps:
    raise errors.InputError(
        f"config.machine.keep_steps names step {max(keep_steps)}, but the order"
        f" has {steps} steps: there is no such checkpoint to keep. Name steps"
        f" from 1 to {steps}."
    )


def like(shapes: Any, shardings: Any) -> Any:
  """Returns the shapes with their shardings, to restore to."""
  return jax.tree.map(
      lambda shape, sharding: jax.ShapeDtypeStruct(
          shape.shape, shape.dtype, sharding=sharding
      ),
      shapes,
      shardings,
  )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
  """Hides the log of Orbax while it reads; it raises what matters."""
  before = logging.get_verbosity()
  logging.set_verbosity(logging.FATAL)
  try:
    yield
  finally:
    logging.set_verbosity(before)


def retrain(run: pathlib.Path) -> str:
  """Returns how to make a run's checkpoints again, as half a sentence."""
  result = run / record_digests.RESULT
  first = f"delete {result} and " if result.exists() else ""
  return f"{first}run the command that trains the run"


def _described(tree: Any) -> dict[str, tuple]:
  """Shape and dtype of every leaf, by its path."""
  return {
      path: (tuple(leaf.shape), str(leaf.dtype))
      for path, leaf in checksums.leaves_by_path(tree).items()
  }
