"""A function for Flax's transformations, so that they derive no class.

`nn.scan` and `nn.remat` of a class derive another class, for which Flax takes
fields out of `nn.Module` and puts them back. Until then, other threads that
trace a model fail or read wrong fields. Training traces in two threads: one
evaluates while the other compiles the next step. With a function, nothing
global changes.
"""

from typing import Any

from flax import linen as nn


def call(module: nn.Module, *inputs: Any) -> Any:
  """Calls a module."""
  return module(*inputs)
