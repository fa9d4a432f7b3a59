"""The files that a path names: one, a directory's, a glob's, or a bucket's.

Formats go by suffix: .jsonl, .ndjson and .json (lines, or an array), .csv,
.tsv, .parquet, .arrow and .feather; all but the binary ones also as .gz, .zst,
.bz2 and .xz. A directory that `datasets` saved is read by its own list of
files. A directory's files and those one level below it are taken, sorted by
name.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
import glob
import os
import pathlib
from typing import Any, NamedTuple

from zsgen.core import errors, paths, strict_json
from zsgen.data import suite
from zsgen.data.sources import records, remote, split_names, unread

_PACKED = {".gz": "gzip", ".zst": "zstd", ".bz2": "bz2", ".xz": "xz"}
_FORMATS = {
    ".jsonl": "json",
    ".jsonlines": "json",
    ".ndjson": "json",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
}
# What `datasets` writes beside its data.
_STATE, _SPLITS = "state.json", "dataset_dict.json"
# Directories of a workdir: no data of the user's.
_OWN = ("stores", "orders", "embeddings", "runs", "evaluations", "scratch")


class File(NamedTuple):
  """A file of rows."""

  path: pathlib.Path
  # Its name below the given directory, without suffixes.
  name: str
  # The directory that it lies in below the given one; "" for none, and where
  # it is named by a split.
  folder: str
  format: str
  # "gzip", "zstd", "bz2", "xz" or "".
  packed: str
  # The split that its name or directory says it is; "" where files have none.
  split: str


class Listing(NamedTuple):
  """What a path names."""

  files: list[File]
  # Files beside them, by suffix; see `unread.check`.
  unread: Mapping[str, Any]


def find(
    path: str,
    scratch: pathlib.Path,
    split_column: str = "",
    names_are_tasks: bool = False,
) -> Listing:
  """The files that `config.data.path` names.

  Args:
    path: a file, a directory or a glob; local or with a scheme (gs://…).
    scratch: a directory; what is remote is copied there once.
    split_column: says the split of each row; then file names need not.
    names_are_tasks: a name that only ends or begins like a split, such as
      `taking_a_test`, is one only beside the other splits of that name.

  Returns:
    At least one file, sorted by name.

  Raises:
    InputError: nothing is there that can be read, something looks like data
      and cannot, or some files are called like held-out splits and some are
      called like none.
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
    listing = _listing(root, path if "://" in path else "", scratch.parent)
  except (OSError, ValueError) as error:
    reason = getattr(error, "strerror", None) or error
    raise errors.InputError(
        f"config.data.path: {path!r} cannot be read ({reason})."
    ) from error
  if not listing.files:
    raise errors.InputError(
        f"config.data.path: {path!r} has no file that can be read."
        f" It must be a file ({', '.join(_FORMATS)}; also with"
        f" {', '.join(_PACKED)}), a directory of such files, or a glob."
    )
  if split_column:
    return listing
  found = listing.files
  if names_are_tasks:
    found = _without_lone(found)
  return listing._replace(files=_check_splits(found, path))


def _without_lone(files: list[File]) -> list[File]:
  """The files; parts of names that no other file shares are no splits."""
  bases = [split_names.without(f.name, bool(f.split)) for f in files]
  splits: dict[str, set[str]] = {}
  for file, base in zip(files, bases, strict=True):
    splits.setdefault(base, set()).add(file.split)
  return [
      file._replace(split="")
      if _is_part(file) and len(splits[base]) == 1
      else file
      for file, base in zip(files, bases, strict=True)
  ]


def _is_part(file: File) -> bool:
  """Whether only a part of the file's own name tells its split."""
  stem = file.name.rpartition("/")[2]
  told = split_names.in_name(stem)
  return (
      bool(told) and file.split == told and not split_names.in_path(file.name)
  )


def _check_splits(files: list[File], path: str) -> list[File]:
  """The files with their splits, if all of them have one; else without.

  Raises:
    InputError: one is a held-out split's, and another is no split's: neither
      can be told from training data.
  """
  if all(file.split for file in files):
    return files
  heldout = [file for file in files if file.split not in ("", suite.TRAIN)]
  if heldout:
    plain = next(file for file in files if not file.split)
    raise errors.InputError(
        f"config.data.path: {path!r}: {heldout[0].path.name} is named after"
        f" the split {heldout[0].split!r}, but {plain.path.name} after none, so"
        " that held-out rows could be trained on. Name each file after its"
        " split (train-1, train-2, …), name the files to read by a glob, or"
        " name a column that has the split (config.data.fields.split of table"
        " and chat)."
    )
  return [file._replace(split="") for file in files]


def _listing(
    root: pathlib.Path, remote_path: str, workdir: pathlib.Path
) -> Listing:
  """The files at a local path, which may be the copy of a remote one."""
  if remote.is_glob(remote_path):
    there = list(_walk(root, set()))
    read = _known(there, root)
    return Listing(read, _unread(root, read, there, remote_path))
  if root.is_dir():
    return _below(root, remote_path, workdir)
  if root.is_file():
    return Listing(_known([root], root.parent, alone=True), {})
  matches = sorted(map(pathlib.Path, glob.glob(str(root), recursive=True)))
  if len(matches) == 1 and matches[0].is_dir():
    return _below(matches[0], "", workdir)
  files = [path for path in matches if path.is_file()]
  parents = [path.parent for path in files]
  home = pathlib.Path(os.path.commonpath(parents or [root]))
  read = _known(files, home)
  if not read:
    return Listing([], {})
  left = _unread(home, read, files, str(home))
  # Directories that match a glob are not looked into.
  used = {parent for path in files for parent in path.parents}
  folders = [p for p in matches if p.is_dir() and p not in used]
  if folders:
    left["/"] = {"count": len(folders), "first": f"{folders[0].name}/"}
  return Listing(read, left)


def _below(
    root: pathlib.Path, remote_path: str, workdir: pathlib.Path
) -> Listing:
  """The files of a directory and of its directories."""
  read = _saved(root, root) or _known(_visible(root), root)
  if not (root / _STATE).is_file() and not (root / _SPLITS).is_file():
    for folder in filter(pathlib.Path.is_dir, _visible(root)):
      read += _saved(folder, root) or _known(_visible(folder), root)
  if not read:
    return Listing([], {})
  # A copy lies in the workdir, and the workdir may lie beside the data.
  own = set() if remote_path else {os.path.realpath(workdir / n) for n in _OWN}
  there = _walk(root, own)
  return Listing(read, _unread(root, read, there, remote_path or str(root)))


def _visible(root: pathlib.Path) -> list[pathlib.Path]:
  """What lies in a directory, sorted, but for hidden names."""
  return sorted(p for p in root.iterdir() if not p.name.startswith("."))


def _walk(folder: pathlib.Path, seen: set[str]) -> Iterator[pathlib.Path]:
  """All files below a directory, but for hidden names.

  Args:
    folder: the directory. One that may not be read stands for its files.
    seen: directories that are passed over; each is looked into once.
  """
  real = os.path.realpath(folder)
  if real in seen:
    return
  seen.add(real)
  try:
    visible = _visible(folder)
  except PermissionError:
    yield folder
    return
  for path in visible:
    if path.is_dir():
      yield from _walk(path, seen)
    else:
      yield path


def _unread(
    root: pathlib.Path,
    read: Sequence[File],
    there: Iterable[pathlib.Path],
    shown: str,
) -> dict[str, Any]:
  """Counts the files that are there and are not read; see `unread.check`."""
  taken = {file.path for file in read}
  left = [p for p in there if p not in taken and not unread.is_companion(p)]
  apart = {file.path for file in _known(left, root)}
  others = [path for path in left if path not in apart]
  return unread.check(root, others, apart, _FORMATS, shown)


def _saved(folder: pathlib.Path, root: pathlib.Path) -> list[File]:
  """The files of what `datasets` saved in a directory; [] if it did not."""
  if (folder / _SPLITS).is_file():
    where = folder / _SPLITS
    splits = _listed(where, "splits")
    for split in splits:
      inner = paths.resolve_inside(folder, str(split), f"{where}: splits")
      if not (inner / _STATE).is_file():
        raise errors.InputError(f"{where}: {split!r} is missing.")
    return [
        file._replace(split=str(split), folder=_name(folder.relative_to(root)))
        for split in splits
        for file in _saved(folder / str(split), root)
    ]
  if not (folder / _STATE).is_file():
    return []
  state = folder / _STATE
  names = [
      records.field(each, "filename", (str,), state)
      for each in _listed(state, "_data_files")
  ]
  where = f"{state}: _data_files"
  return _known(
      [paths.resolve_inside(folder, name, where) for name in names],
      root,
      even_if_missing=True,
  )


def _listed(path: pathlib.Path, field: str) -> list:
  """A list in a JSON file that `datasets` wrote."""
  return records.field(strict_json.read(path), field, (list,), path)


def _known(
    candidates: Iterable[pathlib.Path],
    root: pathlib.Path,
    even_if_missing: bool = False,
    alone: bool = False,
) -> list[File]:
  """The files among `candidates` whose format is known.

  Args:
    candidates: paths below `root`.
    root: what names are relative to.
    even_if_missing: take files that are not there, too.
    alone: it is the one file that the user names: whatever it is called, it is
      data, and it is a split only if its whole name is one.
  """
  files = []
  for path in candidates:
    packed = _PACKED.get(path.suffix.lower(), "")
    plain = path.with_suffix("") if packed else path
    kind = _FORMATS.get(plain.suffix.lower(), "")
    binary = kind in ("parquet", "arrow")
    if not kind or (packed and binary):
      continue
    if not alone and unread.is_companion(path):
      continue
    if path.is_file() or even_if_missing:
      stem = plain.with_suffix("").relative_to(root)
      folders = stem.parent.parts
      split = split_names.in_path(stem.as_posix())
      files.append(
          File(
              path=path,
              name=stem.as_posix(),
              folder="/".join(n for n in folders if not split_names.of_name(n)),
              format=kind,
              packed=packed,
              split=split or ("" if alone else split_names.in_name(stem.name)),
          )
      )
  return files


def _name(folder: pathlib.Path) -> str:
  """A directory's path as a name; "" for the root itself."""
  return "" if folder == pathlib.Path() else folder.as_posix()
