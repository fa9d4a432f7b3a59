"""Versions of this package and of the libraries that results depend on."""

import functools
import hashlib
import importlib.metadata
import pathlib
import platform
import subprocess
import sys
from typing import Any

# Libraries that affect what all processes compute or agree on.
LIBRARIES = (
    "zsgen",
    "jax",
    "jaxlib",
    "flax",
    "numpy",
    "optax",
    "orbax-checkpoint",
    "scipy",
    "tokenizers",
)
# Libraries of devices, if they are installed.
_OF_DEVICES = ("libtpu", "jax-cuda12-plugin", "jax-cuda13-plugin")
_PACKAGE = pathlib.Path(__file__).parents[1]
# Seconds for git, which answers in a few milliseconds.
_TIMEOUT = 10


@functools.cache
def version(library: str) -> str:
  """Returns the version of a library; "" if it is not installed."""
  try:
    return importlib.metadata.version(library)
  except importlib.metadata.PackageNotFoundError:
    return ""


@functools.cache
def versions() -> dict[str, str]:
  """Returns the versions of Python, of this code and of installed libraries."""
  # A checkout may be imported while another version is installed.
  code_version = str(sys.modules[_PACKAGE.name].__version__)
  known = {name: version(name) for name in (*LIBRARIES, *_OF_DEVICES)}
  libraries = {name: known[name] for name in known if known[name]}
  return {
      "python": platform.python_version(),
      **libraries,
      "zsgen": code_version,
  }


@functools.cache
def sources() -> dict[str, str]:
  """Returns a digest of each source file of this package."""
  return {
      f"the file zsgen/{path.relative_to(_PACKAGE).as_posix()}": (
          hashlib.sha256(path.read_bytes()).hexdigest()[:12]
      )
      for path in sorted(_PACKAGE.rglob("*.py"))
  }


@functools.cache
def commit(package: pathlib.Path = _PACKAGE) -> dict[str, Any]:
  """Returns the commit that the package's code is of.

  Args:
    package: the directory of the code.

  Returns:
    `commit`, and whether the code differs from it (`is_modified`); {} if the
    package is not in a checkout, or there is no git.
  """
  if not (package.parent / ".git").exists():
    return {}
  try:
    head = _git(package, "rev-parse", "HEAD").strip()
    changes = _git(package, "status", "--porcelain", "--", package.name)
  except (OSError, subprocess.SubprocessError):
    return {}
  return {"commit": head, "is_modified": bool(changes.strip())}


def _git(package: pathlib.Path, *arguments: str) -> str:
  """Returns what a git command prints about the package's checkout."""
  # Without locks: a command of the user may run at the same time.
  command = ["git", "--no-optional-locks", "-C", str(package.parent)]
  return subprocess.run(
      [*command, *arguments],
      check=True,
      capture_output=True,
      text=True,
      timeout=_TIMEOUT,
  ).stdout
