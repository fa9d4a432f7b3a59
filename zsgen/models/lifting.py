"""What Flax transforms: a function, never a class.

`nn.scan` and `nn.remat` of a class derive a new class, and meanwhile Flax takes
fields out of `nn.Module` itself. Another thread that traces a model at that
moment fails or reads the wrong fields, and this package traces in two threads:
one runs evaluations while the other compiles the next step. Of a function no
class is derived.
"""

from typing import Any

from flax import linen as nn


def call(module: nn.Module, *inputs: Any) -> Any:
  """Calls a module."""
  return module(*inputs)
