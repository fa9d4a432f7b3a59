"""The user's code: its module, the files that came with it, its errors."""

from collections.abc import Callable
import importlib
import pathlib
import sys
import sysconfig
from typing import Any

from zsgen.core import errors


class Loaded:
  """A module that is imported, and what it brings along.

  Attributes:
    name: the module's.
  """

  def __init__(self, name: str, before: frozenset[str]):
    self.name = name
    self._before = before

  def files(self) -> list[str]:
    """Returns the files of the module and of the user's modules it imports.

    Installed packages are left out: their versions are recorded instead.
    """
    files = [sys.modules[self.name].__file__]
    for name in sys.modules.keys() - self._before:
      file = getattr(sys.modules[name], "__file__", None)
      # TensorFlow makes modules of what it traces, and deletes them.
      if file and not name.startswith("__autograph") and not _installed(file):
        files.append(file)
    return sorted({file for file in files if file})


def load(name: str) -> Loaded:
  """Imports a module.

  Raises:
    InputError: it cannot be imported; has the last line of the error.
  """
  before = frozenset(sys.modules)
  guarded(
      lambda: importlib.import_module(name),
      f"config.data.module: {name!r} cannot be imported; it must be on the"
      " Python path and import without error",
  )
  return Loaded(name, before)


def _installed(file: str) -> bool:
  """Returns whether a file is Python's, an installed package's or zsgen's."""
  paths = sysconfig.get_paths()
  homes = [paths[key] for key in ("stdlib", "platstdlib", "purelib", "platlib")]
  homes.append(str(pathlib.Path(__file__).parents[3]))
  return any(pathlib.Path(file).is_relative_to(home) for home in homes)


def guarded(call: Callable[[], Any], message: str) -> Any:
  """Returns the result of a call.

  Raises:
    InputError: the call raised; `message` and the error's last line.
  """
  try:
    return call()
  except Exception as error:
    raise errors.InputError(f"{message} ({last_line(error)}).") from error


def last_line(error: Exception) -> str:
  """Returns an error's last line, without TensorFlow's nodes."""
  lines = [line.strip() for line in str(error).splitlines()]
  meaningful = [line for line in lines if line and not line.startswith("[[")]
  kind = type(error).__name__
  return f"{kind}: {meaningful[-1]}" if meaningful else kind
