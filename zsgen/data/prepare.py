"""The prepare stage: a suite becomes a store.

Examples are encoded chunk by chunk into a folder beside the store; a prepare
that was stopped goes on after the last whole chunk. Then the chunks are put
together and the folder is deleted.
"""

from collections.abc import Callable, Mapping, Sequence
import os
import pathlib
import shutil
from typing import Any

from zsgen.core import artifacts, config, errors, plugins
from zsgen.data import (
    chunks,
    encoding,
    prompts,
    publish,
    sources,
    store,
    suite,
    tokenizers,
)
from zsgen.data.sources import options


def made_by(data: config.Data, seed: int) -> dict[str, Any]:
  """All that decides what is in a store, but the content of its sources."""
  path = options.path(data)
  path = path if "://" in path else _resolved(path)
  tokenizer = tokenizers.get(data)
  made = {
      **config.science(data),
      "format": store.FORMAT,
      "path": path,
      "seed": seed,
      "tokenizer": tokenizer.fingerprint,
  }
  made |= prompts.versions(data, tokenizer)
  for kind in ("source", "tokenizer", "prompt", "template"):
    if source := plugins.fingerprint(kind, getattr(data, kind)):
      made[f"{kind}_plugin"] = source["plugin"]
  for name, each in options.heldout(data).items():
    if each.tasks_file:
      made["heldout"][name]["tasks_file"] = _resolved(each.tasks_file)
  return made


def _resolved(path: str) -> str:
  """The path as every working directory knows it; "" for none."""
  return os.path.realpath(os.path.expanduser(path)) if path else ""


def path_of(root: pathlib.Path, data: config.Data, seed: int) -> pathlib.Path:
  """Where the store of `data` and `seed` is, or will be."""
  return root / artifacts.name(data.source, made_by(data, seed))


def prepare(
    root: pathlib.Path,
    data: config.Data,
    seed: int,
    say: Callable[[str], None] = lambda line: None,
    check: Callable[[suite.Suite], None] = lambda source: None,
) -> store.Store:
  """Opens the store of `data` and `seed` under `root`, or makes it.

  Args:
    root: directory of the stores.
    data: the config's section.
    seed: draws the suite's instances.
    say: takes lines on the progress of long work.
    check: raises InputError for a suite that is of no use to the caller,
      before it is encoded.

  Returns:
    The store, whole and with unchanged sources.

  Raises:
    InputError: bad sources, a damaged store, or sources that changed.
  """
  made = made_by(data, seed)
  path = path_of(root, data, seed)
  if not path.exists():
    source = sources.load(data, seed, root.parent / "scratch")
    check(source)
    _make(path, source, data, made, say)
  _tidy(path)
  artifacts.check_made_by(path, made)
  opened = store.open_store(path)
  store.check_sources(opened.manifest["sources"], path)
  return opened


def _make(
    path: pathlib.Path,
    source: suite.Suite,
    data: config.Data,
    made: Mapping[str, Any],
    say: Callable[[str], None],
) -> None:
  """Makes the store `path`, unless another process has it first.

  Chunks are kept for the next start, unless it is the source that is wrong.
  """
  files = store.describe_sources(source.files)
  folder = path.parent / _partial(path.name, files)
  try:
    folder.mkdir(parents=True, exist_ok=True)
    encoding.encode(folder, source, data, made["seed"], say)
    with artifacts.writing(path) as beside:
      publish.write(beside, folder, source, files, made, tokenizers.get(data))
      _check_unchanged(files)
  except (OSError, errors.InputError) as error:
    if path.is_dir():  # The other process has taken the chunks away.
      return
    if isinstance(error, errors.InputError):
      shutil.rmtree(folder, ignore_errors=True)
      raise
    raise errors.InputError(
        f"{path}: cannot be written ({error}). Check the disk, or use another"
        " workdir. What is encoded is kept: the same command goes on."
    ) from error


def _partial(name: str, files: Sequence[Mapping[str, Any]]) -> str:
  """Name of the folder of chunks; of other files they are other chunks."""
  contents = [[each["path"], each["sha256"]] for each in files]
  layout = [chunks.FORMAT, chunks.SIZE, chunks.CHARACTERS]
  mark = artifacts.digest([*layout, contents])[:10]
  return f".{name}.{mark}.partial"


def _check_unchanged(files: Sequence[Mapping[str, Any]]) -> None:
  """The files are as they were before they were encoded."""
  for each in files:
    stat = pathlib.Path(each["path"]).stat()
    if (stat.st_size, stat.st_mtime_ns) != (each["bytes"], each["mtime_ns"]):
      raise errors.InputError(
          f"{each['path']}: changed while the store was made of it. Run again."
      )


def _tidy(path: pathlib.Path) -> None:
  """Deletes what starts that were stopped left beside a store."""
  for stale in path.parent.glob(f".{path.name}.*"):
    shutil.rmtree(stale, ignore_errors=True)
