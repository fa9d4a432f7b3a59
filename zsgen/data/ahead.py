"""Work that starts before its result is needed."""

import collections
from collections.abc import Callable, Iterable, Iterator
from concurrent import futures
from typing import TypeVar

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
