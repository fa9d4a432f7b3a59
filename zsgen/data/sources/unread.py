"""Handles files next to a source's data that are not read.

A file that looks like data is an error, so that no data is silently missing.
Other files are counted. Files that publishers usually add are ignored.
"""

from collections.abc import Iterable
import pathlib
import re
from typing import Any

from zsgen.core import errors
from zsgen.data.sources import records, split_names

# Files that describe data, or come with it.
_COMPANION = re.compile(
    r"(readme|licen[cs]e|copying|notice|citation|changelog)\b.*|.*\.md"
    r"|(dataset_infos?|dataset_dict|state|croissant)\.json"
    r"|.*\.(crc|md5|sha1|sha256|sha512)|(checksums?|(md5|sha\d+)sums?)\b.*"
    r"|_success|_metadata|_common_metadata|thumbs\.db|.*~|cache-.*\.arrow",
    re.IGNORECASE,
)
# Copies of what is read.
_BACKUPS = (".bak", ".orig", ".old", ".swp", ".tmp")
# Data that must be unpacked or converted.
_DATA = (
    *(".zip", ".tar", ".tgz", ".tbz2", ".txz", ".7z", ".rar", ".lz4", ".br"),
    *(".xlsx", ".xls", ".ods", ".orc", ".avro", ".tfrecord", ".tfrecords"),
)


# The most fields that are counted by name, and the name of all others.
_MAX_FIELDS = 1000
_OTHERS = "(others)"
# The most of a part of a source. If one has more, how many rows have a field
# may depend on the parts.
_MAX_FIELDS_OF_PART = 100_000


class Fields:
  """Counts fields of rows that are not read.

  Attributes:
    counts: the number of rows that have each, in the order of the first ones.
  """

  def __init__(self, of_part: bool = False):
    """Starts without a field; `of_part` allows for more of them."""
    self.counts: dict[str, int] = {}
    self._limit = _MAX_FIELDS_OF_PART if of_part else _MAX_FIELDS

  def add(self, name: str, rows: int = 1) -> None:
    """Counts a field by its name."""
    name = records.printable(name)
    if name not in self.counts and len(self.counts) >= self._limit:
      name = _OTHERS
    self.counts[name] = self.counts.get(name, 0) + rows


def is_companion(path: pathlib.Path) -> bool:
  """Returns whether publishers usually add such a file to data."""
  return bool(_COMPANION.fullmatch(path.name))


def check(
    root: pathlib.Path,
    paths: Iterable[pathlib.Path],
    nested: Iterable[pathlib.Path],
    formats: Iterable[str],
    display_path: str,
) -> dict[str, Any]:
  """Counts files that are not read, by their last suffix.

  Args:
    root: the directory that the user named, or its copy.
    paths: the files, without companions.
    nested: files of a known format in directories that are not read.
    formats: suffixes of files that can be read.
    display_path: the directory as the user named it, for messages.

  Returns:
    `count` and the `first` name of each suffix.

  Raises:
    InputError: one looks like data.
  """
  names = sorted(path.relative_to(root).as_posix() for path in nested)
  if names:
    suffix = pathlib.Path(names[0]).suffix
    # Buckets have no `**`: one depth at a time.
    deep = "/*" * names[0].count("/") if "://" in display_path else "/**"
    raise errors.InputError(
        f"config.data.path: {display_path!r}: {names[0]} is data that is not"
        f" read ({_files(len(names))}). In a directory, only its files and"
        " those one level below are read; in what `datasets` saved, only listed"
        " files. Move the file, or name the files to read by a glob:"
        f" --config.data.path='{display_path}{deep}/*{suffix}'."
    )
  paths = sorted(paths)
  data = [path for path in paths if _is_data(path, tuple(formats))]
  if data:
    first = data[0].relative_to(root).as_posix()
    raise errors.InputError(
        f"config.data.path: {display_path!r}: {first} looks like data, but"
        f" cannot be read ({_files(len(data))}). Unpack or convert it, move it"
        " away, or name the files to read by a glob, such as"
        f" --config.data.path='{display_path}/*.jsonl'."
    )
  counts: dict[str, Any] = {}
  for path in paths:
    name = records.printable(path.relative_to(root).as_posix())
    kind = counts.setdefault(path.suffix, {"count": 0, "first": name})
    kind["count"] += 1
  return counts


def _files(count: int) -> str:
  return "1 such file" if count == 1 else f"{count:,} such files"


def _is_data(path: pathlib.Path, formats: tuple[str, ...]) -> bool:
  """Returns whether a file that cannot be read seems to contain rows."""
  suffixes = [suffix.lower() for suffix in path.suffixes]
  last = suffixes[-1] if suffixes else ""
  if last in _BACKUPS:
    return False
  inner = any(suffix in formats for suffix in suffixes)
  is_split = bool(split_names.of_name(path.stem)) and last == ".txt"
  return inner or is_split or last in _DATA
