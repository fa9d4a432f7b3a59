"""Counts the FLOPs of a traced program: products, including rematerialization.

Norms, activations and the like are not counted. Kernels count as they estimate
themselves, if they do (`opaque`); loops whose length is only known when they
run do not count. Compilers count the body of a loop only once.
"""

from collections.abc import Iterator
import math
from typing import Any

import jax


def flops(jaxpr: Any) -> int:
  """Returns the FLOPs of a run, over all devices.

  Args:
    jaxpr: the program, closed or open.
  """
  total = 0
  for eqn in getattr(jaxpr, "jaxpr", jaxpr).eqns:
    name, params = eqn.primitive.name, eqn.params
    if name == "dot_general":
      total += _product(eqn)
    elif name == "pallas_call":
      estimate = params.get("cost_estimate")
      total += int(estimate.flops) if estimate else 0
    elif name != "while":
      inner = [flops(program) for program in _subprograms(params)]
      per_run = max(inner) if name == "cond" else sum(inner)
      total += per_run * _times(name, params)
  return total


def opaque(jaxpr: Any) -> bool:
  """Returns whether the program has products that `flops` does not count.

  They are in kernels without a cost estimate and in loops of unknown length.

  Args:
    jaxpr: the program, closed or open.
  """
  return any(_is_opaque(eqn) for eqn in getattr(jaxpr, "jaxpr", jaxpr).eqns)


def _is_opaque(eqn: Any) -> bool:
  """Returns whether an equation has products that cannot be counted."""
  name, params = eqn.primitive.name, eqn.params
  if name == "pallas_call":
    return not params.get("cost_estimate")
  programs = list(_subprograms(params))
  if name == "while" and any(flops(program) for program in programs):
    return True
  return any(map(opaque, programs))


def _times(name: str, params: dict[str, Any]) -> int:
  """Returns how often an equation runs its subprograms."""
  if name == "scan":
    return params["length"]
  if name == "shard_map":  # Its subprogram is for one device.
    return params["mesh"].size
  return 1


def _product(eqn: Any) -> int:
  """Returns the operations of one matrix product."""
  (contracted, _), _ = eqn.params["dimension_numbers"]
  left = eqn.invars[0].aval.shape
  inner = math.prod(left[axis] for axis in contracted)
  return 2 * inner * math.prod(eqn.outvars[0].aval.shape)


def _subprograms(params: dict[str, Any]) -> Iterator[Any]:
  """Yields the programs that an equation runs."""
  for leaf in jax.tree.leaves(params, is_leaf=_is_program):
    if _is_program(leaf):
      yield leaf


def _is_program(value: Any) -> bool:
  return hasattr(getattr(value, "jaxpr", value), "eqns")
