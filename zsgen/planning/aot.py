"""Compiles a step ahead of time and reads the compiler's memory analysis."""

import re
import time
from typing import Any, NamedTuple

import jax

from zsgen.planning import hlo

# Messages of the TPU's compiler about programs that do not fit, after and
# before it compiles them.
_SIZE = r"([\d.]+)([KMGT])"
_USED = (
    re.compile(rf"Used {_SIZE} of {_SIZE} hbm"),
    re.compile(rf"\({_SIZE}\) exceeds available HBM \({_SIZE}\)"),
)
_UNITS = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


class Compiled(NamedTuple):
  """The compiler's analysis of the step.

  Attributes:
    seconds: compilation time.
    arguments: bytes on each device between steps, including the batch.
    temporary: bytes on each device during a step, including gradients.
    copied: bytes of results that do not reuse the memory of arguments.
    code: bytes of the program on each device.
    collectives: the collectives of each device, by kind; on several TPU slices,
      what is between them is in `transfers` instead.
    transfers: the transfers between slices, by kind of collective.
  """

  seconds: float
  arguments: int
  temporary: int
  copied: int
  code: int
  collectives: dict[str, hlo.Collective]
  transfers: dict[str, hlo.Collective]

  @property
  def total(self) -> int:
    """The largest number of bytes on each device."""
    return self.arguments + self.temporary + self.copied + self.code


def compile_step(
    traced: Any, mesh: jax.sharding.Mesh, limit: int
) -> tuple[Compiled | None, int, int]:
  """Compiles a step without running it.

  Args:
    traced: the traced step, as returned by `jax.jit(…).trace(…)`.
    mesh: the mesh.
    limit: memory of each device in bytes; 0 if unknown.

  Returns:
    The analysis, the bytes used and the bytes available. If the compiler runs
    out of memory, the analysis is None, and the bytes are from its message.
  """
  begin = time.monotonic()
  try:
    executable = traced.lower().compile()
  except jax.errors.JaxRuntimeError as error:
    matches = [pattern.search(str(error)) for pattern in _USED]
    if not any(matches):
      raise
    used, unit, available, available_unit = next(filter(None, matches)).groups()
    return (
        None,
        int(float(used) * _UNITS[unit]),
        int(float(available) * _UNITS[available_unit]),
    )
  seconds = time.monotonic() - begin
  memory, text = executable.memory_analysis(), executable.as_text()
  analysis = Compiled(
      seconds=seconds,
      arguments=memory.argument_size_in_bytes,
      temporary=memory.temp_size_in_bytes,
      copied=memory.output_size_in_bytes - memory.alias_size_in_bytes,
      code=memory.generated_code_size_in_bytes,
      collectives=hlo.collectives(text, mesh.size),
      transfers=hlo.transfers(text),
  )
  return analysis, analysis.total, limit
