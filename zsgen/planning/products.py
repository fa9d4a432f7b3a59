"""FLOPs of a program as it was traced: products, with what remat repeats.

Norms, activations and the like are not counted; kernels are as they estimate
themselves, or not (`opaque`). Compilers count too, but a loop's body once.
"""

from collections.abc import Iterator
import math
from typing import Any

import jax


def flops(jaxpr: Any) -> int:
  """FLOPs of a run, of all devices together.

  Args:
    jaxpr: of the program, closed or open.
  """
  total = 0
  for eqn in getattr(jaxpr, "jaxpr", jaxpr).eqns:
    name, params = eqn.primitive.name, eqn.params
    if name == "dot_general":
      total += _product(eqn)
    elif name == "pallas_call":
      estimate = params.get("cost_estimate")
      total += int(estimate.flops) if estimate else 0
    else:
      inner = [flops(each) for each in _inside(params)]
      each = max(inner) if name == "cond" else sum(inner)
      total += each * _times(name, params)
  return total


def opaque(jaxpr: Any) -> bool:
  """Whether a kernel runs that makes no estimate of itself.

  Args:
    jaxpr: of the program, closed or open.
  """
  return any(
      not eqn.params.get("cost_estimate")
      if eqn.primitive.name == "pallas_call"
      else any(map(opaque, _inside(eqn.params)))
      for eqn in getattr(jaxpr, "jaxpr", jaxpr).eqns
  )


def _times(name: str, params: dict[str, Any]) -> int:
  """How often an equation runs what is in it."""
  if name == "scan":
    return params["length"]
  if name == "shard_map":  # What is in it is of one device.
    return params["mesh"].size
  return 1


def _product(eqn: Any) -> int:
  (contracted, _), _ = eqn.params["dimension_numbers"]
  left = eqn.invars[0].aval.shape
  inner = math.prod(left[axis] for axis in contracted)
  return 2 * inner * math.prod(eqn.outvars[0].aval.shape)


def _inside(params: dict[str, Any]) -> Iterator[Any]:
  """Programs that an equation runs."""
  for leaf in jax.tree.leaves(params, is_leaf=_is_program):
    if _is_program(leaf):
      yield leaf


def _is_program(value: Any) -> bool:
  return hasattr(getattr(value, "jaxpr", value), "eqns")
