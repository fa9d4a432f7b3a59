"""A step compiled ahead of time, and what the compiler says of it."""

import re
import time
from typing import Any, NamedTuple

import jax

from zsgen.planning import hlo

# What the TPU's compiler says of a program that does not fit: at the end, and
# where it knows beforehand.
_SIZE = r"([\d.]+)([KMGT])"
_USED = (
    re.compile(rf"Used {_SIZE} of {_SIZE} hbm"),
    re.compile(rf"\({_SIZE}\) exceeds available HBM \({_SIZE}\)"),
)
_UNITS = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


class Compiled(NamedTuple):
  """What the compiler says of the step.

  Attributes:
    seconds: that it took to compile.
    held: bytes on each device between steps, the batch among them.
    temporary: bytes on each device during a step, gradients among them.
    copied: bytes of results that do not take the place of arguments.
    code: bytes of the program on each device.
    collectives: by kind, on each device.
  """

  seconds: float
  held: int
  temporary: int
  copied: int
  code: int
  collectives: dict[str, hlo.Collective]

  @property
  def total(self) -> int:
    """Bytes on each device at the most."""
    return self.held + self.temporary + self.copied + self.code


def compiled(
    traced: Any, mesh: jax.sharding.Mesh, limit: int
) -> tuple[Compiled | None, int, int]:
  """Compiles a step; nothing is computed.

  Args:
    traced: the step, as `jax.jit(…).trace(…)` gives it.
    mesh: where.
    limit: bytes of each device; 0 if not known.

  Returns:
    What the compiler says, bytes used and bytes that there are. It says
    nothing where it gave up for want of memory: then the numbers are its own.
  """
  begin = time.monotonic()
  try:
    made = traced.lower().compile()
  except jax.errors.JaxRuntimeError as error:
    found = [each.search(str(error)) for each in _USED]
    if not any(found):
      raise
    used, unit, there, there_unit = next(filter(None, found)).groups()
    return (
        None,
        int(float(used) * _UNITS[unit]),
        int(float(there) * _UNITS[there_unit]),
    )
  seconds, found = time.monotonic() - begin, made.memory_analysis()
  said = Compiled(
      seconds=seconds,
      held=found.argument_size_in_bytes,
      temporary=found.temp_size_in_bytes,
      copied=found.output_size_in_bytes - found.alias_size_in_bytes,
      code=found.generated_code_size_in_bytes,
      collectives=hlo.collectives(made.as_text(), mesh.size),
  )
  return said, said.total, limit
