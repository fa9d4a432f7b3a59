"""The prepare stage: a suite becomes a store.

Examples are encoded chunk by chunk into a folder next to the store; an
interrupted prepare continues after the last complete chunk. Each chunk is also
joined to the store's files right away; when the store is complete, the folder
is deleted.
"""

from collections.abc import Callable, Mapping, Sequence
import contextlib
import os
import pathlib
import shutil
from typing import Any

from zsgen.core import artifacts, config, errors, plugins
from zsgen.data import (
    chunks,
    encoding,
    plan,
    prompts,
    publish,
    sources,
    store,
    suite,
    tokenizers,
)
from zsgen.data.sources import catalog, options


def recipe_of(data: config.Data, seed: int) -> dict[str, Any]:
  """Returns all that determines a store, except the content of its sources."""
  path = options.path(data)
  path = path if "://" in path else _resolved(path)
  tokenizer = tokenizers.get(data)
  recipe = {
      **config.science(data),
      "format": store.FORMAT,
      "path": path,
      "seed": seed,
      "tokenizer": tokenizer.fingerprint,
  }
  recipe |= prompts.versions(data, tokenizer)
  for kind in ("source", "tokenizer", "prompt", "template"):
    if source := plugins.fingerprint(kind, getattr(data, kind)):
      recipe[f"{kind}_plugin"] = source["plugin"]
  for name, heldout in options.heldout(data).items():
    if heldout.tasks_file:
      recipe["heldout"][name]["tasks_file"] = _resolved(heldout.tasks_file)
  return recipe


def _resolved(path: str) -> str:
  """Returns the absolute, resolved path; "" for none."""
  return os.path.realpath(os.path.expanduser(path)) if path else ""


def path_of(root: pathlib.Path, data: config.Data, seed: int) -> pathlib.Path:
  """Returns the path of the store of `data` and `seed`."""
  return root / artifacts.name(data.source, recipe_of(data, seed))


def prepare(
    root: pathlib.Path,
    data: config.Data,
    seed: int,
    report: Callable[[str], None] = lambda line: None,
    check: Callable[[suite.Outline], None] = lambda outline: None,
) -> store.Store:
  """Opens the store of `data` and `seed` under `root`, or makes it.

  Args:
    root: directory of the stores.
    data: the config's section.
    seed: draws the suite's instances.
    report: prints a line on the progress of long work.
    check: raises InputError for a suite that is of no use to the caller,
      before it is encoded.

  Returns:
    The store, whole and with unchanged sources.

  Raises:
    InputError: bad sources, a damaged store, or sources that changed.
  """
  recipe = recipe_of(data, seed)
  path = path_of(root, data, seed)
  if not artifacts.exists(path):
    work = _plan_work(data, seed, root.parent / "scratch")
    check(work.outline)
    _make(path, work, data, recipe, report)
  return open_made(path, recipe)


def open_existing(
    root: pathlib.Path, data: config.Data, seed: int
) -> store.Store:
  """Opens the store of `data` and `seed` under `root`; does not make it.

  Raises:
    InputError: it does not exist, is damaged, or its sources have changed.
  """
  path = path_of(root, data, seed)
  if not artifacts.exists(path):
    raise errors.InputError(
        f"{path}: the store of this config does not exist. Make it first, with"
        " the same options --config and --workdir: python -m zsgen.data prepare."
    )
  return open_made(path, recipe_of(data, seed))


def open_made(path: pathlib.Path, recipe: Mapping[str, Any]) -> store.Store:
  """Opens a store that exists, and deletes what is left of making it.

  Args:
    path: the store.
    recipe: as `recipe_of` returns it.

  Raises:
    InputError: a damaged store, or sources that changed.
  """
  _tidy(path)
  artifacts.check_made_by(path, recipe)
  opened = store.open_store(path)
  store.check_sources(opened.manifest["sources"], path)
  return opened


def _plan_work(
    data: config.Data, seed: int, scratch: pathlib.Path
) -> encoding.Work:
  """Scans the source, and returns the batches of its suite."""
  source = sources.open_source(data, seed, scratch)
  if isinstance(source, catalog.Corpus):
    return plan.build(catalog.scan_and_draw(source, scratch))
  return encoding.Listed(source)


def _make(
    path: pathlib.Path,
    work: encoding.Work,
    data: config.Data,
    recipe: Mapping[str, Any],
    report: Callable[[str], None],
) -> None:
  """Makes the store `path`, unless another process makes it first.

  Chunks are kept for the next start, unless the source is at fault.
  """
  files = store.describe_sources(work.outline.files)
  folder = path.parent / _partial(path.name, files)
  try:
    folder.mkdir(parents=True, exist_ok=True)
    artifacts.remove_leftovers(path)
    encoded = encoding.encode_rest(folder, work, data, recipe["seed"], report)
    with (
        artifacts.writing(path) as partial,
        contextlib.closing(encoded),
    ):
      tokenizer = tokenizers.get(data)
      publish.write(partial, encoded, work.outline, files, recipe, tokenizer)
      _check_unchanged(files)
  except (OSError, errors.InputError) as error:
    if path.is_dir():  # The other process has deleted the chunks.
      return
    if isinstance(error, errors.InputError):
      shutil.rmtree(folder, ignore_errors=True)
      raise
    raise errors.InputError(
        f"{path}: cannot be written ({error}). Check the disk, or use another"
        " workdir. Encoded examples are kept: the same command"
        " continues."
    ) from error


def _partial(name: str, files: Sequence[Mapping[str, Any]]) -> str:
  """Returns the name of the folder of chunks, which depends on the files."""
  contents = [[file["path"], file["sha256"]] for file in files]
  layout = [chunks.FORMAT, chunks.SIZE, chunks.CHARACTERS]
  mark = artifacts.digest([*layout, contents])[:10]
  return f".{name}.{mark}.partial"


def _check_unchanged(files: Sequence[Mapping[str, Any]]) -> None:
  """Checks that the files have not changed since they were encoded."""
  for file in files:
    stat = pathlib.Path(file["path"]).stat()
    if (stat.st_size, stat.st_mtime_ns) != (file["bytes"], file["mtime_ns"]):
      raise errors.InputError(
          f"{file['path']}: changed while the store was made from it. Run"
          " again."
      )


def _tidy(path: pathlib.Path) -> None:
  """Deletes leftovers of interrupted runs next to a store."""
  for stale in path.parent.glob(f".{path.name}.*"):
    shutil.rmtree(stale, ignore_errors=True)
