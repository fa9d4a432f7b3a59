"""Directories that are made once for all tests of a session.

The workers of pytest-xdist are processes, so a lock on a file decides which of
them makes a directory; the others wait for it.
"""

from collections.abc import Callable, Iterator, Sequence
import contextlib
import fcntl
import hashlib
import os
import pathlib
import shutil

import ml_collections
import pytest

import zsgen


def root(factory: pytest.TempPathFactory) -> pathlib.Path:
  """Returns the directory that all workers of this session share."""
  base = factory.getbasetemp()
  session_directory = (
      base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
  )
  path = session_directory / "shared"
  path.mkdir(exist_ok=True)
  return path


def make_once(
    path: pathlib.Path, make: Callable[[pathlib.Path], object]
) -> pathlib.Path:
  """Returns a directory that exactly one worker has made.

  Args:
    path: the directory; tests only read it.
    make: fills it. If it raises, the next caller tries again.
  """
  marker = path.with_name(f"{path.name}.whole")
  with _lock(path.with_name(f"{path.name}.lock")):
    if not marker.exists():
      shutil.rmtree(path, ignore_errors=True)
      make(path)
      marker.touch()
  return path


@contextlib.contextmanager
def _lock(path: pathlib.Path) -> Iterator[None]:
  with path.open("w") as file:
    fcntl.flock(file, fcntl.LOCK_EX)
    yield


class Workdirs:
  """Workdirs of experiments; each config is run once in a session."""

  def __init__(self, directory: pathlib.Path):
    self._directory = directory

  def get(
      self, config: ml_collections.ConfigDict, *stages: str
  ) -> pathlib.Path:
    """Returns a workdir in which the stages were run; tests only read it."""
    text = config.to_json(sort_keys=True)
    key = hashlib.sha256(f"{stages} {text}".encode()).hexdigest()[:16]
    return make_once(
        self._directory / key, lambda path: zsgen.run(config, path, stages)
    )

  def run(
      self,
      config: ml_collections.ConfigDict,
      workdir: pathlib.Path,
      stages: Sequence[str] = ("train",),
  ):
    """Runs stages as `zsgen.run` does, in a copy of a finished workdir.

    Args:
      config: the options.
      workdir: where the copy goes, which tests may damage.
      stages: what is run.

    Returns:
      The result of `zsgen.run`.
    """
    finished = self.get(config, *stages)
    shutil.copytree(finished, workdir, symlinks=True, dirs_exist_ok=True)
    return zsgen.run(config, workdir, stages)
