"""One evaluation of every member of a population."""

from collections.abc import Callable, Sequence
import functools
from typing import Any

import jax
import numpy as np

from zsgen.evals import api, packed
from zsgen.train import batches, layouts, metrics, population


def evaluate_together(
    members: Sequence[metrics.Evaluator], sharding: jax.sharding.NamedSharding
) -> Callable[[Any], list[api.Evaluation]]:
  """Returns a function that evaluates all members, given stacked parameters.

  Packed evaluations are computed as one program, others member by member.

  Args:
    members: the evaluator of each member.
    sharding: of arrays with the members as their first axis.
  """
  packers = [m for m in members if isinstance(m, packed.PackedEvaluator)]
  if len(packers) < len(members):
    return functools.partial(_evaluate_members, members)
  rows = PackedPopulation([member.packed for member in packers], sharding)

  def evaluate(params: Any) -> list[api.Evaluation]:
    """Evaluates the parameters of all members, stacked."""
    results = rows(params)
    return [
        member.judged(values)
        for member, values in zip(packers, results, strict=True)
    ]

  return evaluate


def _evaluate_members(
    members: Sequence[metrics.Evaluator], params: Any
) -> list[api.Evaluation]:
  """Evaluates one member of a population after the other."""
  return [
      evaluate(jax.tree.map(lambda leaf, i=i: leaf[i], params))
      for i, evaluate in enumerate(members)
  ]


class PackedPopulation:
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
    rows = [member.rows for member in members]
    if len({type(member_rows) for member_rows in rows}) > 1:
      rows = [member.shared_rows for member in members]
    self._rows = rows
    self._sharding = sharding
    reduce = functools.partial(
        members[0].reduce, model=members[0].model.on_each_device
    )
    self._reduce = jax.jit(population.mapped(reduce, sharding))

  def __call__(self, params: Any) -> list[np.ndarray]:
    """Returns the number of each row of each member, float32 [E].

    Args:
      params: those of all members, stacked.
    """
    reduced = [
        np.asarray(self._reduce(params, batch)) for batch in self._batches
    ]
    values = []
    for member, slots in enumerate(self._slots):
      numbers = np.empty(sum(map(len, slots)), np.float32)
      for indices, batch in zip(slots, reduced, strict=False):
        numbers[indices] = batch[member, : len(indices)]
      values.append(numbers)
    return values

  @functools.cached_property
  def _shape(self) -> layouts.Shape:
    """A shape for all members."""
    rows, length = np.max([member.size for member in self._rows], axis=0)
    rows, length = int(rows), int(length)
    loss = max(member.loss(rows, length) for member in self._rows)
    return layouts.shape_for(rows, length, self._rows[0].split, loss)

  @functools.cached_property
  def _slots(self) -> list[list[np.ndarray]]:
    """Returns the slots of each member's rows, by batch."""
    return [
        member.slots(self._shape.rows, self._shape.length)
        for member in self._rows
    ]

  @functools.cached_property
  def _batches(self) -> list[batches.Batch]:
    """Batches of all members, stacked; some members' last ones are empty."""
    count = max(map(len, self._slots))
    size = max(len(indices) for slots in self._slots for indices in slots)
    laid_out = [
        member.lay_out(self._shape, count, size) for member in self._rows
    ]
    return [
        jax.device_put(
            jax.tree.map(lambda *x: np.stack(x), *members), self._sharding
        )
        for members in zip(*laid_out, strict=True)
    ]
