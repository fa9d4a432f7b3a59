"""Measures the communication of a compiled program from its HLO text.

A collective in the body of a loop counts as often as the loop runs. On TPUs, a
collective may appear several times, once in each product that it overlaps with;
these share a channel and count once.

Between TPU slices, the compiler replaces a collective by one within each slice
and transfers through the hosts, which these functions count separately.
"""

from collections.abc import Iterator, Mapping
import math
import re
from typing import NamedTuple

KINDS = (
    "all-gather",
    "all-reduce",
    "reduce-scatter",
    "all-to-all",
    "collective-permute",
)
_BYTES = {"pred": 1, "bf16": 2, "c64": 8, "c128": 16}
_ARRAY = re.compile(r"\b([a-z]+\d*\w*)\[([\d,]*)\]")
_COMPUTATION = re.compile(r"^(ENTRY )?%?([\w.\-]+) \(.*\{$")
_OP = re.compile(
    r"^\s+(?:ROOT )?%?([\w.\-]+) = (\(.*?\)|\S+) ([a-z\-]+)\((.*)$"
)
_COLLECTIVE = re.compile(rf"({'|'.join(KINDS)})(-start)?")
_CALLEES = re.compile(
    r"(?:calls|to_apply|body|condition|true_computation|false_computation)="
    r"%?([\w.\-]+)"
)
_BRANCHES = re.compile(r"branch_computations=\{([^}]*)\}")
_TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"\}')
_CHANNEL = re.compile(r"channel_id=(\d+)")
# The slices of a transfer, such as those of "{1,2}x{0:3}"; not always written.
_TARGET = re.compile(r'_xla_megascale_target="\{([\d,]+)\}x')
_TRANSFER = re.compile(r'_xla_megascale_transfer_type="(\w+)"')


class Collective(NamedTuple):
  """One kind of collective in a run of the program.

  Attributes:
    count: number of executions.
    received: lower bound of the bytes that each device receives in total.
    largest: bytes of the largest result of one execution.
  """

  count: int
  received: int
  largest: int


class _Op(NamedTuple):
  """One line: the result's type, the operation and the text after its bracket."""

  name: str
  type: str
  kind: str
  rest: str


def collectives(text: str, devices: int) -> dict[str, Collective]:
  """Returns the collectives of a compiled program by kind, on each device.

  Args:
    text: the optimized module, as returned by `compiled.as_text()`.
    devices: number of devices that the program runs on.
  """
  computations, entry = _parse(text)
  # Keyed by kind and channel: the number of executions and the line.
  ops: dict[tuple[str, str], tuple[int, _Op]] = {}
  for op, times in _walk(computations, entry, 1):
    match = _COLLECTIVE.fullmatch(op.kind)
    if match:
      channel = _CHANNEL.search(op.rest)
      key = match[1], channel[0] if channel else op.name
      if times > ops.get(key, (0, op))[0]:
        ops[key] = times, op
  total: dict[str, Collective] = {}
  for (kind, _), (times, op) in ops.items():
    _add(total, kind, times, _size(op), _group(op.rest, devices))
  return total


def transfers(text: str) -> dict[str, Collective]:
  """Returns the transfers between slices by kind of collective, on each device.

  Args:
    text: the optimized module of a program for several TPU slices.
  """
  total: dict[str, Collective] = {}
  for op, times in _walk(*_parse(text), 1):
    match = _TRANSFER.search(op.rest)
    if op.kind == "recv" and match:
      kind = match[1].lower().replace("_", "-")
      size = _bytes(*_ARRAY.findall(op.type)[0])
      _add(total, kind, times, size, _slices(op.rest))
  return total


def _add(
    total: dict[str, Collective], kind: str, times: int, size: int, group: int
) -> None:
  """Adds executions of a collective with a result of `size` bytes."""
  count, received, largest = total.get(kind, (0, 0, 0))
  bytes_per_run = _received(kind, size, group)
  total[kind] = Collective(
      count + times, received + times * bytes_per_run, max(largest, size)
  )


def _parse(text: str) -> tuple[dict[str, list[_Op]], str]:
  """Returns the operations of each computation and the name of the entry."""
  computations: dict[str, list[_Op]] = {}
  entry, current = "", []
  for line in text.splitlines():
    if head := _COMPUTATION.match(line):
      current = computations[head[2]] = []
      entry = head[2] if head[1] else entry
    elif op := _OP.match(line):
      current.append(_Op(*op.groups()))
  return computations, entry


def _walk(
    computations: Mapping[str, list[_Op]], name: str, times: int
) -> Iterator[tuple[_Op, int]]:
  """Yields the operations that a computation runs, with their counts."""
  for op in computations.get(name, ()):
    yield op, times
    if op.kind.endswith(("-done", "-update")):
      continue  # Counted at its start.
    inner = times
    if op.kind == "while":
      inner = times * _trips(op, computations)
    callees = _CALLEES.findall(op.rest)
    for branches in _BRANCHES.findall(op.rest):
      callees += [branch.strip(" %") for branch in branches.split(",")]
    for callee in callees:
      yield from _walk(computations, callee, inner)


def _trips(op: _Op, computations: Mapping[str, list[_Op]]) -> int:
  """Returns how often a loop runs: XLA's count or the bound of its counter.

  Counters of scans and maps start at 0; a loop without a bound counts once.
  """
  if count := _TRIPS.search(op.rest):
    return int(count[1])
  condition = re.search(r"condition=%?([\w.\-]+)", op.rest)
  assert condition is not None, "XLA writes a loop with its condition"
  ops = {inner.name: inner for inner in computations.get(condition[1], ())}
  for inner in ops.values():
    if inner.kind == "compare" and "direction=LT" in inner.rest:
      for operand in re.findall(r"%([\w.\-]+)", inner.rest.split(")")[0]):
        bound = ops.get(operand)
        if bound and bound.kind == "constant":
          return int(bound.rest.split(")")[0])
  return 1


def _size(op: _Op) -> int:
  """Returns the bytes of a collective's result on each device."""
  arrays = [_bytes(*array) for array in _ARRAY.findall(op.type)]
  if not op.kind.endswith("-start") or op.kind.startswith("all-reduce"):
    return sum(arrays)
  # The type lists operands, results and, for permutes, two counters.
  arrays = [size for size in arrays if size > 4] or arrays
  return sum(arrays[len(arrays) // 2 :])


def _bytes(kind: str, shape: str) -> int:
  bits = re.search(r"\d+", kind)
  size = _BYTES.get(kind) or (int(bits[0]) / 8 if bits else 0)
  return math.ceil(size * math.prod(int(n) for n in shape.split(",") if n))


def _received(kind: str, size: int, group: int) -> int:
  """Returns a lower bound of the bytes that a device receives."""
  fraction = (group - 1) / group
  share = {
      "all-gather": fraction,
      "all-reduce": 2 * fraction,
      "reduce-scatter": group - 1,
      "all-to-all": fraction,
      "collective-permute": 1,
  }
  return math.ceil(share.get(kind, 1) * size)


def _slices(rest: str) -> int:
  """Returns the number of slices of a transfer; 2, the fewest, if unknown."""
  match = _TARGET.search(rest)
  return match[1].count(",") + 1 if match else 2


def _group(rest: str, devices: int) -> int:
  """Returns the number of devices that take part in a collective."""
  if match := re.search(r"replica_groups=\[\d+,(\d+)\]", rest):
    return int(match[1])
  if match := re.search(r"replica_groups=\{\{([\d,]+)\}", rest):
    return match[1].count(",") + 1
  if match := re.search(r"replica_groups=mesh\[(.*?)\] \{(.*?)\}", rest):
    sizes = dict(re.findall(r"'(\w+)'=(\d+)", match[1]))
    return math.prod(int(sizes[axis]) for axis in re.findall(r"\w+", match[2]))
  return devices
