"""Work that is begun before its result is asked for."""

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
  """Results in the order of their values.

  Args:
    pool: does the work.
    function: makes a result of a value.
    values: are taken in the caller's thread, while the pool works.
    count: results that are worked on, or wait, beside the one asked for.

  Raises:
    Exception: what the function raised, at the result's turn.
  """
  waiting: collections.deque[futures.Future] = collections.deque()
  for value in values:
    waiting.append(pool.submit(function, value))
    if len(waiting) > count:
      yield waiting.popleft().result()
  while waiting:
    yield waiting.popleft().result()
