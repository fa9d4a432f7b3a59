"""The files that a path names: one, a directory's, a glob's, or a bucket's.

Formats go by suffix: .jsonl, .ndjson and .json (lines, or an array), .csv,
.tsv, .parquet, .arrow and .feather; all but the binary ones also as .gz, .zst,
.bz2 and .xz. A directory that `datasets` saved is read by its own list of
files. A directory's files and those one level below it are read, sorted by
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
# Files that `datasets` writes next to its data.
_STATE, _SPLITS = "state.json", "dataset_dict.json"
# Directories of a workdir, which are not the user's data.
_WORKDIR_FOLDERS = (
    "stores",
    "orders",
    "embeddings",
    "scores",
    "runs",
    "evaluations",
    "scratch",
)


class File(NamedTuple):
  """A file of rows."""

  path: pathlib.Path
  # Its name below the given directory, without suffixes.
  name: str
  # Its directory below the given one; "" for none, and if the directory is
  # named after a split.
  folder: str
  format: str
  # "gzip", "zstd", "bz2", "xz" or "".
  packed: str
  # The split that its name or directory gives; "" if files have none.
  split: str


class Listing(NamedTuple):
  """What a path names."""

  files: list[File]
  # Other files next to them, by suffix; see `unread.check`.
  unread: Mapping[str, Any]


def find(
    path: str,
    scratch: pathlib.Path,
    split_column: str = "",
    names_are_tasks: bool = False,
) -> Listing:
  """Finds the files that `config.data.path` names.

  Args:
    path: a file, a directory or a glob; local or with a scheme (gs://…).
    scratch: a directory; remote files are copied there once.
    split_column: says the split of each row; then file names need not.
    names_are_tasks: a name that only ends or begins like a split, such as
      `taking_a_test`, is one only next to the other splits of that name.

  Returns:
    At least one file, sorted by name.

  Raises:
    InputError: there is no readable file, a file looks like data but cannot be
      read, or some files are named after held-out splits and some after none.
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
  selected = listing.files
  if names_are_tasks:
    selected = _without_lone(selected)
  return listing._replace(files=_check_splits(selected, path))


def _without_lone(files: list[File]) -> list[File]:
  """Clears splits in parts of names that no other file shares."""
  bases = [split_names.strip_split(f.name, bool(f.split)) for f in files]
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
  """Returns whether only a part of the file's own name gives its split."""
  stem = file.name.rpartition("/")[2]
  split = split_names.in_name(stem)
  return (
      bool(split) and file.split == split and not split_names.in_path(file.name)
  )


def _check_splits(files: list[File], path: str) -> list[File]:
  """Returns the files with their splits if all have one, otherwise without.

  Raises:
    InputError: one belongs to a held-out split and another to none, so that
      held-out rows could be trained on.
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
  """Lists the files at a local path, which may be a copy of a remote one."""
  if remote.is_glob(remote_path):
    present = list(_walk(root, set()))
    read = _known(present, root)
    return Listing(read, _unread(root, read, present, remote_path))
  if root.is_dir():
    return _below(root, remote_path, workdir)
  if root.is_file():
    return Listing(_known([root], root.parent, is_only_file=True), {})
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
  """Lists the files of a directory and of its subdirectories."""
  read = _saved(root, root) or _known(_visible(root), root)
  if not (root / _STATE).is_file() and not (root / _SPLITS).is_file():
    for folder in filter(pathlib.Path.is_dir, _visible(root)):
      read += _saved(folder, root) or _known(_visible(folder), root)
  if not read:
    return Listing([], {})
  # Copies are in the workdir, and the workdir may be next to the data.
  workdir_folders = (
      set()
      if remote_path
      else {os.path.realpath(workdir / n) for n in _WORKDIR_FOLDERS}
  )
  present = _walk(root, workdir_folders)
  return Listing(read, _unread(root, read, present, remote_path or str(root)))


def _visible(root: pathlib.Path) -> list[pathlib.Path]:
  """Returns the visible content of a directory, sorted."""
  return sorted(p for p in root.iterdir() if not p.name.startswith("."))


def _walk(folder: pathlib.Path, visited: set[str]) -> Iterator[pathlib.Path]:
  """Yields all files below a directory, except hidden ones.

  Args:
    folder: the directory. If it may not be read, it is yielded instead.
    visited: directories to skip; each directory is visited once.
  """
  real = os.path.realpath(folder)
  if real in visited:
    return
  visited.add(real)
  try:
    visible = _visible(folder)
  except PermissionError:
    yield folder
    return
  for path in visible:
    if path.is_dir():
      yield from _walk(path, visited)
    else:
      yield path


def _unread(
    root: pathlib.Path,
    read: Sequence[File],
    present: Iterable[pathlib.Path],
    display_path: str,
) -> dict[str, Any]:
  """Counts the files that exist but are not read; see `unread.check`."""
  read_paths = {file.path for file in read}
  left = [
      p for p in present if p not in read_paths and not unread.is_companion(p)
  ]
  nested = {file.path for file in _known(left, root)}
  other_files = [path for path in left if path not in nested]
  return unread.check(root, other_files, nested, _FORMATS, display_path)


def _saved(folder: pathlib.Path, root: pathlib.Path) -> list[File]:
  """Lists the files that `datasets` saved in a directory; [] if none."""
  if (folder / _SPLITS).is_file():
    location = folder / _SPLITS
    splits = _read_list(location, "splits")
    for split in splits:
      inner = paths.resolve_inside(folder, str(split), f"{location}: splits")
      if not (inner / _STATE).is_file():
        raise errors.InputError(f"{location}: {split!r} is missing.")
    return [
        file._replace(split=str(split), folder=_name(folder.relative_to(root)))
        for split in splits
        for file in _saved(folder / str(split), root)
    ]
  if not (folder / _STATE).is_file():
    return []
  state = folder / _STATE
  names = [
      records.field(entry, "filename", (str,), state)
      for entry in _read_list(state, "_data_files")
  ]
  location = f"{state}: _data_files"
  return _known(
      [paths.resolve_inside(folder, name, location) for name in names],
      root,
      even_if_missing=True,
  )


def _read_list(path: pathlib.Path, field: str) -> list:
  """Returns a list from a JSON file that `datasets` wrote."""
  return records.field(strict_json.read(path), field, (list,), path)


def _known(
    candidates: Iterable[pathlib.Path],
    root: pathlib.Path,
    even_if_missing: bool = False,
    is_only_file: bool = False,
) -> list[File]:
  """Returns the files among `candidates` whose format is known.

  Args:
    candidates: paths below `root`.
    root: the directory that names are relative to.
    even_if_missing: also return files that do not exist.
    is_only_file: whether the user names this one file: it is data, whatever
      its name, and it is a split only if its full name is one.
  """
  files = []
  for path in candidates:
    packed = _PACKED.get(path.suffix.lower(), "")
    plain = path.with_suffix("") if packed else path
    kind = _FORMATS.get(plain.suffix.lower(), "")
    binary = kind in ("parquet", "arrow")
    if not kind or (packed and binary):
      continue
    if not is_only_file and unread.is_companion(path):
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
              split=split
              or ("" if is_only_file else split_names.in_name(stem.name)),
          )
      )
  return files


def _name(folder: pathlib.Path) -> str:
  """Returns a directory's path as a name; "" for the root itself."""
  return "" if folder == pathlib.Path() else folder.as_posix()
