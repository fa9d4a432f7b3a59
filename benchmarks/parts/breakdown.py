"""Summarizes a trace of the profiler: the device's time by part of a step.

An event of a trace names an instruction of the compiled program. There, the
instruction names what it was traced from, such as ".../attention/query/...".
"""

from collections.abc import Mapping, Sequence
import gzip
import json
import pathlib
import re
from typing import Any, NamedTuple

# The first pattern that an operation's name matches decides.
_GROUPS = (
    ("head and loss", r"\bHead\b|jvp\(\)|\bnll\b"),
    ("matrix products", r"/(query|key|value|out|gate|up|down)/"),
    ("attention", r"/attention/"),
    ("rest of the blocks", r"\bDecoder\b|\bblocks/"),
    ("optimizer and metrics", r"^jit\("),
)
# Kernels that name no instruction of the program.
_KERNELS = (
    ("attention", r"fmha|flash|sdpa|cudnn"),
    ("matrix products", r"gemm|cutlass|nvjet|xmma|dot"),
    ("copies", r"(?i)memcpy|memset|copy|transpose"),
)
_UNKNOWN = "unknown"
# Their time contains that of other instructions.
_CONTAINERS = {"while", "call", "conditional"}
_INSTRUCTION = re.compile(
    r"^\s*(?:ROOT )?%?([\w.\-]+) = (?:\(.*?\)|\S+) ([\w\-]+)\("
)
_COMPUTATION = re.compile(r"^(?:ENTRY )?%?([\w.\-]+) \(.*\{$")
_CALLS = re.compile(r"calls=%?([\w.\-]+)")
_OPERAND = re.compile(r"%([\w.\-]+)")
_NAME = re.compile(r'op_name="([^"]*)"')


class Instruction(NamedTuple):
  """An instruction of a compiled program.

  Attributes:
    opcode: what it is, such as "fusion".
    origin: what it was traced from; "" if unknown.
  """

  opcode: str
  origin: str


def summarize(
    directory: pathlib.Path, programs: Sequence[str]
) -> dict[str, float]:
  """Returns the milliseconds of the device by group, longest first.

  Args:
    directory: what the profiler has written.
    programs: the texts of the compiled programs.

  Raises:
    FileNotFoundError: there is no trace.
  """
  paths = sorted(directory.rglob("*.trace.json.gz"))
  if not paths:
    raise FileNotFoundError(f"{directory} has no *.trace.json.gz")
  with gzip.open(paths[-1], "rt", encoding="utf-8") as file:
    events = json.load(file)["traceEvents"]
  instructions = {}
  for text in programs:
    instructions |= parse(text)
  return group_times(events, instructions)


def parse(program: str) -> dict[str, Instruction]:
  """Returns the instructions of a compiled program by name.

  What the compiler has inserted has the origin of what it is computed from: of
  the computation that it calls, otherwise of its first operand with an origin.
  """
  instructions: dict[str, Instruction] = {}
  # The last origin of each computation.
  origins: dict[str, str] = {}
  computation = ""
  for line in program.splitlines():
    if match := _COMPUTATION.match(line):
      computation = match[1]
    match = _INSTRUCTION.match(line)
    if not match:
      continue
    call, name = _CALLS.search(line), _NAME.search(line)
    origin = name[1] if name else ""
    if call and not origin:
      origin = origins.get(call[1], "")
    origins[computation] = origin or origins.get(computation, "")
    if not origin:
      operands = _OPERAND.findall(line, match.end())
      known = (
          instructions[operand].origin
          for operand in operands
          if operand in instructions
      )
      origin = next(filter(None, known), "")
    instructions[match[1]] = Instruction(match[2], origin)
  return instructions


def group_times(
    events: Sequence[Mapping[str, Any]],
    instructions: Mapping[str, Instruction],
) -> dict[str, float]:
  """Returns the milliseconds of a trace's events by group, longest first."""
  streams = _streams(events)
  by_name = {_plain(name): value for name, value in instructions.items()}
  times: dict[str, float] = {}
  for event in events:
    arguments = event.get("args", {})
    if event.get("ph") != "X":
      continue
    if streams and (event["pid"], event["tid"]) not in streams:
      continue
    if not streams and "hlo_op" not in arguments:
      continue
    name = _plain(arguments.get("hlo_op", event["name"]))
    instruction = by_name.get(name, Instruction("", ""))
    if instruction.opcode in _CONTAINERS:
      continue
    group = classify(instruction.origin, event["name"])
    times[group] = times.get(group, 0.0) + event["dur"] / 1000
  return dict(sorted(times.items(), key=lambda item: -item[1]))


def _plain(name: str) -> str:
  """Returns the name of an instruction as that of its kernel."""
  return re.sub(r"\W", "_", name)


def classify(origin: str, kernel: str) -> str:
  """Returns the group of an event.

  Args:
    origin: what its instruction was traced from; "" if unknown.
    kernel: the name of the event.
  """
  patterns, text = (_GROUPS, origin) if origin else (_KERNELS, kernel)
  matches = (group for group, pattern in patterns if re.search(pattern, text))
  return next(matches, _UNKNOWN)


def _streams(events: Sequence[Mapping[str, Any]]) -> set[tuple[int, int]]:
  """Returns the process and thread ids of a GPU's streams; none on a CPU.

  The other threads of a GPU repeat the same time by instruction or module.
  """
  return {
      (event["pid"], event["tid"])
      for event in events
      if event.get("ph") == "M"
      and event.get("name") == "thread_name"
      and event["args"]["name"].startswith("Stream")
  }
