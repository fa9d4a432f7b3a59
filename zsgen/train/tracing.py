"""A trace of some steps: what the device and the host do, by the profiler."""

from collections.abc import Callable
import pathlib
from typing import Any

import jax

from zsgen.core import errors

# Of a run's directory.
NAME = "profile"


class Trace:
  """Traces the steps [first, beyond) of `config.profile` to `RUN/profile`.

  A run that resumes between them traces the rest; after them, nothing.

  Args:
    path: the run's directory.
    interval: `config.profile`, which was checked; () for no trace.
    log: prints a line for people.
  """

  def __init__(
      self,
      path: pathlib.Path,
      interval: tuple[int, ...],
      log: Callable[[str], None],
  ):
    self._path = path / NAME
    self._first, self._end = interval or (0, 0)
    self._log = log
    self._running = False

  def begin(self, step: int, state: Any) -> None:
    """Starts if the step is the first, once the state is there."""
    if not self._running and self._first <= step < self._end:
      jax.block_until_ready(state)
      jax.profiler.start_trace(str(self._path))
      self._running = True

  def end(self, step: int, state: Any) -> None:
    """Stops before the step beyond the last, once the state is there."""
    if self._running and step >= self._end:
      jax.block_until_ready(state)
      self.close()
      self._log(
          f"profile  steps {self._first} to {self._end - 1}: {self._path};"
          " open its trace.json.gz at https://ui.perfetto.dev, or `pip install"
          f" xprof` and `xprof --logdir={self._path}`"
      )

  def close(self) -> None:
    """Writes what was traced."""
    if self._running:
      self._running = False
      jax.profiler.stop_trace()


def check(interval: tuple[int, ...], steps: int) -> None:
  """Raises InputError unless two steps of the run are asked for, or none."""
  if not interval:
    return
  if len(interval) != 2 or not interval[0] < interval[1] <= steps:
    raise errors.InputError(
        f"config.profile is {interval}; it must be (first, beyond), two steps"
        f" of the run's {steps}: 0 <= first < beyond <= {steps}; () for no"
        " trace."
    )
