"""The progress of training: a line of a terminal, or lines of a log."""

from collections.abc import Mapping
import datetime
import threading
import time
from typing import Any

import rich.console
import rich.progress

from zsgen.core import terminal, texts

# Characters of a name.
_LONGEST = 40
# Seconds between lines of a log.
_EVERY = 30.0


class Progress:
  """A line with step, loss, held-out loss, tokens/s and time to go.

  A terminal has one line, which changes. Anything else, such as a pipe or a
  file, gets a plain line every 30 seconds, also while a step or an evaluation
  takes longer. Use as a context manager.

  Args:
    first: the step to go on from.
    steps: steps of the whole run.
    console: where to draw.
    every: seconds between plain lines.
  """

  def __init__(
      self,
      first: int,
      steps: int,
      console: rich.console.Console | None = None,
      every: float = _EVERY,
  ):
    console = console or terminal.Console(stderr=True)
    self._line = rich.progress.Progress(
        rich.progress.TextColumn("train"),
        rich.progress.BarColumn(),
        rich.progress.MofNCompleteColumn(),
        rich.progress.TextColumn("{task.fields[values]}", markup=False),
        rich.progress.TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )
    self._task = self._line.add_task(
        "train", total=steps, completed=first, values=""
    )
    self._values: dict[str, str] = {}
    self._console, self._every = console, every
    self._first = self._step = first
    self._steps = steps
    self._begin = time.monotonic()
    self._is_over = threading.Event()
    self._lines = threading.Thread(target=self._print, daemon=True)

  def __enter__(self) -> "Progress":
    self._line.start()
    self._begin = time.monotonic()
    if not self._console.is_terminal and not self._console.quiet:
      self._lines.start()
    return self

  def __exit__(self, *_: Any) -> None:
    self._line.stop()
    self._is_over.set()
    if self._lines.is_alive():
      self._lines.join()

  def show(self, step: int, values: Mapping[str, str]) -> None:
    """Shows that `step` steps are done, and the newest value of each name."""
    self._values = {**self._values, **values}
    self._step = step
    self._line.update(self._task, completed=step, values=self._text())

  def _text(self) -> str:
    """Returns the newest values."""
    return "  ".join(
        f"{texts.short(texts.printable(name), _LONGEST)} {value}"
        for name, value in self._values.items()
    )

  def _print(self) -> None:
    """Prints a plain line every few seconds, until training is over."""
    while not self._is_over.wait(self._every):
      parts = [
          f"train    {self._step}/{self._steps}",
          self._text(),
          self._left(),
      ]
      self._console.print("  ".join(filter(None, parts)))

  def _left(self) -> str:
    """Returns the time that the remaining steps take at the pace so far."""
    done = self._step - self._first
    if not done:
      return ""
    seconds = (time.monotonic() - self._begin) / done
    left = round(seconds * (self._steps - self._step))
    return f"{datetime.timedelta(seconds=left)} left"


def pace(perf: Mapping[str, float]) -> dict[str, str]:
  """Returns the pace of a step, short enough for the line.

  Args:
    perf: metrics of the step, by path.
  """
  real, padded = (
      perf[f"perf/{name}tokens_per_second"] for name in ("", "padded_")
  )
  values = {
      "s/step": f"{perf['perf/step_seconds']:.3g}",
      "tokens/s": f"{real:,.0f} of {padded:,.0f}",
      "wait": f"{perf['perf/data_wait_share']:.0%}",
  }
  if "perf/mfu" in perf:
    values["MFU"] = f"{perf['perf/mfu']:.1%}"
  kind = "device" if "perf/device_memory_bytes" in perf else "host"
  values["memory"] = f"{perf[f'perf/{kind}_memory_bytes'] / 2**30:.3g} GiB"
  return values
