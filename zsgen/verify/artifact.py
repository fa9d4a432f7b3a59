"""Checks of each kind of artifact but runs.

All take an artifact's directory, return what holds, a line a check, that of
what it was made from first, and raise InputError for what does not hold.
"""

from collections.abc import Callable, Iterable
import functools
import pathlib

from zsgen import artifacts, errors
from zsgen.data import store as store_lib
from zsgen.orders import embeddings as embeddings_lib
from zsgen.orders import order as order_lib

Check = Callable[[pathlib.Path], list[str]]
# What each artifact was found to be: many share a store, which may be large.
_results: dict[pathlib.Path, list[str] | errors.InputError] = {}


class Damaged(errors.InputError):
  """All that is wrong with an artifact.

  Attributes:
    problems: a sentence for each thing.
  """

  def __init__(self, problems: Iterable[str]):
    self.problems = list(problems)
    super().__init__("\n".join(self.problems))


def forget() -> None:
  """Has all artifacts checked anew."""
  _results.clear()


def once(check: Check) -> Check:
  """The check; what it returned or raised is given again, until `forget`."""

  @functools.wraps(check)
  def checked(path: pathlib.Path) -> list[str]:
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
  """The sentences of an error that a check raised, a line each."""
  if isinstance(error, Damaged):
    return error.problems
  return str(error).splitlines()


@once
def check_store(path: pathlib.Path) -> list[str]:
  """Hashes a store's content and its sources."""
  if problems := store_lib.problems(path):
    raise Damaged(problems)
  store = store_lib.open_store(path)
  return [f"store {path}: {len(store)} examples verified"]


@once
def check_embeddings(path: pathlib.Path) -> list[str]:
  """Hashes vectors."""
  manifest = artifacts.read_manifest(path, "embeddings")
  found = embeddings_lib.load(path, manifest["sha256"])
  if list(found.vectors.shape) != manifest["shape"]:
    raise _differs(path / artifacts.MANIFEST, "shape")
  return [f"embeddings {path}: {len(found)} vectors verified{_age(manifest)}"]


@once
def check_files(path: pathlib.Path) -> list[str]:
  """Hashes the files of an evaluation, an export, or rows of a child."""
  manifest = artifacts.read_manifest(path)
  if problems := list(artifacts.file_problems(path, manifest["files"])):
    raise Damaged(problems)
  kind, count = manifest["kind"], len(manifest["files"])
  return [f"{kind} {path}: {count} files verified{_age(manifest)}"]


@once
def check_order(path: pathlib.Path) -> list[str]:
  """Hashes an order's files, compares them, and checks its store."""
  manifest = artifacts.read_manifest(path, "order")
  problems = list(artifacts.file_problems(path, manifest["files"]))
  store_path = (path / manifest["store"]).resolve()
  if not store_path.is_dir():
    raise Damaged(
        [
            *problems,
            f"{path}: its store, {store_path}, is not there. Delete {path} to"
            " have it made again, for the store that its command makes.",
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


def _differs(path: pathlib.Path, what: str) -> errors.InputError:
  return errors.InputError(
      f"{path}: {what} is not what was written: it was changed or is damaged;"
      f" {artifacts.advise(path.parent)}."
  )


def _age(manifest: dict) -> str:
  """What to say of a manifest that has no digest."""
  if artifacts.has_digest(manifest):
    return ""
  return ", but not its manifest: an older zsgen wrote no digest"
