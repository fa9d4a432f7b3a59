"""What the steps of a job consume, segment by segment, and in which shapes.

A static order is one segment. Of an order that is remade, the first segment is
the beginning of the order that was made before training. Before some steps, the
rest is arranged anew by the parameters of that time. That segment is written
before it is consumed, and shapes are chosen for its steps, or used again.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from zsgen.core import config as config_lib
from zsgen.core import errors
from zsgen.models import lora
from zsgen.orders import segments
from zsgen.train import batches, layouts, population, trees
from zsgen.train import step as step_lib

# Given the ids of a segment's order, returns the shapes of its steps.
Plan = Callable[[np.ndarray], layouts.Layouts]


class RunState(NamedTuple):
  """What a run has before a step, on the mesh.

  Attributes:
    step: the step.
    state: what is trained, and the moments of the optimizer.
    frozen: the other parameters; {} without adapters.
  """

  step: int
  state: step_lib.State
  frozen: trees.Params

  @property
  def params(self) -> trees.Params:
    """All parameters."""
    return lora.join(self.state.params, self.frozen)


class Remake(NamedTuple):
  """How the rest of a run's order is arranged anew.

  Attributes:
    steps: the steps before which that is done, ascending.
    ids: what all steps consume by the order that was made before training,
      int64 [n].
    obtain: given what the run has before a step, the ids that are left and a
      plan of shapes, reads the segment or, if there is none yet, makes and
      writes it with the shapes that the plan gives its ids.
    load: given a step and the ids that are left, reads a segment.
    sizes: returns the sizes of examples.
    feed: given the ids of all steps, returns what feeds the steps.
  """

  steps: tuple[int, ...]
  ids: np.ndarray
  obtain: Callable[[RunState, np.ndarray, Plan], segments.Segment]
  load: Callable[[int, np.ndarray], segments.Segment]
  sizes: Callable[[np.ndarray], layouts.Lengths]
  feed: Callable[[np.ndarray], batches.Feed]


class Course:
  """What the steps of a job consume, as far as it is known.

  Args:
    feeds: of each member, from the first step on.
    planned: the shapes of the first segment's steps.
    batch_size: examples of a step.
    plan: given sizes of the examples of later steps, and earlier shapes,
      returns the shapes of these steps.
    remake: arranges the rest of the order anew; None for static orders.
    first: the step to begin with; segments before it are read.

  Raises:
    InputError: a segment before the first step is missing or damaged.
  """

  def __init__(
      self,
      feeds: Sequence[batches.Feed],
      planned: layouts.Layouts,
      batch_size: int,
      plan: Callable[
          [layouts.Lengths, Sequence[layouts.Shape]], layouts.Layouts
      ],
      remake: Remake | None = None,
      first: int = 0,
  ):
    self.layouts = planned
    self._feeds = feeds
    self._batch_size = batch_size
    self._plan = plan
    self._remake = remake
    if remake:
      self._ids = remake.ids.copy()
      for step in remake.steps:
        if step < first:
          self._begin(remake.load(step, self._rest(step)))

  def batch(self, step: int) -> batches.Batch[np.ndarray]:
    """Returns what a step consumes, laid out in the shape of the step."""
    examples = [feed(step) for feed in self._feeds]
    return population.lay_out(examples, self.layouts, step)

  def is_remade(self, step: int) -> bool:
    """Returns whether a segment begins with a step, after the first one."""
    return self._remake is not None and step in self._remake.steps

  def remake(self, run_state: RunState) -> None:
    """Begins a segment: arranges the rest anew, or reads how that was done.

    Args:
      run_state: what the run has before the first step of the segment.

    Raises:
      InputError: a loss or a vector is not finite, or the segment is damaged.
    """
    assert self._remake is not None, "the order is not static"
    segment = self._remake.obtain(
        run_state,
        self._rest(run_state.step),
        lambda ids: self._plan_segment(run_state.step, ids),
    )
    self._begin(segment)

  def _rest(self, step: int) -> np.ndarray:
    """Returns the ids of the steps from one on, as planned so far."""
    return self._ids[step * self._batch_size :]

  def _plan_segment(self, step: int, ids: np.ndarray) -> layouts.Layouts:
    """Returns the shapes of the steps of a segment."""
    assert self._remake is not None, "the order is not static"
    later = [number for number in self._remake.steps if number > step]
    stop = (later[0] - step) * self._batch_size if later else None
    sizes = self._remake.sizes(ids[:stop])
    return self._plan(sizes, self.layouts.shapes)

  def _begin(self, segment: segments.Segment) -> None:
    """Consumes a segment from its first step on."""
    assert self._remake is not None, "the order is not static"
    planned = self._plan_segment(segment.step, segment.ids)
    self.layouts = self.layouts.followed_by(planned)
    self._ids[segment.step * self._batch_size :] = segment.ids
    self._feeds = [self._remake.feed(self._ids)]


def is_set(order: config_lib.Order) -> bool:
  """Returns whether what is left of an order is arranged anew."""
  return bool(order.remake_every or order.remake_steps)


def find_steps(
    order: config_lib.Order, first: int, steps: int
) -> tuple[int, ...]:
  """Returns the steps before which the rest of an order is arranged anew.

  Args:
    order: its options.
    first: the first step of the run; only a fork may remake its order there.
    steps: the number of steps of the run.

  Returns:
    The steps, ascending; () for a static order.

  Raises:
    InputError: there is no such step, or nothing is left at one.
  """
  every = order.remake_every
  earliest = first or 1
  if every:
    due = [s for s in range(every, steps, every) if s >= earliest]
    name, value = "remake_every", every
  elif order.remake_steps:
    due = list(order.remake_steps)
    name, value = "remake_steps", due
  else:
    return ()
  if not due or due[0] < earliest or due[-1] >= steps:
    raise errors.InputError(
        f"config.order.{name} is {value}, but the run goes from step {first} to"
        f" {steps}: an order can be arranged anew at steps {earliest} to"
        f" {steps - 1}; before them it is the order itself, and after them"
        " nothing is left."
    )
  return tuple(due)
