"""Proof: is an order, store or run what it says it is?"""

from collections.abc import Callable
import pathlib
import tokenize

import numpy as np

from zsgen import artifacts, errors
from zsgen.data import store as store_lib
from zsgen.orders import order as order_lib

# What consumed.npy has where no example was consumed.
_NOTHING = -1
# What np.load raises for a file that is missing or has a damaged header.
_UNREADABLE = (
    OSError,
    ValueError,
    EOFError,
    SyntaxError,
    tokenize.TokenError,
)


def verify(path: pathlib.Path) -> list[str]:
  """Recomputes every hash behind an artifact.

  Args:
    path: the directory of a store (content and sources are hashed), of an
      order (fingerprint, files, and its store), or of a run (what it consumed
      against its order, row by row, and that order).

  Returns:
    What holds, a line a check.

  Raises:
    InputError: names the first thing that does not hold.
  """
  return _KINDS[artifacts.read_manifest(path)["kind"]](path)


def _store(path: pathlib.Path) -> list[str]:
  store = store_lib.open_store(path)
  store.verify()
  return [f"store {path}: {len(store)} examples verified"]


def _order(path: pathlib.Path) -> list[str]:
  order = order_lib.Order.load(path)
  made_by = order.manifest["made_by"]
  if not path.resolve().name.endswith(artifacts.name("", made_by)):
    raise _differs(path / artifacts.MANIFEST, "made_by")
  lines = _store(order.store_path)
  store = store_lib.open_store(order.store_path)
  order = order_lib.Order.load(path, store)
  if order.manifest["statistics"] != order.statistics(store):
    raise _differs(path / artifacts.MANIFEST, "statistics")
  if order.manifest["count"] != len(order):
    raise _differs(path / artifacts.MANIFEST, "count")
  return [*lines, f"order {path}: {len(order)} ids verified"]


def _run(path: pathlib.Path) -> list[str]:
  run = artifacts.read_manifest(path, "run")
  order_path = (path / run["order"]).resolve()
  size, steps = run["batch_size"], run["steps"]
  lines = _order(order_path)
  order = order_lib.Order.load(order_path)
  if type(size) is not int or size < 1:
    raise _differs(path / artifacts.MANIFEST, "batch_size")
  if run["made_by"].get("order") != order.fingerprint:
    raise _differs(path / artifacts.MANIFEST, "made_by.order")
  expected = np.full((-(-len(order) // size), size), _NOTHING, np.int64)
  expected.flat[: len(order)] = order.ids
  if len(expected) != steps:
    raise _differs(path / artifacts.MANIFEST, "steps")
  recorded = compare(_consumed(path, expected.shape), expected, path)
  tail = "" if recorded == steps else f"; {steps - recorded} not recorded yet"
  lines.append(f"run {path}: {recorded} steps verified of {steps}{tail}")
  from zsgen.training import proof  # Imports jax and orbax.

  return [*lines, *proof.check(path)]


def compare(
    consumed: np.ndarray, expected: np.ndarray, path: pathlib.Path
) -> int:
  """Number of steps recorded, all of them with the expected ids.

  Args:
    consumed: ids that the device program returned, int64 [steps, B]; steps
      that are not recorded are -1 throughout.
    expected: ids of the order, int64 [steps, B], the last step padded with -1.
    path: the run, for messages.

  Raises:
    InputError: names the first step and position that differ; a step that is
      recorded after one that is not differs too.
  """
  recorded = (consumed != _NOTHING).any(axis=1)
  steps = int(np.flatnonzero(recorded)[-1]) + 1 if recorded.any() else 0
  differ = consumed[:steps] != expected[:steps]
  if differ.any():
    step, position = (int(i) for i in np.argwhere(differ)[0])
    raise errors.InputError(
        f"{path / 'consumed.npy'}: step {step}, position {position}: expected"
        f" id {expected[step, position]}, found {consumed[step, position]}."
        " The run did not consume its order; delete it and train again."
    )
  return steps


def _consumed(path: pathlib.Path, shape: tuple[int, ...]) -> np.ndarray:
  """The run's record, int64 [steps, B]."""
  file = path / "consumed.npy"
  try:
    consumed = np.load(file, mmap_mode="r", allow_pickle=False)
  except _UNREADABLE as error:
    raise errors.InputError(
        f"{file}: cannot be read ({error}). The run has not begun to train, or"
        " is damaged."
    ) from error
  if consumed.shape != shape or consumed.dtype != np.int64:
    raise _differs(file, f"shape ({list(consumed.shape)}, not {list(shape)})")
  return consumed


def _differs(path: pathlib.Path, what: str) -> errors.InputError:
  return errors.InputError(
      f"{path}: {what} is not what was written: it was changed or is damaged."
      " Delete the directory to have it made again."
  )


_KINDS: dict[str, Callable[[pathlib.Path], list[str]]] = {
    "order": _order,
    "run": _run,
    "store": _store,
}
