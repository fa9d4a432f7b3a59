"""The user's module: imported, and the files that came with it."""

import importlib
import pathlib
import sys
import sysconfig

from zsgen.data.sources.child import failures


class Loaded:
  """A module that is imported, and what it brings along.

  Attributes:
    name: the module's.
  """

  def __init__(self, name: str, before: frozenset[str]):
    self.name = name
    self._before = before

  def files(self) -> list[str]:
    """The module's file and those of all modules of the user's it imported.

    What is installed is left out: versions tell it.
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
    InputError: it does not import; says its last line.
  """
  before = frozenset(sys.modules)
  failures.guarded(
      lambda: importlib.import_module(name),
      f"config.data.module: {name!r} cannot be imported; it must be on the"
      " Python path and import without error",
  )
  return Loaded(name, before)


def _installed(file: str) -> bool:
  """Whether a file is Python's, an installed package's, or zsgen's."""
  paths = sysconfig.get_paths()
  homes = [paths[key] for key in ("stdlib", "platstdlib", "purelib", "platlib")]
  homes.append(str(pathlib.Path(__file__).parents[3]))
  return any(pathlib.Path(file).is_relative_to(home) for home in homes)
