"""Checkpoints: the one module that knows orbax.

A checkpoint is the state and what the loop needs to go on: the step and the
lengths of the log files at that step.
"""

import pathlib
import textwrap
from typing import Any

import jax
import orbax.checkpoint as ocp

from zsgen import errors, hosts
from zsgen.training import step as step_lib

# Of a run's directory.
NAME = "checkpoints"


class Checkpoints:
  """Saves asynchronously; only committed checkpoints are ever seen.

  Use as a context manager: leaving waits for the last save and raises what
  went wrong in it.
  """

  def __init__(self, path: pathlib.Path, keep: int):
    self._path = path
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
        item_handlers={
            "state": ocp.StandardCheckpointHandler(),
            "meta": ocp.JsonCheckpointHandler(),
        },
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

  def save(self, step: int, state: step_lib.State, meta: dict) -> None:
    """Starts to save; waits for the save before it, and raises its error."""
    self._manager.save(
        step,
        args=ocp.args.Composite(
            state=ocp.args.StandardSave(state), meta=ocp.args.JsonSave(meta)
        ),
    )

  def meta(self, step: int) -> dict:
    """What was saved beside the state of a step."""
    restored = self._restore(step, meta=ocp.args.JsonRestore())
    return restored["meta"]

  def state(self, step: int, like: step_lib.State) -> step_lib.State:
    """The state of a step.

    Args:
      step: a committed step.
      like: shapes, dtypes and shardings to restore to.

    Raises:
      InputError: the checkpoint is damaged or of another tree.
    """
    self._check_tree(step, like)
    restored = self._restore(step, state=ocp.args.StandardRestore(like))
    return restored["state"]

  def _check_tree(self, step: int, like: step_lib.State) -> None:
    """Compares names, shapes and dtypes before anything is read."""
    self._compare(step, self._metadata(step), _described(like))

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
          f"{self._path / str(step)}: {name} is {saved.get(name)} there and"
          f" {wanted.get(name)} in this run ({len(differing)} such entries)."
          " Delete the run's directory to start it anew."
      )

  def _metadata(self, step: int) -> dict[str, tuple]:
    try:
      tree = self._manager.item_metadata(step)["state"]
    except Exception as error:  # orbax raises many kinds for damaged files.
      raise self._damaged(step, error) from error
    if tree is None:
      raise self._damaged(step, "it has no state")
    return _described(getattr(tree, "tree", tree))

  def _restore(self, step: int, **args: Any) -> Any:
    try:
      return self._manager.restore(step, args=ocp.args.Composite(**args))
    except Exception as error:  # orbax raises many kinds for damaged files.
      raise self._damaged(step, error) from error

  def _damaged(self, step: int, error: object) -> errors.InputError:
    # orbax puts whole trees into its messages.
    reason = textwrap.shorten(str(error) or repr(error), 300)
    return errors.InputError(
        f"{self._path / str(step)}: the checkpoint cannot be read ({reason})."
        " Delete this step's directory to go on from the one before it, or"
        " the run's directory to start anew."
    )


class Finished(Checkpoints):
  """The checkpoints of a run that is only read, perhaps while it goes on.

  Raises:
    InputError: the run has none.
  """

  def __init__(self, run: pathlib.Path):
    self._path = run / NAME
    if not self._path.is_dir():
      raise errors.InputError(
          f"{self._path} is not there: the run has no checkpoints."
      )
    self._manager = ocp.CheckpointManager(
        self._path.absolute(),
        options=ocp.CheckpointManagerOptions(read_only=True),
        item_handlers={"state": ocp.PyTreeCheckpointHandler()},
    )

  def params(self, step: int, like: Any) -> Any:
    """The parameters of a step alone; moments are not read.

    Args:
      step: a committed step.
      like: shapes, dtypes and shardings to restore to.

    Raises:
      InputError: the checkpoint is damaged or of other parameters.
    """
    saved = {
        name: leaf
        for name, leaf in self._metadata(step).items()
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
    return self._restore(step, state=args)["state"]["params"]


def like(shapes: Any, shardings: Any) -> Any:
  """Shapes with shardings: what to restore to."""
  return jax.tree.map(
      lambda shape, sharding: jax.ShapeDtypeStruct(
          shape.shape, shape.dtype, sharding=sharding
      ),
      shapes,
      shardings,
  )


def _described(tree: Any) -> dict[str, tuple]:
  """Shape and dtype of every leaf, by its path."""
  leaves = jax.tree_util.tree_leaves_with_path(tree)
  return {
      jax.tree_util.keystr(_plain(path), simple=True, separator="/"): (
          tuple(leaf.shape),
          str(leaf.dtype),
      )
      for path, leaf in leaves
  }


def _plain(path: tuple) -> tuple:
  """The path with attribute and index keys as dictionary keys."""
  names = (
      getattr(key, "name", getattr(key, "key", getattr(key, "idx", key)))
      for key in path
  )
  return tuple(jax.tree_util.DictKey(str(name)) for name in names)
