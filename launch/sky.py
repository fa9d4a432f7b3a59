"""Task files for SkyPilot: TPU slices, GPU nodes and managed spot jobs."""

import shlex
from typing import Any

import yaml

from launch import accelerators
from launch import job as jobs
from zsgen.core import errors

FIELDS = (
    "name",
    "accelerator",
    "count",
    "zone",
    "runtime",
    "capacity",
    "extras",
    "nfs",
    "label",
    "env",
)
_PORT = 8476
_ADDRESSES = f"""\
export JAX_COORDINATOR_ADDRESS="$(head -n 1 <<< "$SKYPILOT_NODE_IPS"):{_PORT}"
export JAX_NUM_PROCESSES="$SKYPILOT_NUM_NODES"
export JAX_PROCESS_ID="$SKYPILOT_NODE_RANK"
"""


class _Dumper(yaml.SafeDumper):
  """Writes texts of several lines as blocks."""


def _represent(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
  """Returns the node of a text."""
  style = "|" if "\n" in text else None
  return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent)


def render(job: jobs.Job) -> str:
  """Returns the YAML of a task.

  Args:
    job: the job; `count` is the number of GPU nodes.

  Raises:
    InputError: options are missing or do not fit each other.
  """
  jobs.require(job, "accelerator", "command")
  accelerator = accelerators.find(job.accelerator)
  hosts = getattr(accelerator, "hosts", job.count)
  is_alone = hosts == 1 and job.capacity != "spot"
  jobs.check_storage(job, "nfs", "" if is_alone else jobs.VM_DISK)
  task = {
      "name": job.name,
      "workdir": ".",
      "num_nodes": _count_nodes(job, accelerator),
      "resources": _resources(job, accelerator),
      "setup": _setup(job),
      "run": _run(job, accelerator),
  }
  if job.env:
    task["envs"] = dict(variable.split("=", 1) for variable in job.env)
  text = yaml.dump(task, Dumper=_Dumper, sort_keys=False, width=10_000)
  return f"# From the checkout: sky jobs launch FILE\n{text}"


def _count_nodes(
    job: jobs.Job, accelerator: accelerators.Slice | accelerators.Node
) -> int:
  """Returns the number of nodes; SkyPilot counts a TPU slice as one."""
  if isinstance(accelerator, accelerators.Slice) and job.count > 1:
    raise errors.InputError(
        f"--count={job.count}: SkyPilot does not connect several TPU slices."
        " Use python -m launch.render jobset, or python -m launch.tpu."
    )
  return job.count


def _resources(
    job: jobs.Job, accelerator: accelerators.Slice | accelerators.Node
) -> dict[str, Any]:
  """Returns what machines a task needs."""
  if job.capacity == "reserved":
    raise errors.InputError(
        "--capacity=reserved: SkyPilot reads reservations from its own config"
        " file. Leave the option out."
    )
  zone = f"/{job.zone.rpartition('-')[0]}/{job.zone}" if job.zone else ""
  resources: dict[str, Any] = {"infra": f"gcp{zone}"}
  if isinstance(accelerator, accelerators.Slice):
    runtime = accelerators.choose_runtime(accelerator.tpu, job.runtime)
    resources["accelerators"] = f"tpu-{accelerator.accelerator_type}"
    resources["accelerator_args"] = {"runtime_version": runtime}
  else:
    if job.runtime:
      raise errors.InputError(
          f"--runtime={job.runtime} is for TPUs, not for {job.accelerator}."
      )
    name = accelerator.gpu.sky
    resources["accelerators"] = f"{name}:{accelerator.gpus}"
  resources["use_spot"] = job.capacity == "spot"
  if job.label:
    resources["labels"] = dict(label.split("=", 1) for label in job.label)
  resources["job_recovery"] = {"recover_on_exit_codes": [errors.STOPPED]}
  return resources


def _setup(job: jobs.Job) -> str:
  """Returns the script that installs zsgen in the copy of the checkout."""
  words = ["bash", "launch/host.sh", "install", job.extras]
  return shlex.join([*words, job.nfs] if job.nfs else words)


def _run(
    job: jobs.Job, accelerator: accelerators.Slice | accelerators.Node
) -> str:
  """Returns the script that runs on each host."""
  is_distributed = isinstance(accelerator, accelerators.Node) and job.count > 1
  addresses = _ADDRESSES if is_distributed else ""
  return (
      f'{addresses}export PATH="$PWD/.venv/bin:$PATH"\n'
      f"exec {shlex.join(job.command)}\n"
  )
