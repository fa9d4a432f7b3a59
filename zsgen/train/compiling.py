"""Compiles the program of each shape while the steps before it run."""

from collections.abc import Sequence
from concurrent import futures
from typing import Any

import jax

from zsgen.core import programs
from zsgen.train import batches, checkpoints, layouts, optimizer
from zsgen.train import program as program_lib

Executable = jax.stages.Compiled


class Executables:
  """Programs of shapes, compiled in one thread in the order of need.

  They are the same as those that are compiled when they are needed. As a
  context it waits at its end for the program that is being compiled, if any.

  Args:
    program: what is compiled.
    split: how the rows of a batch are split.
    batch_size: examples of a step.
    members: the number of members.
  """

  def __init__(
      self,
      program: program_lib.Program,
      split: layouts.Split,
      batch_size: int,
      members: int,
  ):
    self._program = program
    self._split = split
    self._batch_size = batch_size
    self._members = members
    self._thread = futures.ThreadPoolExecutor(1, "compiling")
    self._pending: dict[layouts.Shape, futures.Future[Executable]] = {}

  def __enter__(self) -> "Executables":
    return self

  def __exit__(self, *unused: object) -> None:
    self._thread.shutdown(cancel_futures=True)

  def start(
      self, shapes: Sequence[layouts.Shape], hyper: optimizer.Hyper
  ) -> None:
    """Begins to compile those that are not yet, or being, compiled.

    Args:
      shapes: the shapes, in order of need.
      hyper: hyper-parameters of a step, stacked if there are several members.
    """
    for shape in shapes:
      if shape in self._pending:
        continue
      pending = self._thread.submit(self._compile, shape, hyper)
      self._pending[shape] = pending

  def wait(self, shape: layouts.Shape) -> Executable:
    """Returns the program of a shape, when it is compiled.

    Raises:
      Exception: whatever the compilation raised.
    """
    return self._pending[shape].result()

  def seal(self) -> None:
    """Seals the programs on disk, which a machine that dies later keeps.

    Not while one is being compiled: it may be half written.
    """
    if all(pending.done() for pending in self._pending.values()):
      programs.seal()

  def _compile(
      self, shape: layouts.Shape, hyper: optimizer.Hyper
  ) -> Executable:
    """Compiles the step of a shape."""
    batch = layouts.batch_shapes(shape, self._split, self._batch_size)
    return trace(self._program, batch, hyper, self._members).lower().compile()


def trace(
    program: program_lib.Program,
    batch: batches.Batch[jax.ShapeDtypeStruct],
    hyper: optimizer.Hyper,
    members: int,
) -> jax.stages.Traced:
  """Traces a step as the loop calls it.

  Args:
    program: of all members.
    batch: the shapes of a member's batch.
    hyper: hyper-parameters of a step, stacked if there are several members.
    members: the number of members.
  """

  def stack(leaf: Any) -> jax.ShapeDtypeStruct:
    """Returns the shape of a leaf with the axis of members."""
    return jax.ShapeDtypeStruct((members, *leaf.shape), leaf.dtype)

  if members > 1:
    batch = jax.tree.map(stack, batch)
  state = checkpoints.like(program.shapes, program.shardings)
  frozen = checkpoints.like(program.frozen_shapes, program.frozen_shardings)
  return program.step.trace(state, frozen, batch, hyper)
