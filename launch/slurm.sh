#!/bin/bash
# One process for each GPU, as jax has it under SLURM; they find each other.
#
#   sbatch --nodes=4 --ntasks-per-node=8 --gpus-per-node=8 launch/slurm.sh COMMAND…
#
# Run from the checkout, which like --workdir is on a file system that all
# nodes see (docs/hosts.md). SIGTERM comes 120 seconds before the time is up:
# the run saves and ends with 75; submit the same job again, or let SLURM do it
# (RequeueExit=75 in slurm.conf). A job that was preempted is queued again.
#SBATCH --signal=TERM@120
#SBATCH --requeue
#SBATCH --open-mode=append
set -euo pipefail
if (($# < 1)); then
  sed -n '2,9s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
exec srun --label "$@"
