"""Work that starts before its result is needed."""

import collections
from collections.abc import Callable, Iterable, Iterator
from concurrent import futures
from typing import Generic, TypeVar

_Value = TypeVar("_Value")
_Result = TypeVar("_Result")


def results(
    pool: futures.Executor,
    function: Callable[[_Value], _Result],
    values: Iterable[_Value],
    count: int,
) -> Iterator[_Result]:
  """Yields results in the order of their values.

  Args:
    pool: does the work.
    function: makes a result of a value.
    values: are generated in the caller's thread, while the pool works.
    count: the number of results to compute ahead of the current one.

  Raises:
    Exception: the function raised it; raised when the result is due.
  """
  waiting: collections.deque[futures.Future] = collections.deque()
  for value in values:
    waiting.append(pool.submit(function, value))
    if len(waiting) > count:
      yield waiting.popleft().result()
  while waiting:
    yield waiting.popleft().result()


class Consumer(Generic[_Value]):
  """Calls a function with one value after another, in a thread of its own."""

  def __init__(self, function: Callable[[_Value], object]):
    """Takes the function; it is not called again once it has raised."""
    self._function = function
    self._pool = futures.ThreadPoolExecutor(1)
    self._last: futures.Future | None = None

  def add(self, value: _Value) -> None:
    """Passes a value on; at most one waits, so that memory is bounded.

    Raises:
      Exception: the function raised it for an earlier value.
    """
    previous = self._last
    self._last = self._pool.submit(self._call, previous, value)
    if previous is not None:
      previous.result()

  def close(self) -> None:
    """Waits for all calls; raises what the function raised."""
    self._pool.shutdown()
    if self._last is not None:
      self._last.result()

  def _call(self, previous: futures.Future | None, value: _Value) -> None:
    if previous is not None:
      previous.result()
    self._function(value)
