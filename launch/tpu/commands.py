"""The calls of gcloud that `python -m launch.tpu` makes.

All functions return the words of a command. Commands run in the checkout. They
work for v4 to v6e; Google's newer TPUs have no queued resources.
"""

from collections.abc import Iterable
import hashlib
import json
import pathlib
import shlex

from launch import accelerators
from launch import job as jobs

ROOT = pathlib.Path(__file__).resolve().parents[2]
# The fields of a job by which its resources are found, those that create them,
# and those that run a command on them.
IDENTITY = ("name", "zone", "project")
HARDWARE = ("accelerator", "count", "runtime", "capacity", "label")
SOFTWARE = ("extras", "nfs", "env")
FIELDS = (*IDENTITY, *HARDWARE, *SOFTWARE)
_GROUP = ("gcloud", "compute", "tpus", "queued-resources")
_HOST = "zsgen/launch/host.sh"
# What a host does: the name of a job and its command follow `start`, and a
# number of lines `logs`.
START, LOGS = f"bash {_HOST} start", f"bash {_HOST} logs"
STATUS = (
    f"bash {_HOST} status 2>/dev/null ||"
    ' echo "zsgen-host $HOSTNAME - absent"'
)
# What git lists: files that it tracks, and new ones that it does not ignore.
_PACK = (
    "mkdir -p build && git ls-files -z --cached --others --exclude-standard |"
    " tar --null --files-from=- -czf {}"
)


def check(job: jobs.Job, *steps: str) -> None:
  """Checks that a job has what some steps need.

  Args:
    job: the job.
    *steps: "create", "run" and "supervise".

  Raises:
    InputError: options are missing or do not fit each other.
  """
  jobs.require(job, "name", "zone")
  if "create" in steps or "run" in steps:
    jobs.require(job, "accelerator")
    slice_ = accelerators.find_slice(job.accelerator)
    accelerators.choose_runtime(slice_.tpu, job.runtime)
  if "run" in steps:
    jobs.require(job, "command")
    is_alone = count_hosts(job) == 1 and "supervise" not in steps
    jobs.check_storage(job, "nfs", "" if is_alone else jobs.VM_DISK)


def count_hosts(job: jobs.Job) -> int:
  """Returns the number of VMs of all slices."""
  return job.count * accelerators.find_slice(job.accelerator).hosts


def job_key(job: jobs.Job) -> str:
  """Returns the name of a job on its hosts, with a hash of its command."""
  content = json.dumps([job.command, job.env]).encode()
  return f"{job.name}-{hashlib.sha256(content).hexdigest()[:8]}"


def create(job: jobs.Job) -> list[str]:
  """Returns the command that requests TPU VMs."""
  slice_ = accelerators.find_slice(job.accelerator)
  words = [
      *_GROUP,
      "create",
      job.name,
      *_location(job),
      f"--accelerator-type={slice_.accelerator_type}",
      "--runtime-version="
      + accelerators.choose_runtime(slice_.tpu, job.runtime),
  ]
  if job.count == 1:
    words.append(f"--node-id={job.name}")
  else:
    words += [f"--node-count={job.count}", f"--node-prefix={job.name}"]
  if job.capacity != "on-demand":
    words.append(f"--{job.capacity}")
  if job.label:
    words.append(f"--labels={','.join(job.label)}")
  return [*words, "--quiet"]


def describe(job: jobs.Job) -> list[str]:
  """Returns the command that prints the state of the request."""
  return [
      *_GROUP,
      "describe",
      job.name,
      *_location(job),
      "--format=value(state.state)",
  ]


def delete(job: jobs.Job) -> list[str]:
  """Returns the command that deletes the request and its VMs."""
  return [*_GROUP, "delete", job.name, *_location(job), "--force", "--quiet"]


def pack(job: jobs.Job) -> list[str]:
  """Returns the command that packs the checkout."""
  return ["bash", "-o", "pipefail", "-c", _PACK.format(archive(job))]


def copy(job: jobs.Job) -> list[str]:
  """Returns the command that copies the packed checkout to all hosts."""
  return [
      *_GROUP,
      "scp",
      archive(job),
      f"{job.name}:zsgen.tar.gz",
      *_all_hosts(job),
  ]


def install(job: jobs.Job) -> list[str]:
  """Returns the command that installs zsgen on all hosts."""
  return _ssh(job, install_script(job))


def start(job: jobs.Job) -> list[str]:
  """Returns the command that starts the job on all hosts, in the background."""
  command = ["env", *job.env, *job.command] if job.env else job.command
  return _ssh(job, f"{START} {shlex.join([job_key(job), *command])}")


def status(job: jobs.Job) -> list[str]:
  """Returns the command that prints a line about the job on each host."""
  return _ssh(job, STATUS)


def logs(job: jobs.Job, lines: int) -> list[str]:
  """Returns the command that prints the last lines of all hosts."""
  return _ssh(job, f"{LOGS} {lines}")


def install_script(job: jobs.Job) -> str:
  """Returns what a host does to install zsgen."""
  words = [job.extras, job.nfs] if job.nfs else [job.extras]
  return "mkdir -p zsgen && tar -xzf zsgen.tar.gz -C zsgen && " + shlex.join(
      ["bash", _HOST, "install", *words]
  )


def render(job: jobs.Job) -> str:
  """Returns all commands of a supervised job, one a line.

  Raises:
    InputError: options are missing or do not fit each other.
  """
  check(job, "create", "run", "supervise")
  return supervised_lines(job, 20)


def run_lines(job: jobs.Job, log_lines: int) -> str:
  """Returns the commands of `run`, one a line."""
  return lines([describe(job)]) + _job_lines(job, log_lines)


def supervised_lines(job: jobs.Job, log_lines: int) -> str:
  """Returns the commands of `run --supervise`, one a line."""
  return (
      lines([describe(job)])
      + "# If it is FAILED or SUSPENDED, as after a pre-emption:\n"
      + lines([delete(job)])
      + "# If it does not exist:\n"
      + lines([create(job)])
      + "# When it is ACTIVE:\n"
      + _job_lines(job, log_lines)
  )


def _job_lines(job: jobs.Job, log_lines: int) -> str:
  """Returns the commands that run a job on its hosts, one a line."""
  steps = [pack, copy, install, start, status]
  return lines([*(step(job) for step in steps), logs(job, log_lines)])


def lines(commands: Iterable[list[str]]) -> str:
  """Returns commands as lines of shell."""
  return "".join(f"{jobs.join(command)}\n" for command in commands)


def _location(job: jobs.Job) -> list[str]:
  project = [f"--project={job.project}"] if job.project else []
  return [f"--zone={job.zone}", *project]


def _all_hosts(job: jobs.Job) -> list[str]:
  return [*_location(job), "--node=all", "--worker=all", "--quiet"]


def _ssh(job: jobs.Job, command: str) -> list[str]:
  return [*_GROUP, "ssh", job.name, *_all_hosts(job), f"--command={command}"]


def archive(job: jobs.Job) -> str:
  """Returns the path of the packed checkout."""
  return f"build/{job.name}.tar.gz"
