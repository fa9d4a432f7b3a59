"""One evaluation of every member of a population."""

from collections.abc import Callable, Sequence
import functools
from typing import Any

import jax
import numpy as np

from zsgen.evals import api, packed
from zsgen.train import batches, population


def together(
    members: Sequence[api.Evaluator], sharding: jax.sharding.NamedSharding
) -> Callable[[Any], list[api.Evaluation]]:
  """The evaluation of all members, given their stacked parameters.

  What is packed is computed as one program; other evaluations one by one.

  Args:
    members: the same evaluation of each.
    sharding: of arrays with the members as their first axis.
  """
  if not all(hasattr(each, "packed") for each in members):
    return functools.partial(_one_by_one, members)
  rows = Together([each.packed for each in members], sharding)

  def evaluate(params: Any) -> list[api.Evaluation]:
    found = rows(params)
    return [
        each.judged(values) for each, values in zip(members, found, strict=True)
    ]

  return evaluate


def _one_by_one(
    members: Sequence[api.Evaluator], params: Any
) -> list[api.Evaluation]:
  return [
      each(jax.tree.map(lambda leaf, i=i: leaf[i], params))
      for i, each in enumerate(members)
  ]


class Together:
  """`packed.Packed` of each member of a population, as one program.

  Args:
    members: of one `reduce`.
    sharding: of arrays with the members as their first axis.
  """

  def __init__(
      self,
      members: Sequence[packed.Packed],
      sharding: jax.sharding.NamedSharding,
  ):
    self._members = members
    self._sharding = sharding
    reduce = functools.partial(members[0].reduce, model=members[0].model.alone)
    self._reduce = jax.jit(population.mapped(reduce, sharding))

  def __call__(self, params: Any) -> list[np.ndarray]:
    """The number of each row of each member, float32 [E].

    Args:
      params: those of all members, stacked.
    """
    found = [np.asarray(self._reduce(params, each)) for each in self._batches]
    values = []
    for member, slots in enumerate(self._slots):
      own = np.empty(sum(map(len, slots)), np.float32)
      for taken, each in zip(slots, found, strict=False):
        own[taken] = each[member, : len(taken)]
      values.append(own)
    return values

  @functools.cached_property
  def _layout(self) -> batches.Layouts:
    """A shape for all members."""
    layouts = [each.layout() for each in self._members]
    rows = max(max(each.rows) for each in layouts)
    return batches.Layouts((rows,), max(each.length for each in layouts))

  @functools.cached_property
  def _slots(self) -> list[list[np.ndarray]]:
    return [each.slots(self._layout) for each in self._members]

  @functools.cached_property
  def _batches(self) -> list[batches.Batch]:
    """Batches of all members, stacked; some members' last ones are empty."""
    count = max(map(len, self._slots))
    most = max(len(taken) for slots in self._slots for taken in slots)
    nothing = [np.zeros(0, np.int64)]
    laid = [
        member.laid(slots + nothing * (count - len(slots)), most, self._layout)
        for member, slots in zip(self._members, self._slots, strict=True)
    ]
    return [
        jax.device_put(
            jax.tree.map(lambda *x: np.stack(x), *each), self._sharding
        )
        for each in zip(*laid, strict=True)
    ]
