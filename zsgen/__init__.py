"""zsgen: what the order of instruction data does to zero-shot learning.

The public names are imported when they are first used, so that tools on stores
and orders start without JAX.
"""

import importlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
  from zsgen.core.config import defaults as default_config
  from zsgen.core.errors import InputError
  from zsgen.core.registry import arrangement as register_arrangement
  from zsgen.core.registry import embedder as register_embedder
  from zsgen.core.registry import evaluator as register_evaluator
  from zsgen.core.registry import model_family as register_model_family
  from zsgen.core.registry import prompt as register_prompt
  from zsgen.core.registry import schedule as register_schedule
  from zsgen.core.registry import source as register_source
  from zsgen.core.registry import template as register_template
  from zsgen.core.registry import tokenizer as register_tokenizer
  from zsgen.core.schema import option
  from zsgen.loading import (
      compare,
      load_beside,
      load_order,
      load_run,
      load_store,
  )
  from zsgen.pipeline import run

# Otherwise etils selects TensorFlow's file systems for the whole process if
# TensorFlow is installed.
os.environ.setdefault("EPATH_USE_TF", "0")

__version__ = "0.2.0"

__all__ = [
    "InputError",
    "__version__",
    "compare",
    "default_config",
    "load_beside",
    "load_order",
    "load_run",
    "load_store",
    "option",
    "register_arrangement",
    "register_embedder",
    "register_evaluator",
    "register_model_family",
    "register_prompt",
    "register_schedule",
    "register_source",
    "register_template",
    "register_tokenizer",
    "run",
]

# The module and the name behind each public name except register_KIND.
_PUBLIC = {
    "InputError": ("zsgen.core.errors", "InputError"),
    "compare": ("zsgen.loading", "compare"),
    "default_config": ("zsgen.core.config", "defaults"),
    "load_beside": ("zsgen.loading", "load_beside"),
    "load_order": ("zsgen.loading", "load_order"),
    "load_run": ("zsgen.loading", "load_run"),
    "load_store": ("zsgen.loading", "load_store"),
    "option": ("zsgen.core.schema", "option"),
    "run": ("zsgen.pipeline", "run"),
}
_REGISTER = "register_"


def __getattr__(name: str) -> object:
  """Imports a public name when it is first used."""
  if name not in __all__:
    raise AttributeError(f"module 'zsgen' has no attribute {name!r}")
  if name.startswith(_REGISTER):
    module, attribute = "zsgen.core.registry", name.removeprefix(_REGISTER)
  else:
    module, attribute = _PUBLIC[name]
  return getattr(importlib.import_module(module), attribute)


def __dir__() -> list[str]:
  return sorted({*globals(), *__all__})
