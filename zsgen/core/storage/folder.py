"""The files of a local directory, with the methods that a lease needs."""

from collections.abc import Iterable
import datetime
import os
import pathlib
import uuid

from zsgen.core.storage import bucket


class Folder:
  """The files of a directory, by their names relative to it.

  Args:
    path: the directory; it is made when something is written.
  """

  def __init__(self, path: pathlib.Path):
    self.url = str(path)
    self._path = path

  def list(self, prefix: str = "") -> dict[str, bucket.Entry]:
    """Returns the files in a directory, by name; hidden ones are left out."""
    root = self._path / prefix if prefix else self._path
    entries = {}
    for file in sorted(root.rglob("[!.]*")):
      if modified := self.modified(name := str(file.relative_to(self._path))):
        entries[name] = bucket.Entry(file.stat().st_size, modified)
    return entries

  def read(self, name: str) -> bytes | None:
    """Returns the content of a file; None if there is none."""
    try:
      return (self._path / name).read_bytes()
    except FileNotFoundError:
      return None

  def create(self, name: str, data: bytes) -> bool:
    """Writes a file unless there is one; returns whether it did."""
    file = self._path / name
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name}.{uuid.uuid4().hex[:12]}")
    try:
      temporary.write_bytes(data)
      os.link(temporary, file)  # In full, and only if there is none.
      return True
    except FileExistsError:
      return False
    finally:
      temporary.unlink(missing_ok=True)

  def modified(self, name: str) -> datetime.datetime | None:
    """Returns when a file was written, by the file system's clock, or None."""
    try:
      seconds = (self._path / name).stat().st_mtime
    except FileNotFoundError:
      return None
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC)

  def delete(self, names: Iterable[str]) -> None:
    """Deletes files; those that are not there are ignored."""
    for name in names:
      (self._path / name).unlink(missing_ok=True)
