"""The files that a path names: one, a directory's, a glob's, or a bucket's.

Formats go by suffix: .jsonl and .ndjson, .json (an array, or lines), .csv,
.tsv, .parquet, .arrow; all but the last two also as .gz and .zst. A directory
that `datasets` saved is read by its own list of files. A directory's files
and those one level below it are taken, sorted by name.
"""

from collections.abc import Iterable
import glob
import json
import os
import pathlib
import re
from typing import NamedTuple

from zsgen import errors
from zsgen.data.sources import records, remote

_PACKED = {".gz": "gzip", ".zst": "zstd"}
_FORMATS = {
    ".jsonl": "lines",
    ".ndjson": "lines",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
    ".arrow": "arrow",
}
# What `datasets` writes beside its data.
_STATE, _SPLITS = "state.json", "dataset_dict.json"
# Names of files that are a split, whole or in shards.
_SPLIT = re.compile(
    r"(train|heldout|validation|test)(-\d+-of-\d+(-[0-9a-f]+)?)?"
)


class File(NamedTuple):
  """A file of rows."""

  path: pathlib.Path
  # Its name below the given directory, without suffixes.
  name: str
  # The directory that it lies in below the given one; "" for none.
  folder: str
  format: str
  # "gzip", "zstd" or "".
  packed: str
  # The split that its name says it is; "" unless all files are such.
  split: str


def find(path: str, scratch: pathlib.Path) -> list[File]:
  """The files that `config.data.path` names.

  Args:
    path: a file, a directory or a glob; local or with a scheme (gs://…).
    scratch: a directory; what is remote is copied there once.

  Returns:
    At least one file, sorted by name.

  Raises:
    InputError: nothing is there that can be read.
  """
  if not path:
    raise errors.InputError(
        "config.data.path is empty. Give a file, a directory or a glob:"
        " --config.data.path=PATH."
    )
  if "://" in path:
    root = remote.copied(path, scratch)
  else:
    root = pathlib.Path(os.path.expanduser(path))
  try:
    found = _found(root)
  except OSError as error:
    raise errors.InputError(
        f"config.data.path: {path!r} cannot be read ({error.strerror})."
    ) from error
  if not found:
    raise errors.InputError(
        f"config.data.path: {path!r} has no file that can be read."
        f" It must be a file ({', '.join(_FORMATS)}; also with"
        f" {' or '.join(_PACKED)}), a directory of such files, or a"
        " glob."
    )
  if not all(file.split for file in found):
    return [file._replace(split="") for file in found]
  return found


def _found(root: pathlib.Path) -> list[File]:
  """The files at a local path."""
  if root.is_dir():
    return _below(root)
  if root.is_file():
    return _known([root], root.parent)
  paths = sorted(map(pathlib.Path, glob.glob(str(root), recursive=True)))
  if len(paths) == 1 and paths[0].is_dir():
    return _below(paths[0])
  files = [path for path in paths if path.is_file()]
  folders = [path.parent for path in files]
  return _known(files, pathlib.Path(os.path.commonpath(folders or [root])))


def _below(root: pathlib.Path) -> list[File]:
  """The files of a directory and of its directories."""
  found = _saved(root, root) or _known(_visible(root), root)
  if not (root / _STATE).is_file() and not (root / _SPLITS).is_file():
    for folder in filter(pathlib.Path.is_dir, _visible(root)):
      found += _saved(folder, root) or _known(_visible(folder), root)
  return found


def _visible(root: pathlib.Path) -> list[pathlib.Path]:
  """What lies in a directory, sorted, but for hidden names."""
  return sorted(p for p in root.iterdir() if not p.name.startswith("."))


def _saved(folder: pathlib.Path, root: pathlib.Path) -> list[File]:
  """The files of what `datasets` saved in a directory; [] if it did not."""
  if (folder / _SPLITS).is_file():
    splits = _listed(folder / _SPLITS, "splits")
    for split in splits:
      if not (folder / str(split) / _STATE).is_file():
        raise errors.InputError(f"{folder / _SPLITS}: {split!r} is not there.")
    return [
        file._replace(split=str(split), folder=_name(folder.relative_to(root)))
        for split in splits
        for file in _saved(folder / str(split), root)
    ]
  if not (folder / _STATE).is_file():
    return []
  state = folder / _STATE
  paths = [
      folder / records.field(each, "filename", (str,), state)
      for each in _listed(state, "_data_files")
  ]
  return _known(paths, root, even_if_missing=True)


def _listed(path: pathlib.Path, field: str) -> list:
  """A list in a JSON file that `datasets` wrote."""
  try:
    value = json.loads(path.read_text("utf-8"))
  except (ValueError, RecursionError) as error:
    raise errors.InputError(f"{path}: broken JSON ({error}).") from error
  return records.field(value, field, (list,), path)


def _known(
    paths: Iterable[pathlib.Path],
    root: pathlib.Path,
    even_if_missing: bool = False,
) -> list[File]:
  """The files among `paths` whose format is known."""
  found = []
  for path in paths:
    packed = _PACKED.get(path.suffix.lower(), "")
    plain = path.with_suffix("") if packed else path
    kind = _FORMATS.get(plain.suffix.lower(), "")
    binary = kind in ("parquet", "arrow")
    if not kind or (packed and binary):
      continue
    if path.is_file() or even_if_missing:
      stem = plain.with_suffix("").relative_to(root)
      named = _SPLIT.fullmatch(stem.name)
      found.append(
          File(
              path=path,
              name=stem.as_posix(),
              folder=_name(stem.parent),
              format=kind,
              packed=packed,
              split=named[1] if named else "",
          )
      )
  return found


def _name(folder: pathlib.Path) -> str:
  """A directory's path as a name; "" for the root itself."""
  return "" if folder == pathlib.Path() else folder.as_posix()
