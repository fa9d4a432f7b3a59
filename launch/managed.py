"""A script for a TPU slice as a managed instance group of Compute Engine.

This is the way for TPU7x, which has no queued resources, and another one for
v5p and v6e. All VMs of the group are made at once (bulk mode), and a workload
policy connects them as one slice. The facts are those of Google's pages "Create
a MIG with multi-host TPU slice", "Request TPU Spot VMs" and "TPU OS images".
"""

from collections.abc import Sequence
import shlex

from launch import accelerators
from launch import job as jobs
from launch.tpu import commands
from zsgen.core import errors

FIELDS = (
    *commands.IDENTITY,
    "accelerator",
    "capacity",
    "label",
    *commands.SOFTWARE,
)
_IMAGES = "ubuntu-os-accelerator-images"
_DISK = "200GB"
# The port of process 0; jax does not find the processes of such a slice.
_PORT = 8476
_SCRIPT = """\
#!/bin/bash
# {title}
# From the checkout: bash FILE create, run, status, logs or delete.
set -euo pipefail
hosts() {{
  {list} | sort
}}
on_hosts() {{
  hosts | xargs -P 0 -I@HOST@ {ssh_all}
}}
case ${{1-}} in
create)
  trap 'echo "stopped; bash FILE delete deletes what was made" >&2' ERR
{create}
  ;;
run)
  {pack}
  hosts | xargs -P 0 -I@HOST@ {copy}
  on_hosts {install}
  first=$(hosts | head -n 1)
  index=0
  for host in $(hosts); do
    {ssh}{start}
    index=$((index + 1))
  done
  ;;
status)
  on_hosts {status}
  ;;
logs)
  on_hosts {logs}
  ;;
delete)
  code=0
{delete}
  exit $code
  ;;
*)
  echo "usage: bash FILE create|run|status|logs|delete" >&2
  exit 2
  ;;
esac
"""


def render(job: jobs.Job) -> str:
  """Returns a script that makes a slice, runs a job on it, and deletes it.

  Raises:
    InputError: options are missing or do not fit each other.
  """
  slice_ = _find_slice(job)
  location = [f"--zone={job.zone}", f"--project={job.project}"]
  group = ["gcloud", "compute", "instance-groups", "managed"]
  ssh = ["gcloud", "compute", "ssh", "@HOST@", *location, "--quiet"]
  ssh_host = jobs.join(ssh).replace("@HOST@", '"$host"')
  return _SCRIPT.format(
      title=f"{slice_.accelerator_type} (topology {slice_.topology}, VMs:"
      f" {slice_.hosts}) as a managed instance group.",
      list=jobs.join(
          [
              *(*group, "list-instances", job.name, *location),
              "--format=value(instance.basename())",
          ]
      ),
      ssh_all=f'{jobs.join(ssh)} --command="$1"',
      create=_indent(_create(job, slice_)),
      pack=jobs.join(commands.pack(job)),
      copy=jobs.join(
          [
              *("gcloud", "compute", "scp", commands.archive(job)),
              *("@HOST@:zsgen.tar.gz", *location, "--quiet"),
          ]
      ),
      install=shlex.quote(commands.install_script(job)),
      ssh=ssh_host,
      start=_start(job, slice_),
      status=shlex.quote(commands.STATUS),
      logs=shlex.quote(f"{commands.LOGS} 20"),
      delete=_indent(_delete(job, slice_), " || code=$?"),
  )


def _find_slice(job: jobs.Job) -> accelerators.Slice:
  """Returns the slice of a job that has all options.

  Raises:
    InputError: options are missing or do not fit each other.
  """
  jobs.require(job, "name", "zone", "project", "accelerator", "command")
  slice_ = accelerators.find_slice(job.accelerator)
  if not slice_.tpu.image:
    names = [tpu.name for tpu in accelerators.TPUS.values() if tpu.image]
    raise errors.InputError(
        f"--accelerator={job.accelerator}: Compute Engine has managed groups"
        f" for {', '.join(names)}. Use python -m launch.tpu for"
        f" {slice_.tpu.name}."
    )
  if job.capacity == "reserved":
    raise errors.InputError(
        "--capacity=reserved: a template needs the name of the reservation,"
        " which zsgen does not know. Use on-demand or spot, or edit the"
        " template in the script."
    )
  is_alone = slice_.hosts == 1 and job.capacity != "spot"
  jobs.check_storage(job, "nfs", "" if is_alone else jobs.VM_DISK)
  return slice_


def _create(job: jobs.Job, slice_: accelerators.Slice) -> list[list[str]]:
  """Returns the commands that make a slice, and wait for its VMs."""
  region = job.zone.rpartition("-")[0]
  shared = f"projects/{job.project}/regions/{region}"
  zone = [f"--zone={job.zone}", f"--project={job.project}", "--quiet"]
  policy, bulk = [], []
  if slice_.hosts > 1:
    policy = [_policy(job, slice_, region)]
    bulk = [
        "--target-size-policy-mode=bulk",
        f"--workload-policy={shared}/resourcePolicies/{job.name}",
    ]
  group = ["gcloud", "compute", "instance-groups", "managed"]
  return [
      *policy,
      _template(job, slice_, region),
      [
          *(*group, "create", job.name),
          f"--size={slice_.hosts}",
          f"--template={shared}/instanceTemplates/{job.name}",
          "--default-action-on-vm-failure=do-nothing",
          *bulk,
          *zone,
      ],
      [*group, "wait-until", job.name, "--stable", *zone],
  ]


def _policy(
    job: jobs.Job, slice_: accelerators.Slice, region: str
) -> list[str]:
  """Returns the command that makes the policy that connects the VMs."""
  return [
      *("gcloud", "compute", "resource-policies", "create", "workload-policy"),
      job.name,
      "--type=HIGH_THROUGHPUT",
      f"--accelerator-topology={slice_.topology}",
      *(f"--region={region}", f"--project={job.project}", "--quiet"),
  ]


def _template(
    job: jobs.Job, slice_: accelerators.Slice, region: str
) -> list[str]:
  """Returns the command that makes the template of the VMs."""
  words = [
      *("gcloud", "compute", "instance-templates", "create", job.name),
      f"--machine-type={slice_.machine}",
      "--maintenance-policy=TERMINATE",
      f"--image-family={slice_.tpu.image}",
      f"--image-project={_IMAGES}",
      f"--boot-disk-size={_DISK}",
      "--scopes=cloud-platform",
  ]
  if slice_.tpu.disk:
    words.append(f"--boot-disk-type={slice_.tpu.disk}")
  if job.capacity == "spot":
    words += [
        "--provisioning-model=SPOT",
        "--instance-termination-action=STOP",
    ]
  if job.label:
    words.append(f"--labels={','.join(job.label)}")
  location = [
      f"--instance-template-region={region}",
      f"--project={job.project}",
  ]
  return [*words, *location, "--quiet"]


def _delete(job: jobs.Job, slice_: accelerators.Slice) -> list[list[str]]:
  """Returns the commands that delete what `_create` makes."""
  region = f"--region={job.zone.rpartition('-')[0]}"
  end = [f"--project={job.project}", "--quiet"]
  start = ["gcloud", "compute"]
  results = [
      [
          *(*start, "instance-groups", "managed", "delete", job.name),
          *(f"--zone={job.zone}", *end),
      ],
      [*start, "instance-templates", "delete", job.name, region, *end],
  ]
  if slice_.hosts > 1:
    results.append(
        [*start, "resource-policies", "delete", job.name, region, *end]
    )
  return results


def _start(job: jobs.Job, slice_: accelerators.Slice) -> str:
  """Returns the option with the command that starts the job on a host.

  Variables of the script are expanded in the addresses only.
  """
  addresses = (
      f'"env JAX_COORDINATOR_ADDRESS=$first:{_PORT}'
      f' JAX_NUM_PROCESSES={slice_.hosts} JAX_PROCESS_ID=$index "'
  )
  begin = shlex.quote(f"{commands.START} {commands.job_key(job)} ")
  command = shlex.quote(shlex.join([*job.env, *job.command]))
  return f" --command={begin}{addresses}{command}"


def _indent(lines: Sequence[list[str]], end: str = "") -> str:
  """Returns commands as lines of a case of the script; `end` ends each."""
  return "\n".join(f"  {jobs.join(line)}{end}" for line in lines)
