"""Job scripts for SLURM, for sbatch."""

import shlex

from launch import job as jobs
from zsgen.core import errors

FIELDS = (
    "name",
    "count",
    "gpus",
    "process",
    "points",
    "time",
    "grace",
    "sbatch",
    "env",
)
_HELP = """\
# Run it from the checkout, which like --workdir is on a file system that all
# nodes see. SIGTERM comes {grace} seconds before the time limit: training saves,
# all processes exit with {stopped}, and the job is queued again and resumes."""
_ARRAY = '--point="$SLURM_ARRAY_TASK_ID"'


def render(job: jobs.Job) -> str:
  """Returns a job script.

  Args:
    job: the job; `count` is the number of nodes.

  Raises:
    InputError: options do not fit each other.
  """
  jobs.require(job, "command")
  _check(job)
  settings = _settings(job)
  flags = ("requeue", "open-mode=append")
  _check_directives(job, {*settings, "requeue", "open-mode"})
  directives = [
      *(f"{name}={value}" for name, value in settings.items()),
      *flags,
  ]
  lines = [
      "#!/bin/bash",
      *(f"#SBATCH --{directive}" for directive in directives),
      *(f"#SBATCH {directive}" for directive in job.sbatch),
      _HELP.format(grace=job.grace, stopped=errors.STOPPED),
      *_variables(job),
      *_body(job),
  ]
  return "\n".join(lines) + "\n"


def _settings(job: jobs.Job) -> dict[str, str | int]:
  """Returns the options of sbatch that follow from a job."""
  settings: dict[str, str | int] = {
      "job-name": job.name,
      "nodes": job.count,
      "ntasks-per-node": _count_processes(job),
  }
  if job.gpus:
    settings["gpus-per-node"] = job.gpus
  if job.points:
    settings["array"] = f"0-{job.points - 1}"
  if job.time:
    settings["time"] = job.time
  settings["output"] = "%x-%A_%a.out" if job.points else "%x-%j.out"
  settings["signal"] = f"TERM@{job.grace}"
  return settings


def _count_processes(job: jobs.Job) -> int:
  """Returns the number of processes of a node."""
  return job.gpus if job.process == "gpu" and job.gpus else 1


def _check(job: jobs.Job) -> None:
  """Raises InputError for options that have no effect or do not fit."""
  if job.process == "node" and not job.gpus:
    raise errors.InputError(
        "--process=node says how to divide GPUs, but --gpus is 0. Add --gpus,"
        " the number of GPUs of each node."
    )
  if job.points and "launch.sweep" not in job.command:
    raise errors.InputError(
        f"--points={job.points} makes an array of the points of a sweep; the"
        " command must be python -m launch.sweep --config=…."
    )
  if job.points and any(word.startswith("--point") for word in job.command):
    raise errors.InputError(
        "--points adds --point to the command, which has it already."
    )


def _check_directives(job: jobs.Job, settings: set[str]) -> None:
  """Raises InputError if --sbatch sets an option that the script sets."""
  for directive in job.sbatch:
    name = directive.removeprefix("--").partition("=")[0]
    if name in settings:
      raise errors.InputError(
          f"--sbatch={directive}: the script sets --{name} by itself."
      )


def _variables(job: jobs.Job) -> list[str]:
  """Returns the lines that set variables for all processes."""
  lines = [f"export {shlex.quote(variable)}" for variable in job.env]
  if job.gpus > 1 and _count_processes(job) == 1:
    ids = ",".join(map(str, range(job.gpus)))
    # Under SLURM, jax gives each process one GPU.
    lines.append(f"export JAX_LOCAL_DEVICE_IDS={ids}")
  return lines


def _body(job: jobs.Job) -> list[str]:
  """Returns the lines that run the command, and queue the job again."""
  words = [shlex.join(["srun", "--label", *job.command])]
  words += [_ARRAY] if job.points else []
  return [
      "# scancel and pre-emption reach this script too; a time limit does not.",
      "is_cancelled=0",
      "trap is_cancelled=1 TERM",
      "code=0",
      f"{' '.join(words)} || code=$?",
      f"if ((code == {errors.STOPPED} && !is_cancelled)); then",
      '  scontrol requeue "$SLURM_JOB_ID"',
      "fi",
      "exit $code",
  ]
