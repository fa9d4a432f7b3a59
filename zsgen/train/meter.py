"""Where the time of a run goes, and what a step gives for it."""

from collections.abc import Iterator
import contextlib
import time

import jax
import numpy as np

from zsgen.train import flops

# What laps are put down to, beside evaluations by their name.
STEPS, COMPILING, SAVING = "steps", "compiling", "saving"


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
    self._spent: dict[str, float] = {}
    # Seconds of feeding since the last step, while the device had nothing.
    self._waiting = 0.0
    # Of all steps so far.
    self._steps = self._tokens = self._slots = self._flops = 0
    self._waited = 0.0

  @property
  def total(self) -> float:
    """Seconds up to the last lap."""
    return self._last - self._begin

  def lap(self, what: str) -> float:
    """Seconds since the last lap, put down to `what`."""
    before, self._last = self._last, time.perf_counter()
    seconds = self._last - before
    self._spent[what] = self._spent.get(what, 0.0) + seconds
    return seconds

  def share(self, what: str) -> float:
    """Share of the time so far that went into `what`."""
    return self._spent.get(what, 0.0) / self.total if self.total else 0.0

  @contextlib.contextmanager
  def feeding(self, running: jax.Array | None) -> Iterator[None]:
    """Times what makes the next batch; it counts if the device waits for it.

    Args:
      running: what the step before gives; None if nothing runs. If it is there
        at the end, all of the time counts: at the most so much was waited.
    """
    begin = time.perf_counter()
    yield
    if running is None or running.is_ready():
      self._waiting += time.perf_counter() - begin

  def step(self, lengths: np.ndarray, slots: int) -> dict[str, float]:
    """Ends the lap of a step.

    Args:
      lengths: tokens of each example, [B].
      slots: tokens of the batch with its padding.

    Returns:
      Metrics of the step, by path.
    """
    # They may lie on devices.
    lengths = np.asarray(lengths)
    seconds, waited = self.lap(STEPS), self._waiting
    self._waiting = 0.0
    tokens, done = int(lengths.sum()), self._counted.step(lengths)
    self._steps += 1
    self._tokens += tokens
    self._slots += slots
    self._flops += done
    self._waited += waited
    found = {
        "perf/step_seconds": seconds,
        "perf/tokens_per_second": tokens / seconds,
        "perf/padded_tokens_per_second": slots / seconds,
        "perf/padding_share": 1 - tokens / slots,
        "perf/data_wait_share": min(1.0, waited / seconds),
    }
    mfu = self._peak.mfu(done / seconds)
    return found if mfu is None else {**found, "perf/mfu": mfu}

  def told(self) -> list[str]:
    """What steps took and gave on average, and where the time went."""
    if not self._steps:
      return []
    seconds = self._spent[STEPS]
    mfu = self._peak.mfu(self._flops / seconds)
    used = "" if mfu is None else f", MFU {mfu:.1%}"
    evaluating = sum(self._spent.values()) - sum(
        self._spent.get(what, 0.0) for what in (STEPS, COMPILING, SAVING)
    )
    parts = {
        STEPS: seconds,
        "evaluations": evaluating,
        COMPILING: self._spent.get(COMPILING, 0.0),
        SAVING: self._spent.get(SAVING, 0.0),
    }
    shares = [f"{what} {part / self.total:.1%}" for what, part in parts.items()]
    return [
        f"steps    {seconds / self._steps:.3g} s each,"
        f" {self._tokens / seconds:,.0f} tokens/s"
        f" ({self._slots / seconds:,.0f} with padding){used};"
        f" {1 - self._tokens / self._slots:.1%} padding,"
        f" {self._waited / seconds:.1%} waiting for data",
        f"time     {self.total:,.1f} s: {', '.join(shares)}",
    ]
