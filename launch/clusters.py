"""Commands that submit a job to a cluster of xpk or of Cluster Toolkit."""

import shlex

from launch import accelerators
from launch import job as jobs
from zsgen.core import errors

_SHARED = (
    "name",
    "accelerator",
    "count",
    "cluster",
    "project",
    "location",
    "image",
    "volume",
    "restarts",
    "grace",
    "env",
)
XPK_FIELDS = _SHARED
GCLUSTER_FIELDS = (*_SHARED, "queue")


def xpk(job: jobs.Job) -> str:
  """Returns a call of `xpk workload create`.

  Args:
    job: the job; `count` is the number of slices or nodes.

  Raises:
    InputError: options are missing, or there are several GPU nodes.
  """
  accelerator = _find(job)
  if isinstance(accelerator, accelerators.Slice):
    kind = {
        "tpu-type": accelerator.accelerator_type,
        "num-slices": job.count,
    }
  else:
    device = f"{accelerator.gpu.device}-{accelerator.gpus}"
    kind = {"device-type": device, "num-nodes": job.count}
    if job.count > 1:
      raise errors.InputError(
          f"--count={job.count}: zsgen does not know how xpk passes addresses"
          " to several GPU nodes. Use python -m launch.render jobset."
      )
  options = {
      "workload": job.name,
      "cluster": job.cluster,
      "project": job.project,
      "zone": job.location,
      **kind,
      "docker-image": job.image,
      "storage": job.volume,
      "max-restarts": job.restarts,
      "restart-on-exit-codes": errors.STOPPED,
      "termination-grace-period-seconds": job.grace,
  }
  return _line(["xpk", "workload", "create"], options, job)


def gcluster(job: jobs.Job) -> str:
  """Returns a call of `gcluster job submit`.

  Args:
    job: the job; `count` is the number of slices.

  Raises:
    InputError: options are missing, or it is not for TPUs.
  """
  _find(job)
  slice_ = accelerators.find_slice(job.accelerator)
  if job.volume.startswith("gs://"):
    raise errors.InputError(
        f"--volume={job.volume}: a mounted bucket has no locks and cannot"
        " append, which a workdir needs. Give a shared file system."
    )
  options = {
      "name": job.name,
      "cluster": job.cluster,
      "project": job.project,
      "location": job.location,
      "compute-type": slice_.accelerator_type,
      "num-slices": job.count,
      "image": job.image,
      "mount": f"{job.volume}:{jobs.MOUNT}:rw" if job.volume else "",
      "queue": job.queue,
      "restarts": job.restarts,
      "restart-on-exit-codes": errors.STOPPED,
      "grace-period": f"{job.grace}s",
  }
  return _line(["gcluster", "job", "submit"], options, job)


def _find(job: jobs.Job) -> accelerators.Slice | accelerators.Node:
  """Returns the accelerator of a job that has all options."""
  jobs.require(job, "accelerator", "cluster", "location", "image", "command")
  accelerator = accelerators.find(job.accelerator)
  pods = job.count * getattr(accelerator, "hosts", 1)
  is_alone = pods == 1 and not job.restarts
  jobs.check_storage(job, "volume", "" if is_alone else jobs.POD_DISK)
  return accelerator


def _line(
    program: list[str], options: dict[str, str | int], job: jobs.Job
) -> str:
  """Returns a command line; options without a value are left out."""
  words = [f"--{key}={value}" for key, value in options.items() if value != ""]
  words += [f"--env={variable}" for variable in job.env]
  words.append(f"--command={shlex.join(job.command)}")
  return f"{jobs.join([*program, *words])}\n"
