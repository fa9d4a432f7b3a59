"""AdamW, clipping and schedules; by default those of 2406.11721.

Everything that a sweep varies is an array in `Hyper`, so that one compiled
step serves every learning rate, and a population can carry its own.
"""

from typing import Any, NamedTuple, cast

import jax
from jax import numpy as jnp
import numpy as np
import optax

from zsgen.core import config, errors, registry, schema

Scalar = np.floating | jax.Array


class Hyper(NamedTuple):
  """Hyper-parameters of one step, float32 scalars; clip is inf for none."""

  learning_rate: Scalar
  b1: Scalar
  b2: Scalar
  eps: Scalar
  weight_decay: Scalar
  clip: Scalar


def hyper_at(train: config.Train, step: int, steps: int) -> Hyper:
  """Returns the hyper-parameters of an update.

  Args:
    train: the config's section.
    step: the update, from 0.
    steps: where the schedule ends, see `schedule_steps`.
  """
  return Hyper(
      learning_rate=np.float32(learning_rate(train, step, steps)),
      b1=np.float32(train.b1),
      b2=np.float32(train.b2),
      eps=np.float32(train.eps),
      weight_decay=np.float32(train.weight_decay),
      clip=np.float32(train.clip or np.inf),
  )


def schedule_steps(train: config.Train, examples: int) -> int:
  """Returns the step at which the schedule ends, for an order of n examples."""
  if train.schedule_end == "released":
    return examples // train.batch_size + 1
  return -(-examples // train.batch_size)


def check_steps(train: config.Train, steps: int) -> None:
  """Raises InputError for a warm-up that does not end within `steps`."""
  if train.warmup_steps and train.warmup_steps >= steps:
    raise errors.InputError(
        f"config.train.warmup_steps is {train.warmup_steps}, but the order has"
        f" {steps} steps: the learning rate would never reach its peak. Lower"
        f" it to {steps - 1} or less."
    )


def learning_rate(train: config.Train, step: int, steps: int) -> float:
  """Falls from the peak at step 0 to its `final_share` at `steps`."""
  schedule = registry.component(
      "schedule", train.schedule, "config.train.schedule"
  )
  options = schema.options_of(train, schedule.options)
  left = schedule.build(step, steps, options)
  share = train.final_share + (1 - train.final_share) * left
  warm = min(1.0, (step + 1) / (train.warmup_steps + 1))
  return train.learning_rate * share * warm


def transformation(
    hyper: Hyper, first_moment: str
) -> optax.GradientTransformation:
  """Clips by the global norm, then AdamW (1711.05101).

  Args:
    hyper: scalars; they may be traced.
    first_moment: element type in which the first moment is held.
  """
  return optax.chain(
      optax.clip_by_global_norm(hyper.clip),
      optax.scale_by_adam(
          b1=hyper.b1,
          b2=hyper.b2,
          eps=hyper.eps,
          mu_dtype=jnp.dtype(first_moment),
      ),
      # optax's annotation forgets NumPy's scalars.
      optax.add_decayed_weights(cast(jax.Array, hyper.weight_decay)),
      optax.scale(-hyper.learning_rate),
  )


def adam_state(moments: optax.OptState) -> optax.ScaleByAdamState:
  """Returns the part of a state of `transformation` with Adam's moments."""

  def is_adam(node: Any) -> bool:
    """Returns whether a node of the state has Adam's moments."""
    return isinstance(node, optax.ScaleByAdamState)

  nodes = jax.tree.leaves(moments, is_leaf=is_adam)
  (adam,) = [node for node in nodes if is_adam(node)]
  return adam


def init(params: Any, first_moment: str) -> optax.OptState:
  """Returns moments of zero for a tree of parameters."""
  unused = Hyper(*np.ones(len(Hyper._fields), np.float32))
  return transformation(unused, first_moment).init(params)
