"""The progress line: quiet when nobody looks at a terminal."""

from collections.abc import Mapping
from typing import Any

import rich.console
import rich.progress

from zsgen.core import terminal, texts

# Characters of a name.
_LONGEST = 40


class Progress:
  """A line with step, loss, held-out loss, tokens/s and time to go.

  Use as a context manager.

  Args:
    first: the step to go on from.
    steps: steps of the whole run.
    console: where to draw; nothing is drawn unless it is a terminal.
  """

  def __init__(
      self, first: int, steps: int, console: rich.console.Console | None = None
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

  def __enter__(self) -> "Progress":
    self._line.start()
    return self

  def __exit__(self, *_: Any) -> None:
    self._line.stop()

  def show(self, step: int, values: Mapping[str, str]) -> None:
    """Shows that `step` steps are done, and the newest value of each name."""
    self._values.update(values)
    text = "  ".join(
        f"{texts.short(texts.printable(name), _LONGEST)} {value}"
        for name, value in self._values.items()
    )
    self._line.update(self._task, completed=step, values=text)


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
