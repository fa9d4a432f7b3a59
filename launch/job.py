"""The description of a job: what runs, where, and how many times.

`launch.render` and `launch.tpu` read it from the command line, or from a file
of options (`@my_job.txt`), and make files and commands for a scheduler from it.
"""

import argparse
from collections.abc import Sequence
import dataclasses
import re
import shlex
from typing import Any, NoReturn

from zsgen.core import errors

# Where --nfs and --volume appear in the file system of each host.
MOUNT = "/mnt/zsgen"
# Why storage is needed, for messages.
POD_DISK = "the disk of a pod is deleted with it, and no other pod sees it"
VM_DISK = "the disk of a VM is deleted with it, and no other VM sees it"
_NAME = "[a-z]([-a-z0-9]{0,38}[a-z0-9])?"
_LABEL = "[a-z][-_a-z0-9]{0,62}=[-_a-z0-9]{0,63}"
_VARIABLE = r"[A-Za-z_][A-Za-z0-9_]*=[^\n]*"
_ZONE = "[a-z]+-[a-z]+[0-9]+-[a-z]"
_NFS = r"[\w.-]+:/[\w./-]+"
_EXTRAS = "[a-z0-9]+(,[a-z0-9]+)*"
_TIME = r"(\d+-)?\d+(:\d\d){0,2}"
_SBATCH = r"--[a-z][-a-z]*(=[^\n]*)?"


def _option(default: Any, help: str, **checks: Any) -> Any:
  """Returns a field that is an option of the command line.

  Args:
    default: its default.
    help: what it means.
    **checks: `pattern` and an `example` of it; `low` and `high`; or `choices`.
  """
  metadata = {"help": help, **checks}
  return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True)
class Job:
  """What runs, where, and how many times.

  Each way to start a job uses some of the fields; its command line has only
  those.

  Attributes:
    command: the command and its arguments.

  Raises:
    InputError: a value is invalid.
  """

  command: tuple[str, ...] = ()
  name: str = _option(
      "zsgen", "name of the job", pattern=_NAME, example="niv2-tmt"
  )
  accelerator: str = _option(
      "", "what one slice or node has, such as v5e-16 or h100-8"
  )
  count: int = _option(1, "number of slices or nodes", low=1, high=1024)
  # TPU VMs.
  zone: str = _option(
      "", "zone of Google Cloud", pattern=_ZONE, example="us-central2-b"
  )
  project: str = _option("", "project of Google Cloud; default: gcloud's")
  runtime: str = _option("", "image of the TPU VMs; default: by accelerator")
  capacity: str = _option(
      "on-demand",
      "spot VMs cost less and can be pre-empted; reserved uses a reservation",
      choices=("on-demand", "spot", "reserved"),
  )
  label: tuple[str, ...] = _option(
      (), "label of the resources", pattern=_LABEL, example="team=nlp"
  )
  extras: str = _option(
      "tpu", "extras of setup.py to install", pattern=_EXTRAS, example="tpu,hf"
  )
  nfs: str = _option(
      "",
      f"shared directory, mounted at {MOUNT} on all hosts",
      pattern=_NFS,
      example="10.0.0.2:/share",
  )
  # Containers.
  image: str = _option("", "image that launch/Dockerfile made")
  cluster: str = _option("", "name of the cluster")
  location: str = _option("", "zone or region of the cluster")
  queue: str = _option("", "Kueue's local queue")
  volume: str = _option("", f"shared volume, mounted at {MOUNT} in all pods")
  restarts: int = _option(
      50, "how often failures restart the job", low=0, high=1000
  )
  grace: int = _option(
      120, "seconds from SIGTERM to SIGKILL", low=30, high=3600
  )
  # SLURM.
  gpus: int = _option(0, "GPUs of each node", low=0, high=64)
  process: str = _option(
      "gpu", "start one process per GPU or per node", choices=("gpu", "node")
  )
  points: int = _option(
      0, "points of a sweep, each a task of an array", low=0, high=100_000
  )
  time: str = _option(
      "", "time limit", pattern=_TIME, example="12:00:00 or 1-12:00:00"
  )
  sbatch: tuple[str, ...] = _option(
      (),
      "another option of sbatch",
      pattern=_SBATCH,
      example="--partition=gpu",
  )
  # All.
  env: tuple[str, ...] = _option(
      (), "environment variable", pattern=_VARIABLE, example="HF_HUB_OFFLINE=1"
  )

  def __post_init__(self) -> None:
    """Checks each value by itself."""
    for field in dataclasses.fields(self):
      value = getattr(self, field.name)
      is_list = isinstance(value, tuple) and "help" in field.metadata
      for item in value if is_list else (value,):
        if item != field.default:
          _check(field.name, item, field.metadata)


def _check(name: str, value: Any, checks: Any) -> None:
  """Raises InputError if a value is not what its option allows."""
  pattern = checks.get("pattern")
  if pattern and not re.fullmatch(pattern, value):
    raise errors.InputError(
        f"--{name}={value!r} is malformed; give a value such as"
        f" {checks['example']}."
    )
  if "choices" in checks:
    errors.choose(dict.fromkeys(checks["choices"]), value, f"--{name}")
  if "low" in checks and not checks["low"] <= value <= checks["high"]:
    raise errors.InputError(
        f"--{name}={value} must be from {checks['low']} to {checks['high']}."
    )


def require(job: Job, *names: str) -> None:
  """Checks that options have values.

  Args:
    job: the job.
    *names: the options; "command" is what follows "--".

  Raises:
    InputError: one of them has none.
  """
  for name in names:
    if getattr(job, name):
      continue
    if name == "command":
      raise errors.InputError(
          "there is no command. End the line with it: -- python -m zsgen.main"
          " --config=configs/tmt.py."
      )
    field = Job.__dataclass_fields__[name]
    raise errors.InputError(f"--{name} is missing: {field.metadata['help']}.")


def check_storage(job: Job, storage: str, reason: str) -> None:
  """Checks that a job writes to storage that all hosts see and that stays.

  Args:
    job: the job.
    storage: the option of the storage, "nfs" or "volume".
    reason: why the disks of the hosts are not enough; "" if they are.

  Raises:
    InputError: there is no storage, or the command does not name it.
  """
  if not getattr(job, storage):
    if reason and not any("--workdir=gs://" in word for word in job.command):
      raise errors.InputError(
          f"--{storage} is missing: {reason}. Give a shared"
          f" {'directory' if storage == 'nfs' else 'volume'}, and"
          f" --workdir={MOUNT}/{job.name} in the command; or write to a bucket:"
          f" --workdir=gs://BUCKET/{job.name}."
      )
  elif not any(MOUNT in word for word in job.command):
    raise errors.InputError(
        f"the command does not name {MOUNT}, where --{storage} is mounted. Add"
        f" --workdir={MOUNT}/{job.name} to it."
    )


def join(command: Sequence[str]) -> str:
  """Returns a command as a line of shell; values of options are quoted alone."""
  words = []
  for word in command:
    option, equals, value = word.partition("=")
    if equals and re.fullmatch(r"--[\w-]+", option):
      words.append(f"{option}={shlex.quote(value)}")
    else:
      words.append(shlex.quote(word))
  return " ".join(words)


class Parser(argparse.ArgumentParser):
  """A parser of options whose errors are `InputError`.

  `@FILE` stands for the options in a file, which may have comments.
  """

  def __init__(self, **options: Any) -> None:
    super().__init__(fromfile_prefix_chars="@", allow_abbrev=False, **options)

  def convert_arg_line_to_args(self, arg_line: str) -> list[str]:
    """Returns the options in a line of a file."""
    return shlex.split(arg_line, comments=True)

  def error(self, message: str) -> NoReturn:
    """Raises InputError with a message of argparse."""
    raise errors.InputError(f"{message} (see {self.prog} --help).")


def add_options(parser: argparse.ArgumentParser, names: Sequence[str]) -> None:
  """Adds the options of some fields of a job.

  Args:
    parser: the parser.
    names: the fields.
  """
  for name in names:
    field = Job.__dataclass_fields__[name]
    is_list = isinstance(field.default, tuple)
    text = field.metadata["help"]
    if is_list:
      text += "; may be repeated"
    elif field.default:
      text += f" (default: {field.default})"
    parser.add_argument(
        f"--{name}",
        type=int if isinstance(field.default, int) else str,
        action="append" if is_list else "store",
        metavar="|".join(field.metadata.get("choices", ())) or name.upper(),
        help=text.replace("%", "%%"),
    )


def split_command(
    arguments: Sequence[str],
) -> tuple[list[str], tuple[str, ...]]:
  """Returns the options before the first "--", and the command after it."""
  arguments = list(arguments)
  if "--" not in arguments:
    return arguments, ()
  index = arguments.index("--")
  return arguments[:index], tuple(arguments[index + 1 :])


def build(options: argparse.Namespace, command: tuple[str, ...]) -> Job:
  """Returns the job that parsed options describe.

  Args:
    options: what `Parser` has parsed.
    command: the command of the job.

  Raises:
    InputError: a value is invalid.
  """
  values: dict[str, Any] = {
      field.name: getattr(options, field.name, None)
      for field in dataclasses.fields(Job)
      if "help" in field.metadata
  }
  values = {
      name: tuple(value) if isinstance(value, list) else value
      for name, value in values.items()
      if value is not None
  }
  return Job(command=command, **values)
