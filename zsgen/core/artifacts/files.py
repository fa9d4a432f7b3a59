"""The files of an artifact, and what is wrong with them."""

from collections.abc import Iterator, Mapping
import pathlib
from typing import Any

from zsgen.core import errors
from zsgen.core.artifacts import hashing, naming

# By a file's name: its length ("bytes"; older versions did not write it) and
# its SHA-256 in hex ("sha256").
Files = Mapping[str, Mapping[str, Any]]


def describe_files(path: pathlib.Path) -> dict[str, dict[str, Any]]:
  """Returns length and SHA-256 of all files under a directory, by name."""
  files = sorted(file for file in path.rglob("*") if file.is_file())
  return {
      file.relative_to(path).as_posix(): {
          "bytes": file.stat().st_size,
          "sha256": hashing.file_digest(file),
      }
      for file in files
  }


def file_problems(path: pathlib.Path, files: Files) -> Iterator[str]:
  """Compares the files of an artifact with what was written.

  Args:
    path: its directory.
    files: the field `files` of its manifest, or a part of it.

  Yields:
    A sentence for each file that is missing or was changed.
  """
  for name, written in files.items():
    file, advice = path / name, naming.advise(path)
    if not file.is_file():
      yield f"{file}: is missing, the artifact is damaged; {advice}."
      continue
    size = file.stat().st_size
    if size != written.get("bytes", size):
      yield (
          f"{file}: is damaged: it has {size:,} bytes, but"
          f" {written['bytes']:,} were written; {advice}."
      )
    elif hashing.file_digest(file) != written["sha256"]:
      yield (
          f"{file}: is damaged: its SHA-256 is not the one that was written;"
          f" {advice}."
      )


def check_files(path: pathlib.Path, files: Files) -> None:
  """Raises InputError for the first of `file_problems`."""
  for problem in file_problems(path, files):
    raise errors.InputError(problem)
