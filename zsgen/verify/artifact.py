"""Checks each kind of artifact except runs.

Each check takes the directory of an artifact. It returns one line for each
check that passed, those of the artifact's inputs first, and raises InputError
for what failed.
"""

from collections.abc import Callable, Iterable
import functools
import pathlib
from typing import Any

from zsgen.core import artifacts, errors
from zsgen.data import store as store_lib
from zsgen.orders import embeddings as embeddings_lib
from zsgen.orders import order as order_lib

Check = Callable[[pathlib.Path], list[str]]
# Results by directory: many artifacts share a store, which may be large.
_results: dict[pathlib.Path, list[str] | errors.InputError] = {}


class Damaged(errors.InputError):
  """An artifact is damaged.

  Attributes:
    problems: a sentence for each problem.
  """

  def __init__(self, problems: Iterable[str]):
    self.problems = list(problems)
    super().__init__("\n".join(self.problems))


def forget() -> None:
  """Clears the results, so that artifacts are checked again."""
  _results.clear()


def once(check: Check) -> Check:
  """Caches what a check returns or raises, until `forget`."""

  @functools.wraps(check)
  def checked(path: pathlib.Path) -> list[str]:
    """Returns an artifact's lines, checked once; raises its error again."""
    key = path.resolve()
    if key not in _results:
      try:
        _results[key] = check(path)
      except errors.InputError as error:
        _results[key] = error
    result = _results[key]
    if isinstance(result, errors.InputError):
      raise result
    return list(result)

  return checked


def problems_of(error: errors.InputError) -> list[str]:
  """Returns the sentences of an error that a check raised."""
  if isinstance(error, Damaged):
    return error.problems
  return str(error).splitlines()


@once
def check_store(path: pathlib.Path) -> list[str]:
  """Checks the hashes of a store's content and its sources."""
  if problems := store_lib.problems(path):
    raise Damaged(problems)
  store = store_lib.open_store(path)
  return [f"store {path}: {len(store)} examples verified"]


@once
def check_embeddings(path: pathlib.Path) -> list[str]:
  """Checks the hash of embeddings."""
  manifest = artifacts.read_manifest(path, "embeddings")
  loaded = embeddings_lib.load(path, manifest)
  shape: Any = loaded.vectors.shape
  if list(shape) != manifest["shape"]:
    raise _differs(path / artifacts.MANIFEST, "shape")
  return [f"embeddings {path}: {len(loaded)} vectors verified{_age(manifest)}"]


@once
def check_files(path: pathlib.Path) -> list[str]:
  """Checks the hashes of an artifact's files, without its inputs."""
  manifest = artifacts.read_manifest(path)
  if problems := list(artifacts.file_problems(path, manifest["files"])):
    raise Damaged(problems)
  kind, count = manifest["kind"], len(manifest["files"])
  return [f"{kind} {path}: {count} files verified{_age(manifest)}"]


@once
def check_order(path: pathlib.Path) -> list[str]:
  """Checks an order's files, and its store."""
  manifest = artifacts.read_manifest(path, "order")
  problems = list(artifacts.file_problems(path, manifest["files"]))
  store_path = (path / manifest["store"]).resolve()
  if not artifacts.exists(store_path):
    raise Damaged(
        [
            *problems,
            f"{path}: its store, {store_path}, does not exist. Delete {path},"
            " and the command that made it makes it again, with its store.",
        ]
    )
  try:
    lines = check_store(store_path)
  except errors.InputError as error:
    problems += problems_of(error)
  if problems:
    raise Damaged(problems)
  store = store_lib.open_store(store_path)
  order = order_lib.Order.load(path, store)
  if order.manifest["statistics"] != order.statistics(store):
    raise _differs(path / artifacts.MANIFEST, "statistics")
  if order.manifest["count"] != len(order):
    raise _differs(path / artifacts.MANIFEST, "count")
  return [*lines, f"order {path}: {len(order)} ids verified{_age(manifest)}"]


def _differs(path: pathlib.Path, entry: str) -> errors.InputError:
  """Returns the error for an entry that is not what was written."""
  return errors.InputError(
      f"{path}: {entry} is not what was written; it was changed or is damaged:"
      f" {artifacts.advise(path.parent)}."
  )


def _age(manifest: dict) -> str:
  """Returns a remark on a manifest without a digest; otherwise ""."""
  if artifacts.has_digest(manifest):
    return ""
  return ", but not its manifest (an older zsgen wrote no digest)"
