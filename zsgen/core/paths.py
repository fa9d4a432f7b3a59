"""Resolves paths that data names, and keeps them inside their directory."""

import os
import pathlib

from zsgen.core import errors

# Characters of a name that a message shows.
_LONGEST = 100


def resolve_inside(
    directory: pathlib.Path, name: str, source: str
) -> pathlib.Path:
  """Returns the path of a file named by data, checked to be in a directory.

  Args:
    directory: the directory that the name is relative to; may be a symlink.
    name: the name of the file or directory, as in the data.
    source: the file and field that contain the name, for the message.

  Returns:
    `directory / name`; it need not exist.

  Raises:
    InputError: the name is empty, absolute, not a valid path on this system,
      or leads out of the directory by `..` or by a symlink. In the hub's
      cache, symlinks may lead to the blobs of the same repository.
  """
  if not _is_inside(directory, name):
    shortened = name if len(name) <= _LONGEST else f"{name[:_LONGEST]}…"
    raise errors.InputError(
        f"{source}: {shortened!r} must name a file inside {directory}. Files are not"
        " read from anywhere else: copy the file there, and use a name without"
        " '..'."
    )
  return directory / name


def _is_inside(directory: pathlib.Path, name: str) -> bool:
  """Returns whether a name is a path that stays in the directory."""
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
  """Returns the directory, and `blobs` if it is in `…/snapshots/REVISION`."""
  home = pathlib.Path(os.path.realpath(directory))
  snapshots = [parent for parent in home.parents if parent.name == "snapshots"]
  return [home, *(path.parent / "blobs" for path in snapshots[:1])]
