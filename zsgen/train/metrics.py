"""Metrics with their units, and what the loop needs of an evaluator.

A metric has one unit. Files, targets, tables and figures all show its values in
that unit, and tables and figures name it.
"""

from collections.abc import Mapping, Sequence
import dataclasses
import types
from typing import Any, NamedTuple, Protocol

import numpy as np

from zsgen.core import errors

# Units by name, as tables and figures write them. A share is from 0 to 1.
UNITS: Mapping[str, str] = {
    "": "",
    "nats": "nats",
    "share": "share",
    "tokens": "tokens",
    "logits": "logits",
}
LOWER, HIGHER, NO_DIRECTION = "lower", "higher", ""


@dataclasses.dataclass(frozen=True)
class Metric:
  """A metric: its name and how to read its values.

  Attributes:
    name: the last part of its path in metrics.jsonl, such as "loss".
    unit: one of `UNITS`.
    better: "lower", "higher", or "" if neither is better.
    label: what tables and figures call it; "" for its name.
    has_figure: whether a run's page draws it, if not every metric is drawn.

  Raises:
    InputError: the unit or `better` is unknown.
  """

  name: str
  unit: str = ""
  better: str = NO_DIRECTION
  label: str = ""
  has_figure: bool = False

  def __post_init__(self) -> None:
    context = f"the metric {self.name!r}"
    errors.choose(UNITS, self.unit, f"{context}: unit")
    known = {better: None for better in (LOWER, HIGHER, NO_DIRECTION)}
    errors.choose(known, self.better, f"{context}: better")

  @property
  def words(self) -> str:
    """Its label, without the unit."""
    return self.label or self.name.replace("_", " ")

  @property
  def unit_sign(self) -> str:
    """Its unit, as tables and figures write it."""
    return UNITS[self.unit]

  @property
  def heading(self) -> str:
    """Its label with the unit, such as "loss (nats)"."""
    return self.with_unit(self.words)

  def show(self, value: float) -> str:
    """Returns a value with its unit, such as "2.345 nats"."""
    return f"{value:.3f} {self.unit_sign}".rstrip()

  def with_unit(self, words: str) -> str:
    """Returns words with the unit in parentheses, unless they end with it."""
    is_clear = not self.unit or words.endswith(self.unit_sign)
    return words if is_clear else f"{words} ({self.unit_sign})"


# What training itself reports; its paths begin with "train/".
TRAINING = (
    Metric("loss", "nats", LOWER, "loss of each step", has_figure=True),
    Metric("grad_norm", label="gradient norm", has_figure=True),
    Metric("learning_rate"),
    Metric("tokens", "tokens"),
    Metric("loss_tokens", "tokens"),
)


class Evaluation(NamedTuple):
  """What an evaluator returns.

  Attributes:
    metrics: scalars by path, such as "heldout/loss".
    losses: a value for each row, float32 [E], in the order of `Evaluator.ids`:
      its loss, or the score of its answer.
    predictions: records of the answers that were written.
    details: JSON values that `--stage=evaluate` writes to a file of their own.
      "table" has the fields of `grids.Grid`; "counts" replaces those of
      `once.write`, of an evaluator whose examples are not in the store.
  """

  metrics: dict[str, float]
  losses: np.ndarray
  predictions: Sequence[Mapping[str, Any]] = ()
  details: Mapping[str, Any] = types.MappingProxyType({})


class Evaluator(Protocol):
  """What the loop calls every few steps.

  Attributes:
    name: the first part of the paths of its metrics.
    every_steps: steps between evaluations.
    ids: rows of the store that it reads, int64 [E].
  """

  name: str
  every_steps: int
  ids: np.ndarray

  @property
  def headline(self) -> Metric:
    """The metric that represents the others."""
    ...

  def is_due(self, step: int, steps: int) -> bool:
    """Returns whether it is called before a step; see `is_due`."""
    ...

  def __call__(self, params: Any) -> Evaluation:
    """Evaluates parameters."""
    ...


def is_due(step: int, every: int, steps: int) -> bool:
  """Returns whether something is due: at 0, every, 2·every, …, and last."""
  return step % every == 0 or step == steps
