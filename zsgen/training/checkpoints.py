"""Checkpoints: the one module that knows orbax.

A checkpoint is the state, and `meta`: its step, the run that it is of, the
checksum of every array as it was on the devices, and the digests of the run's
records at that step. Nothing of a checkpoint is used before it was checked.
"""

from collections.abc import Callable, Iterator, Mapping
import contextlib
import pathlib
import textwrap
from typing import Any

from absl import logging
import jax
import numpy as np
import orbax.checkpoint as ocp

from zsgen import artifacts, errors, hosts
from zsgen.training import checksums, record_digests
from zsgen.training import step as step_lib

# Of a run's directory.
NAME = "checkpoints"
# What to say of what has no checksums.
OLDER = "an older version wrote no checksums"
UNCHECKED = f"not checked: {OLDER}"
# What the meta of older versions has: no checksums, and no digest of itself.
_OLD = {"step", "lengths"}
_FIELDS = {"step", "run", "arrays", "records"}
# What orbax puts before pages of a library's settings.
_DETAILS = "See full TensorStore details"
_HANDLERS = {"meta": ocp.JsonCheckpointHandler()}


class Damaged(errors.InputError):
  """A checkpoint, or a record that it counts on, is not what was saved."""


class Checkpoints:
  """Saves asynchronously; only committed checkpoints are ever seen.

  Use as a context manager: leaving waits for the last save and raises what
  went wrong in it.

  Args:
    path: their directory.
    keep: how many are kept.
    run: what they are of, by the digest of what made it; a checkpoint of
      another run is damage.
  """

  def __init__(self, path: pathlib.Path, keep: int, run: str):
    self.path = path
    self._run = run
    self._manager = ocp.CheckpointManager(
        path.absolute(),
        options=ocp.CheckpointManagerOptions(
            max_to_keep=keep,
            cleanup_tmp_directories=True,
            create=True,
            # Made later and failing, it leaves threads that wait for it.
            async_options=ocp.AsyncOptions(
                create_directories_asynchronously=False
            ),
        ),
        item_handlers={"state": ocp.StandardCheckpointHandler(), **_HANDLERS},
    )

  def __enter__(self) -> "Checkpoints":
    return self

  def __exit__(self, _: Any, error: BaseException | None, __: Any) -> None:
    if hosts.several() and not isinstance(error, errors.Stopped | None):
      return  # It would wait for the others, who may be gone.
    self._manager.close()

  def latest(self) -> int | None:
    """Step of the newest committed checkpoint; None if there is none."""
    return self._manager.latest_step()

  def steps(self) -> list[int]:
    """Steps of all committed checkpoints, ascending."""
    return sorted(self._manager.all_steps())

  def directory(self, step: int) -> pathlib.Path:
    """Where the checkpoint of a step is."""
    return self.path / str(step)

  def save(self, step: int, state: step_lib.State, records: Any) -> None:
    """Starts to save; waits for the save before it, and raises its error.

    Args:
      step: the step before which the state is.
      state: on the devices, where its checksums are computed first.
      records: digests of the records at that step, as JSON has them.
    """
    meta = {
        "step": step,
        "run": self._run,
        "arrays": checksums.checksums(state),
        "records": records,
    }
    self._manager.save(
        step,
        args=ocp.args.Composite(
            state=ocp.args.StandardSave(state),
            meta=ocp.args.JsonSave(artifacts.seal(meta, self._run)),
        ),
    )

  def records(self, step: int) -> Any:
    """What `save` was given: digests of the records.

    Raises:
      Damaged: see `state`.
    """
    meta = self._meta(step)
    if meta.keys() != _OLD:
      return meta["records"]
    if isinstance(meta["lengths"], list):  # Of the members of a population.
      return [record_digests.from_lengths(each) for each in meta["lengths"]]
    return record_digests.from_lengths(meta["lengths"])

  def has_checksums(self, step: int) -> bool:
    """Whether what is read of a step is checked: older versions saved none.

    Raises:
      Damaged: see `state`.
    """
    return self._meta(step).keys() != _OLD

  def state(self, step: int, like: step_lib.State) -> step_lib.State:
    """The state of a step, checked where it lies now.

    Args:
      step: a committed step.
      like: shapes, dtypes and shardings to restore to.

    Raises:
      Damaged: it cannot be read, is another step or another run's, or an
        array has not the checksum that it was saved with.
      InputError: it is of another tree.
    """
    meta = self._meta(step)
    self._compare(step, self._metadata(step, meta), _described(like))
    args = ocp.args.StandardRestore(like)
    state = self._restore(step, state=args)["state"]
    try:
      self._check_sums(step, meta, checksums.checksums(state))
    except Damaged:
      del state  # The error holds this frame, and another step may be read.
      raise
    return state

  def newest_whole(self, before: int, read: Callable[[int], Any]) -> int | None:
    """The newest step before another one that can be read; None without.

    Args:
      before: a step.
      read: reads a step, and raises `Damaged`. Where there are several
        processes nothing is read: they might not agree.
    """
    for step in reversed([each for each in self.steps() if each < before]):
      if hosts.several():
        return step
      try:
        read(step)
        return step
      except Damaged:
        continue
    return None

  def _meta(self, step: int) -> dict[str, Any]:
    """What is saved beside the state; see `state` for what is raised."""
    saved = self._restore(step, meta=ocp.args.JsonRestore())["meta"]
    try:
      owner = saved.get("run", "") if isinstance(saved, dict) else ""
      meta = artifacts.unseal(saved, owner)
    except ValueError as error:
      raise self._damaged(step, f"meta: {error}") from error
    if meta.keys() == _OLD == saved.keys():
      found = {"step": meta["step"], "run": self._run}
    elif meta.keys() == _FIELDS and len(saved) > len(meta):
      found = meta
    else:
      raise self._damaged(step, "meta has other fields than were written")
    if found["run"] != self._run:
      raise self._damaged(step, "it is of another run: it was copied here")
    if found["step"] != step:
      raise self._damaged(
          step, f"it is that of step {found['step']}: it was renamed or copied"
      )
    return meta

  def _check_sums(
      self,
      step: int,
      meta: Mapping[str, Any],
      actual: Mapping[str, str],
      below: str = "",
  ) -> None:
    """Raises Damaged if arrays are not those that were saved.

    Args:
      step: of the checkpoint.
      meta: as it was saved.
      actual: checksums of the arrays that were restored.
      below: the path that they all begin with.
    """
    if "arrays" not in meta:
      return
    saved = meta["arrays"]
    expected = {path: saved[path] for path in saved if path.startswith(below)}
    wrong = checksums.differing(actual, expected)
    if wrong:
      more = f", and {len(wrong) - 1} other arrays" if wrong[1:] else ""
      raise self._damaged(
          step, f"not as it was saved, by its checksum: {wrong[0]}{more}"
      )

  def _compare(
      self, step: int, saved: dict[str, tuple], wanted: dict[str, tuple]
  ) -> None:
    differing = sorted(
        name
        for name in {*saved, *wanted}
        if saved.get(name) != wanted.get(name)
    )
    if differing:
      name = differing[0]
      raise errors.InputError(
          f"{self.directory(step)}: {name} is {saved.get(name)} there and"
          f" {wanted.get(name)} in this run ({len(differing)} such entries)."
          " Delete the run's directory to start it anew."
      )

  def _metadata(self, step: int, meta: Mapping[str, Any]) -> dict[str, tuple]:
    """Shape and element type of every array of a step, by path.

    Raises:
      Damaged: they are not those of the arrays that were saved.
    """
    tree = self._tree(step)
    if "arrays" in meta:
      kinds = checksums.kinds(tree)
      saved = {path: s.partition(" ")[0] for path, s in meta["arrays"].items()}
      if wrong := checksums.differing(kinds, saved):
        raise self._damaged(step, f"not the array that was saved: {wrong[0]}")
    return _described(tree)

  def _tree(self, step: int) -> Any:
    """Shapes of the state of a step, as a tree."""
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
      raise self._damaged(step, error) from error

  def _restore(self, step: int, **args: Any) -> Any:
    try:
      with _quiet():
        return self._manager.restore(step, args=ocp.args.Composite(**args))
    except Exception as error:  # orbax raises many kinds for damaged files.
      raise self._damaged(step, error) from error

  def _damaged(self, step: int, error: object) -> Damaged:
    # orbax puts whole trees into its messages.
    text = (str(error) or repr(error)).partition(_DETAILS)[0]
    reason = textwrap.shorten(text, 300).rstrip(".")
    return Damaged(
        f"{self.directory(step)}: the checkpoint is damaged ({reason})."
    )


class Finished(Checkpoints):
  """The checkpoints of a run that is only read, perhaps while it goes on.

  Raises:
    InputError: the run has none.
  """

  def __init__(self, run: pathlib.Path):
    self.path = run / NAME
    self._run = record_digests.identity(run)
    if not self.path.is_dir():
      raise errors.InputError(
          f"{self.path} is not there: the run has no checkpoints. To have them"
          f" again, {retrain(run)}."
      )
    with _quiet():
      self._manager = ocp.CheckpointManager(
          self.path.absolute(),
          options=ocp.CheckpointManagerOptions(read_only=True),
          item_handlers={"state": ocp.PyTreeCheckpointHandler(), **_HANDLERS},
      )

  def params(self, step: int, like: Any) -> Any:
    """The parameters of a step alone; moments are not read.

    Args:
      step: a committed step.
      like: shapes, dtypes and shardings to restore to.

    Raises:
      Damaged: as of `state`, for what is read.
      InputError: the checkpoint is of other parameters.
    """
    meta = self._meta(step)
    saved = {
        name: leaf
        for name, leaf in self._metadata(step, meta).items()
        if name.startswith("params/")
    }
    self._compare(step, saved, _described({"params": like}))
    args = ocp.args.PyTreeRestore(
        item={"params": like},
        restore_args=ocp.checkpoint_utils.construct_restore_args(
            {"params": like}
        ),
        partial_restore=True,
    )
    tree = self._restore(step, state=args)["state"]
    try:
      self._check_sums(step, meta, checksums.checksums(tree), "params/")
    except Damaged:
      del tree  # As in `state`.
      raise
    return tree["params"]

  def check(self, step: int) -> bool:
    """Checks all arrays of a step, one after the other, on one device.

    Returns:
      Whether they could be checked: older versions saved no checksums.

    Raises:
      Damaged: see `state`.
    """
    meta = self._meta(step)
    shapes, tree = jax.tree_util.tree_flatten(self._tree(step))
    sums = {}
    for place in range(len(shapes)):
      leaves = [ocp.PLACEHOLDER] * len(shapes)
      leaves[place] = shapes[place]
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


def like(shapes: Any, shardings: Any) -> Any:
  """Shapes with shardings: what to restore to."""
  return jax.tree.map(
      lambda shape, sharding: jax.ShapeDtypeStruct(
          shape.shape, shape.dtype, sharding=sharding
      ),
      shapes,
      shardings,
  )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
  """Hides what orbax logs while it reads: what matters it raises too."""
  before = logging.get_verbosity()
  logging.set_verbosity(logging.FATAL)
  try:
    yield
  finally:
    logging.set_verbosity(before)


def retrain(run: pathlib.Path) -> str:
  """How to have a run's checkpoints again, as half a sentence."""
  result = run / record_digests.RESULT
  first = f"delete {result} and " if result.exists() else ""
  return f"{first}start the command that trains the run"


def _described(tree: Any) -> dict[str, tuple]:
  """Shape and dtype of every leaf, by its path."""
  return {
      path: (tuple(leaf.shape), str(leaf.dtype))
      for path, leaf in checksums.leaves_by_path(tree).items()
  }
