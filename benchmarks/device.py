"""Measures a GPU machine without network, in at most eight minutes.

  python -m benchmarks.device prepare OUT --path=NIV2_CLONE --wheels
  python -m benchmarks.device run OUT --out=RESULTS       # on the GPU machine
  python -m benchmarks.device run OUT --out=RESULTS --rehearse   # on a CPU

`prepare` needs the network and zsgen's extra `hf`. It writes a store, an order
and wheels to OUT, which travels to the machine next to a copy of the
repository: data of a few MB, wheels of about 30 MB. Without --path, the data is
the embedded suite. The machine has Python 3.12 and its own JAX and torch; it
needs neither TensorFlow nor the network. What zsgen and the peers import is
listed in `benchmarks/bare.py`, and so are the wheels that travel by default:
Python packages that machines with JAX and torch often lack (ml-collections,
tensorboardX, transformers) and what they need. Add larger ones with --also,
such as --also=pyarrow,scipy,matplotlib,tensorstore. `run` installs those that
are missing into a temporary directory; JAX, torch and NVIDIA's packages never
travel.

Each part runs in its own process under its own time limit, so that an
out-of-memory error or a hang costs this part only:

  device      what it is, and the rates of a product and a copy
  accuracy    losses and gradients relative to the CPU in float32
  attention   cuDNN and XLA relative to float32, with times
  1B          full fine-tuning of Llama 3.2 1B's shape, bfloat16, about 15,000
              real tokens a step; where the time goes; torch on the same rows,
              and on padded ones
  generation  greedy decoding beside transformers
  population  1, 4 and 16 small models as one program
  7B          Llama 2 7B's shape with LoRA, and in full
  rewrites    the mini tier of configs/rewrites/diversity.py in the time left

RESULTS/device.json and RESULTS/device.md are written after every row. A part
that fails, or needs a package that is missing, is a row with the reason.
"""

import argparse
from collections.abc import Iterator, Sequence
import pathlib
import platform
import shutil
import signal
import sys
import tempfile
import time
from types import FrameType
from typing import NamedTuple

from benchmarks import bare, limits
from benchmarks.parts import results as results_lib
from benchmarks.parts import task as task_lib

_SUMMARY = "Measures a GPU machine without network."
_MINUTES = 8.0
# A part is not started with less time, in seconds.
_LEAST = 2.0
# Of zsgen's parts and of torch's: JAX and torch never share the GPU.
_JAX = {"XLA_PYTHON_CLIENT_MEM_FRACTION": "0.92"}
_TORCH = {"JAX_PLATFORMS": "cpu"}


class Part(NamedTuple):
  """A part of the check.

  Attributes:
    name: parts of one name are compared with each other.
    function: "module:name", which yields rows.
    seconds: its time limit if all parts have `_MINUTES`.
    unit: of its rates.
    is_peer: whether it measures torch.
  """

  name: str
  function: str
  seconds: float
  unit: str = ""
  is_peer: bool = False


_HOME = "benchmarks.parts"
PARTS = (
    Part("device", f"{_HOME}.facts:describe", 40),
    Part("accuracy", f"{_HOME}.accuracy:losses", 70),
    Part("attention", f"{_HOME}.accuracy:kernels", 60),
    Part("1B", f"{_HOME}.training:large", 120, "tokens/s"),
    Part("1B", f"{_HOME}.training:torch_packed", 60, "tokens/s", is_peer=True),
    Part("1B", f"{_HOME}.training:torch_padded", 60, "tokens/s", is_peer=True),
    Part("generation", f"{_HOME}.generating:zsgen", 60, "tokens/s"),
    Part(
        "generation", f"{_HOME}.generating:torch", 50, "tokens/s", is_peer=True
    ),
    Part("population", f"{_HOME}.populations:measure", 60, "tokens/s"),
    Part("7B", f"{_HOME}.training:largest_lora", 80, "tokens/s"),
    Part("7B", f"{_HOME}.training:largest_full", 80, "tokens/s"),
    Part("rewrites", f"{_HOME}.rewriting:train", 60 * _MINUTES),
)


def run(
    paths: dict[str, str],
    results: results_lib.Results,
    sizes: task_lib.Sizes,
    minutes: float,
    parts: Sequence[Part] = PARTS,
) -> None:
  """Runs parts one after another and adds their rows.

  Args:
    paths: directories of the `store` and of the `order`.
    results: takes the rows.
    sizes: how much to compute.
    minutes: time for all parts; their limits are proportional to it.
    parts: the parts.
  """
  began = time.monotonic()
  with tempfile.TemporaryDirectory() as scratch:
    for part in parts:
      left = 60 * minutes - (time.monotonic() - began)
      seconds = min(left, part.seconds * minutes / _MINUTES)
      for row in _rows(part, paths, pathlib.Path(scratch), sizes, seconds):
        context = {
            "part": part.name,
            "unit": part.unit,
            "peer": part.is_peer,
            "compared": [part.name, row.get("model", "")],
            "seconds": time.monotonic() - began,
        }
        results.add({**context, **row})
        print({**context, **row}, flush=True)


def _rows(
    part: Part,
    paths: dict[str, str],
    scratch: pathlib.Path,
    sizes: task_lib.Sizes,
    seconds: float,
) -> Iterator[task_lib.Row]:
  """Yields the rows of a part; a failure is a row that names the part."""
  name = {"case": part.function.rpartition(".")[2]}
  modules = [*bare.CORE, *(bare.PEER if part.is_peer else ())]
  if missing := bare.missing_modules(modules):
    yield {**name, "failed": f"{', '.join(missing)} cannot be imported"}
    return
  if seconds < _LEAST:
    yield {**name, "failed": "no time is left"}
    return
  task = task_lib.Task(paths, scratch, sizes, seconds)
  yield from (
      {**name, **row}
      for row in limits.stream(
          part.function,
          task,
          seconds=seconds,
          environment=_TORCH if part.is_peer else _JAX,
      )
  )


def prepare(args: argparse.Namespace) -> None:
  """Writes data and wheels to the directory that travels."""
  from benchmarks import train

  directory = args.directory.absolute()
  paths = train.prepare_data(args.path, directory, args.examples)
  for name in ("scratch", "tokenizer"):  # The store has its own copy.
    shutil.rmtree(directory / name, ignore_errors=True)
  source = "Natural Instructions" if args.path else "the embedded suite"
  bare.write(directory, paths, {"data": source, "examples": args.examples})
  if args.wheels:
    also = [name for name in args.also.split(",") if name]
    bare.download(directory, [*bare.WHEELS, *also])


def check(args: argparse.Namespace) -> None:
  """Measures the machine."""
  signal.signal(signal.SIGTERM, _stop)
  directory = args.directory.absolute()
  with tempfile.TemporaryDirectory() as target:
    wheels = args.wheels or directory / "wheels"
    installed = bare.install(wheels, pathlib.Path(target))
    paths, facts = bare.read(directory)
    names = [*bare.CORE.values(), *bare.PEER.values(), "jaxlib"]
    facts |= {
        "python": platform.python_version(),
        "versions": ", ".join(
            f"{name} {version}"
            for name, version in bare.versions(names).items()
        ),
        "installed wheels": ", ".join(installed) or "none",
        "missing": (
            ", ".join(bare.missing_modules([*bare.CORE, *bare.PEER]))
            or "nothing"
        ),
        "sizes": "rehearsal" if args.rehearse else "full",
    }
    results = results_lib.Results(args.out, facts)
    sizes = task_lib.REHEARSAL if args.rehearse else task_lib.FULL
    names = args.parts.split(",")
    parts = [part for part in PARTS if not args.parts or part.name in names]
    run(paths, results, sizes, args.minutes, parts)
  print((args.out / results_lib.TABLE).read_text())


def _stop(number: int, frame: FrameType | None) -> None:
  del frame
  sys.exit(128 + number)


def main() -> None:
  """Prepares or runs the check."""
  parser = argparse.ArgumentParser(description=_SUMMARY)
  commands = parser.add_subparsers(required=True)
  preparing = commands.add_parser("prepare")
  preparing.set_defaults(function=prepare)
  preparing.add_argument("directory", type=pathlib.Path)
  preparing.add_argument("--path", default="", help="Natural Instructions.")
  preparing.add_argument("--examples", type=int, default=1920)
  preparing.add_argument("--wheels", action="store_true")
  preparing.add_argument("--also", default="", help="More wheels, by name.")
  running = commands.add_parser("run")
  running.set_defaults(function=check)
  running.add_argument("directory", type=pathlib.Path)
  running.add_argument("--out", type=pathlib.Path, required=True)
  running.add_argument("--wheels", type=pathlib.Path, default=None)
  running.add_argument("--minutes", type=float, default=_MINUTES)
  running.add_argument("--parts", default="", help="Names of parts; all.")
  running.add_argument("--rehearse", action="store_true", help="Tiny shapes.")
  args = parser.parse_args()
  args.function(args)


if __name__ == "__main__":
  main()
