"""Where the time of a run goes, and what a step gives for it."""

from collections.abc import Iterator
import contextlib
import time
from typing import Any

import jax
import numpy as np

from zsgen.train import flops

# What laps are put down to, beside evaluations by their name.
STEPS, COMPILING, SAVING = "steps", "compiling", "saving"
REMAKING = "remaking the order"
_NO_EVALUATIONS = (STEPS, COMPILING, SAVING, REMAKING)


class Meter:
  """Laps from one end of work to the next: together they are all the time.

  Args:
    counted: model FLOPs of the model.
    peak: what MFU is a share of.
  """

  def __init__(self, counted: flops.Flops, peak: flops.Peak):
    self._counted = counted
    self._peak = peak
    self._begin = self._last = time.perf_counter()
    self._seconds: dict[str, float] = {}
    # Seconds of feeding since the last step, while the device had nothing.
    self._waiting = 0.0
    # Of all steps so far.
    self._steps = self._tokens = self._slots = self._flops = 0
    self._loss_tokens = 0
    self._waited = 0.0

  @property
  def total(self) -> float:
    """Seconds up to the last lap."""
    return self._last - self._begin

  def lap(self, phase: str) -> float:
    """Returns the seconds since the last lap, and adds them to `phase`."""
    before, self._last = self._last, time.perf_counter()
    seconds = self._last - before
    self._seconds[phase] = self._seconds.get(phase, 0.0) + seconds
    return seconds

  def share(self, phase: str) -> float:
    """Returns the share of the time so far that went into `phase`."""
    return self._seconds.get(phase, 0.0) / self.total if self.total else 0.0

  @contextlib.contextmanager
  def feeding(self, running: jax.Array | None) -> Iterator[None]:
    """Measures the time to make the next batch, if the device waits for it.

    Args:
      running: what the step before gives; None if nothing runs. If it is there
        at the end, all of the time counts: at the most so much was waited.
    """
    begin = time.perf_counter()
    yield
    if running is None or _is_ready(running):
      self._waiting += time.perf_counter() - begin

  def step(
      self, lengths: np.ndarray, slots: int, loss_tokens: int
  ) -> dict[str, float]:
    """Ends the lap of a step.

    Args:
      lengths: tokens of each example, [B].
      slots: tokens of the batch with its padding.
      loss_tokens: tokens for which logits are needed.

    Returns:
      Metrics of the step, by path.
    """
    # They may be on devices.
    lengths = np.asarray(lengths)
    seconds, waited = self.lap(STEPS), self._waiting
    self._waiting = 0.0
    tokens = int(lengths.sum())
    step_flops = self._counted.step(lengths, loss_tokens)
    self._steps += 1
    self._tokens += tokens
    self._slots += slots
    self._loss_tokens += loss_tokens
    self._flops += step_flops
    self._waited += waited
    metrics = {
        "perf/step_seconds": seconds,
        "perf/tokens_per_second": tokens / seconds,
        "perf/padded_tokens_per_second": slots / seconds,
        "perf/padding_share": 1 - tokens / slots,
        "perf/data_wait_share": min(1.0, waited / seconds),
    }
    mfu = self._peak.mfu(step_flops / seconds)
    return metrics if mfu is None else {**metrics, "perf/mfu": mfu}

  def describe(self) -> list[str]:
    """Describes the mean cost of a step, and how the time was spent."""
    if not self._steps:
      return []
    seconds = self._seconds[STEPS]
    mfu = self._peak.mfu(self._flops / seconds)
    used = "" if mfu is None else f", MFU {mfu:.1%}"
    head = self._counted.head * self._loss_tokens / self._flops
    evaluating = sum(self._seconds.values()) - sum(
        self._seconds.get(phase, 0.0) for phase in _NO_EVALUATIONS
    )
    parts = {
        STEPS: seconds,
        "evaluations": evaluating,
        COMPILING: self._seconds.get(COMPILING, 0.0),
        SAVING: self._seconds.get(SAVING, 0.0),
    }
    if REMAKING in self._seconds:
      parts[REMAKING] = self._seconds[REMAKING]
    shares = [
        f"{phase} {part / self.total:.1%}" for phase, part in parts.items()
    ]
    return [
        f"steps    {seconds / self._steps:.3g} s each,"
        f" {self._tokens / seconds:,.0f} tokens/s"
        f" ({self._slots / seconds:,.0f} with padding){used};"
        f" {1 - self._tokens / self._slots:.1%} padding,"
        f" {self._waited / seconds:.1%} waiting for data, {head:.1%} of the"
        " model FLOPs in the head",
        f"time     {self.total:,.1f} s: {', '.join(shares)}",
    ]


def _is_ready(array: Any) -> bool:
  """Returns whether an array is computed; jax.Array does not declare it."""
  return array.is_ready()
