"""Compiled programs in a workdir, checked before JAX reads them.

JAX keeps a compiled program under a hash of what it was compiled from, but does
not check the program itself: a damaged or exchanged entry ends in a traceback,
or computes something else. So each entry gets a file with its SHA-256, and
entries without a matching one are deleted when a process starts.
"""

import atexit
import functools
import hashlib
import os
import pathlib

import jax

_DIGEST = ".sha256"
# What JAX names its entries, and the suffix of a file that is being written.
_ENTRIES, _PARTIAL = "*-cache", ".partial"


def keep(directory: pathlib.Path) -> int:
  """Makes JAX keep compiled programs in a directory, and checks those in it.

  If JAX_COMPILATION_CACHE_DIR is set, JAX uses that directory, unchecked.

  Args:
    directory: the directory, which is created when a program is compiled.

  Returns:
    The number of programs that were deleted because they are not the ones that
    were compiled. They are compiled again.
  """
  if os.environ.get("JAX_COMPILATION_CACHE_DIR"):
    return 0
  directory = directory.absolute()
  deleted = delete_damaged(directory)
  jax.config.update("jax_compilation_cache_dir", str(directory))
  jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
  jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
  _seal_at_exit(directory)
  return deleted


def delete_damaged(directory: pathlib.Path) -> int:
  """Deletes programs without a matching digest.

  A program has no digest if its process was killed before it called `seal`.

  Returns:
    The number of programs whose digest does not match.
  """
  damaged = 0
  for entry in _entries(directory):
    digest = _read(_digest_path(entry))
    if digest != _hash(entry):
      damaged += digest is not None
      entry.unlink(missing_ok=True)
      _digest_path(entry).unlink(missing_ok=True)
  return damaged


def seal(directory: pathlib.Path | None = None) -> None:
  """Writes the digests of programs that were compiled since the last call.

  Args:
    directory: the directory; by default, the one that JAX uses.
  """
  if directory is None:
    if os.environ.get("JAX_COMPILATION_CACHE_DIR"):
      return
    name = jax.config.values.get("jax_compilation_cache_dir")
    if not name:
      return
    directory = pathlib.Path(name)
  for entry in _entries(directory):
    path = _digest_path(entry)
    if path.exists():
      continue
    digest = _hash(entry)
    if digest is None:  # Another process has deleted it.
      continue
    partial = path.with_name(f"{path.name}.{os.getpid()}{_PARTIAL}")
    partial.write_bytes(digest)
    partial.replace(path)


@functools.cache
def _seal_at_exit(directory: pathlib.Path) -> None:
  atexit.register(seal, directory)


def _entries(directory: pathlib.Path) -> list[pathlib.Path]:
  return sorted(directory.glob(_ENTRIES))


def _digest_path(entry: pathlib.Path) -> pathlib.Path:
  return entry.with_name(entry.name + _DIGEST)


def _hash(entry: pathlib.Path) -> bytes | None:
  """Returns the SHA-256 of a file in hexadecimal; None if it is gone."""
  content = _read(entry)
  if content is None:
    return None
  return hashlib.sha256(content).hexdigest().encode()


def _read(path: pathlib.Path) -> bytes | None:
  """Returns the content of a file, or None if there is none."""
  try:
    return path.read_bytes()
  except FileNotFoundError:
    return None
