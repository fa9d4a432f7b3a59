"""Paths that data names: they stay in the directory that they belong to."""

import os
import pathlib

from zsgen import errors

# Characters of a name that a message shows.
_SHOWN = 100


def resolve_inside(
    directory: pathlib.Path, name: str, where: str
) -> pathlib.Path:
  """Returns the path of a file that some data names, if it is in a directory.

  Args:
    directory: what the name is relative to; it may be a symlink itself.
    name: the file or directory, as the data has it.
    where: the file and field that have the name, for the message.

  Returns:
    `directory / name`; it need not exist.

  Raises:
    InputError: the name is empty, absolute, no path of this system, or leads
      out of the directory, by `..` or by a symlink. Only in the hub's cache
      may symlinks lead to the blobs of the same repository.
  """
  if not _is_inside(directory, name):
    shown = name if len(name) <= _SHOWN else f"{name[:_SHOWN]}…"
    raise errors.InputError(
        f"{where}: {shown!r} must name a file inside {directory}. Files are not"
        " read from anywhere else: copy it there, and name it without '..'."
    )
  return directory / name


def _is_inside(directory: pathlib.Path, name: str) -> bool:
  """Whether a name is a path that stays in the directory."""
  parts = pathlib.PurePath(name.replace("\\", "/")).parts
  if not parts or os.path.isabs(name) or ".." in parts:
    return False
  path = directory / name
  try:
    path.lstat()
  except (FileNotFoundError, NotADirectoryError):
    pass
  except (OSError, ValueError):  # Too long, or with a NUL character.
    return False
  target = pathlib.Path(os.path.realpath(path))
  return any(target.is_relative_to(home) for home in _homes(directory))


def _homes(directory: pathlib.Path) -> list[pathlib.Path]:
  """The directory, and `blobs` where it is `…/snapshots/REVISION` or below."""
  home = pathlib.Path(os.path.realpath(directory))
  snapshots = [each for each in home.parents if each.name == "snapshots"]
  return [home, *(each.parent / "blobs" for each in snapshots[:1])]
