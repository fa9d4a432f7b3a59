"""Rows that cannot be read where they stand, copied to one file."""

import errno
import os
import pathlib
import tempfile
from typing import BinaryIO

from zsgen.core import errors


class Copies:
  """Rows as lines of JSON in a file that goes when it is closed."""

  def __init__(self, scratch: pathlib.Path):
    self._scratch = scratch
    self._file: BinaryIO | None = None
    self._end = 0

  def add(self, line: bytes) -> int:
    """Adds a row; returns its first byte.

    Raises:
      InputError: the directory cannot be written to, or is full.
    """
    try:
      if self._file is None:
        self._scratch.mkdir(parents=True, exist_ok=True)
        self._file = tempfile.TemporaryFile(dir=self._scratch, buffering=0)
      written = self._file.write(line)
      if written < len(line):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    except OSError as error:
      raise errors.InputError(
          f"{self._scratch}: rows of packed or binary files cannot be copied"
          f" here ({error.strerror}). Make room, or use another workdir."
      ) from error
    self._end += written
    return self._end - written

  def read(self, begin: int, length: int) -> bytes:
    """A row's line."""
    return os.pread(self._file.fileno(), length, begin)

  def __del__(self):
    if self._file is not None:
      self._file.close()
