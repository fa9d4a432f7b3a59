"""Compares what the processes of one run must have in common.

Each process describes itself by facts: texts by name, such as
{"config.train.learning_rate": "0.0003"}. Process 0 compares them with its own,
and all processes get one verdict.
"""

from collections.abc import Iterable, Iterator, Mapping
import itertools
import json

from zsgen.core import artifacts, errors
from zsgen.core.hosts import service

Facts = Mapping[str, str]
# Characters of a fact; longer ones are cut and get a digest.
_LONGEST = 80
# Differences whose values a message shows.
_SHOWN_DIFFERENCES = 4
_ABSENT = "(absent)"
_ADVICE = (
    "Start all processes by the same command, with the same config, the same"
    " installation and the same files."
)


class Disagreement(errors.InputError):
  """The processes differ; all of them raise this, with the same message."""


def fact(value: object) -> str:
  """Returns a short text for a plain value; different values differ."""
  text = json.dumps(value, sort_keys=True, default=str)
  if len(text) <= _LONGEST:
    return text
  return f"{text[: _LONGEST - 20]}… (SHA-256 {artifacts.digest(value)[:16]}…)"


class Comparison:
  """Compares the facts of other processes with those of process 0.

  Keeps only what differs, so that thousands of processes can be compared.
  """

  def __init__(self, first: Facts):
    self._first = dict(first)
    self._differences: dict[str, dict[str, list[int]]] = {}

  def add(self, index: int, facts: Facts) -> None:
    """Adds the facts of process `index`."""
    for name in {**self._first, **facts}:
      value = facts.get(name, _ABSENT)
      if value != self._first.get(name, _ABSENT):
        processes = self._differences.setdefault(name, {})
        processes.setdefault(value, []).append(index)

  def message(self) -> str:
    """Returns what differs, and what to do; "" if nothing does."""
    if not self._differences:
      return ""
    in_first = [name for name in self._first if name in self._differences]
    names = [*in_first, *sorted({*self._differences} - {*in_first})]
    descriptions = [
        self._difference(name) for name in names[:_SHOWN_DIFFERENCES]
    ]
    remaining = len(names) - len(descriptions)
    suffix = f"; and {remaining} more differ" if remaining else ""
    return (
        f"the processes of this run do not agree: {'; '.join(descriptions)}{suffix}."
        f" {_ADVICE}"
    )

  def _difference(self, name: str) -> str:
    """Returns which processes have which value of a fact."""
    values = [
        f"{self._first.get(name, _ABSENT)} in process 0",
        *(
            f"{value} in {processes(indices)}"
            for value, indices in self._differences[name].items()
        ),
    ]
    return f"{name} is {', '.join(values[:-1])} and {values[-1]}"


def processes(indices: Iterable[int]) -> str:
  """Returns names such as "process 3" or "processes 1, 4 and 6 to 9"."""
  indices = sorted({*indices})
  runs = [*_runs(indices)]
  parts = [
      str(low) if low == high else f"{low} to {high}" for low, high in runs[:8]
  ]
  if len(indices) == 2:
    parts = [*map(str, indices)]
  if len(runs) > len(parts):
    parts.append(f"{len(runs) - len(parts)} more groups")
  *leading, last = parts
  text = f"{', '.join(leading)} and {last}" if leading else last
  return f"process{'es' if len(indices) > 1 else ''} {text}"


def _runs(indices: list[int]) -> Iterator[tuple[int, int]]:
  """Yields the first and last of each run of consecutive numbers."""
  for _, group in itertools.groupby(
      enumerate(indices), lambda pair: pair[1] - pair[0]
  ):
    numbers = [index for _, index in group]
    yield numbers[0], numbers[-1]


def compare(key: str, facts: Facts) -> None:
  """Compares facts by jax's key-value store; all processes must call this.

  Args:
    key: a name that is used only once.
    facts: the facts of this process.

  Raises:
    Disagreement: the facts differ; all processes raise it.
  """
  if service.is_first():
    comparison = Comparison(facts)
    for index in range(1, service.count()):
      comparison.add(index, json.loads(service.await_message(f"{key}/{index}")))
    service.publish(f"{key}/verdict", comparison.message())
  else:
    service.publish(f"{key}/{service.index()}", json.dumps(dict(facts)))
  if message := service.await_message(f"{key}/verdict"):
    raise Disagreement(message)
