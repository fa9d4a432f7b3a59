"""zsgen: what the order of instruction data does to zero-shot learning.

The public names are imported when they are first used, so that tools for
stores and orders start without JAX.
"""

import importlib
import os
from typing import Any

# Otherwise etils selects TensorFlow's file systems for the whole process if
# TensorFlow is installed.
os.environ.setdefault("EPATH_USE_TF", "0")

# Public names, and the module and name behind each.
_PUBLIC = {
    "InputError": ("zsgen.core.errors", "InputError"),
    "default_config": ("zsgen.core.config", "defaults"),
    "run": ("zsgen.pipeline", "run"),
}

__all__ = ["InputError", "default_config", "run"]


def __getattr__(name: str) -> Any:
  """Imports a public name when it is first used."""
  if name not in _PUBLIC:
    raise AttributeError(f"module 'zsgen' has no attribute {name!r}")
  module, attribute = _PUBLIC[name]
  return getattr(importlib.import_module(module), attribute)


def __dir__() -> list[str]:
  return sorted([*globals(), *_PUBLIC])
