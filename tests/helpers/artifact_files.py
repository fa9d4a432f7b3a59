"""Reads the files of artifacts, to compare them byte by byte."""

import pathlib

from zsgen.core import artifacts


def read_all(root: pathlib.Path) -> dict[str, bytes]:
  """Returns the content of every file below a directory, hidden ones too.

  The provenance has the time and the command, and so it is left out.
  """
  return {
      str(path.relative_to(root)): path.read_bytes()
      for path in root.rglob("*")
      if path.is_file() and path.name != artifacts.PROVENANCE
  }


def assert_same(root: pathlib.Path, expected: pathlib.Path) -> None:
  """Asserts that two directories have the same files but the provenance."""
  files = read_all(expected)
  assert files and read_all(root) == files
