#!/bin/bash
# Runs a command on every host of a TPU VM slice; jax finds the others itself.
#
#   bash launch/tpu_vm.sh NAME ZONE COMMAND…
#
# The checkout is ~/zsgen on each host, with its environment in ~/zsgen/.venv;
# --workdir must be on a file system that all hosts see (docs/hosts.md).
set -euo pipefail
if (($# < 3)); then
  sed -n '2,7s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
name=$1 zone=$2
shift 2
exec gcloud compute tpus tpu-vm ssh "$name" --zone="$zone" --worker=all \
  --command="cd zsgen && PATH=\$PWD/.venv/bin:\$PATH exec $(printf '%q ' "$@")"
