"""What a compiled program sends between devices, read from its HLO text.

A collective in the body of a loop counts as often as the loop runs. On TPUs
one collective may be written several times, once in each product that it
overlaps with: those share a channel and count once.
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
_CALLED = re.compile(
    r"(?:calls|to_apply|body|condition|true_computation|false_computation)="
    r"%?([\w.\-]+)"
)
_BRANCHES = re.compile(r"branch_computations=\{([^}]*)\}")
_TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"\}')
_CHANNEL = re.compile(r"channel_id=(\d+)")


class Collective(NamedTuple):
  """What one kind of collective does in a run of the program.

  Attributes:
    count: how often it is run.
    received: bytes that each device receives at the least, all runs together.
    largest: bytes of the largest result of one run.
  """

  count: int
  received: int
  largest: int


class _Op(NamedTuple):
  """One line: result's type, operation and what follows its bracket."""

  name: str
  type: str
  kind: str
  rest: str


def collectives(text: str, devices: int) -> dict[str, Collective]:
  """Collectives of a compiled program by kind, on each device.

  Args:
    text: of the optimized module, as `compiled.as_text()` gives it.
    devices: that the program runs on.
  """
  computations, entry = _parse(text)
  # By kind and channel: how often, and the line.
  found: dict[tuple[str, str], tuple[int, _Op]] = {}
  for op, times in _walk(computations, entry, 1):
    match = _COLLECTIVE.fullmatch(op.kind)
    if match:
      channel = _CHANNEL.search(op.rest)
      key = match[1], channel[0] if channel else op.name
      if times > found.get(key, (0, op))[0]:
        found[key] = times, op
  total: dict[str, Collective] = {}
  for (kind, _), (times, op) in found.items():
    size = _size(op)
    count, received, largest = total.get(kind, (0, 0, 0))
    one = _received(kind, size, _group(op.rest, devices))
    total[kind] = Collective(
        count + times, received + times * one, max(largest, size)
    )
  return total


def _parse(text: str) -> tuple[dict[str, list[_Op]], str]:
  """The operations of each computation, and the name of the first."""
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
  """All operations that a computation runs, and how often."""
  for op in computations.get(name, ()):
    yield op, times
    if op.kind.endswith(("-done", "-update")):
      continue  # What it calls began, and was counted, at its start.
    inner = times
    if op.kind == "while":
      inner = times * _trips(op, computations)
    called = _CALLED.findall(op.rest)
    for branches in _BRANCHES.findall(op.rest):
      called += [each.strip(" %") for each in branches.split(",")]
    for each in called:
      yield from _walk(computations, each, inner)


def _trips(op: _Op, computations: Mapping[str, list[_Op]]) -> int:
  """How often a loop runs: as XLA says, or the bound of its counter.

  Counters of scans and maps begin at 0; a loop without a bound counts once.
  """
  if known := _TRIPS.search(op.rest):
    return int(known[1])
  condition = re.search(r"condition=%?([\w.\-]+)", op.rest)[1]
  ops = {each.name: each for each in computations.get(condition, ())}
  for each in ops.values():
    if each.kind == "compare" and "direction=LT" in each.rest:
      for operand in re.findall(r"%([\w.\-]+)", each.rest.split(")")[0]):
        bound = ops.get(operand)
        if bound and bound.kind == "constant":
          return int(bound.rest.split(")")[0])
  return 1


def _size(op: _Op) -> int:
  """Bytes of what a collective results in, on each device."""
  arrays = [_bytes(*each) for each in _ARRAY.findall(op.type)]
  if not op.kind.endswith("-start") or op.kind.startswith("all-reduce"):
    return sum(arrays)
  # Operands, results and, of permutes, two counters stand side by side.
  arrays = [each for each in arrays if each > 4] or arrays
  return sum(arrays[len(arrays) // 2 :])


def _bytes(kind: str, shape: str) -> int:
  bits = re.search(r"\d+", kind)
  size = _BYTES.get(kind) or (int(bits[0]) / 8 if bits else 0)
  return math.ceil(size * math.prod(int(n) for n in shape.split(",") if n))


def _received(kind: str, size: int, group: int) -> int:
  """Bytes that a device receives at the least for a result of `size` bytes."""
  others = (group - 1) / group
  share = {
      "all-gather": others,
      "all-reduce": 2 * others,
      "reduce-scatter": group - 1,
      "all-to-all": others,
      "collective-permute": 1,
  }
  return math.ceil(share[kind] * size)


def _group(rest: str, devices: int) -> int:
  """How many devices take part in one collective."""
  if found := re.search(r"replica_groups=\[\d+,(\d+)\]", rest):
    return int(found[1])
  if found := re.search(r"replica_groups=\{\{([\d,]+)\}", rest):
    return found[1].count(",") + 1
  if found := re.search(r"replica_groups=mesh\[(.*?)\] \{(.*?)\}", rest):
    sizes = dict(re.findall(r"'(\w+)'=(\d+)", found[1]))
    return math.prod(int(sizes[axis]) for axis in re.findall(r"\w+", found[2]))
  return devices
