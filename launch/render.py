"""Prints the job script, manifest or commands of a job for one scheduler.

  python -m launch.render TARGET [options] -- COMMAND…

slurm     a job script for sbatch
jobset    a Kubernetes JobSet: TPU slices or GPU nodes in GKE
xpk       a call of xpk, for clusters that xpk made
gcluster  a call of Cluster Toolkit's gcluster
sky       a task file for SkyPilot
mig       a script for a managed instance group of TPU VMs (v5p, v6e, TPU7x)
tpu       the calls of gcloud that python -m launch.tpu makes

Nothing is started. `@FILE` stands for the options in a file.
"""

import argparse
from collections.abc import Callable, Sequence
import sys

from launch import clusters, jobset, managed, sky, slurm
from launch import job as jobs
from launch.tpu import commands
from zsgen.core import errors, terminal

# The fields of a job that each target uses, and its function.
TARGETS: dict[str, tuple[Sequence[str], Callable[[jobs.Job], str]]] = {
    "slurm": (slurm.FIELDS, slurm.render),
    "jobset": (jobset.FIELDS, jobset.render),
    "xpk": (clusters.XPK_FIELDS, clusters.xpk),
    "gcluster": (clusters.GCLUSTER_FIELDS, clusters.gcluster),
    "sky": (sky.FIELDS, sky.render),
    "mig": (managed.FIELDS, managed.render),
    "tpu": (commands.FIELDS, commands.render),
}


def render(arguments: Sequence[str]) -> str:
  """Returns what the command prints.

  Args:
    arguments: its arguments.

  Raises:
    InputError: an option is invalid.
  """
  head, command = jobs.split_command(arguments)
  parser = jobs.Parser(
      prog="python -m launch.render",
      description=__doc__,
      formatter_class=argparse.RawDescriptionHelpFormatter,
  )
  targets = parser.add_subparsers(dest="target", required=True)
  for name, (fields, _) in TARGETS.items():
    jobs.add_options(targets.add_parser(name), fields)
  options = parser.parse_args(head)
  _, function = TARGETS[options.target]
  return function(jobs.build(options, command))


def main() -> None:
  """Runs the command."""
  try:
    print(render(sys.argv[1:]), end="")
  except errors.InputError as error:
    terminal.print_message(error)
    sys.exit(2)


if __name__ == "__main__":
  main()
