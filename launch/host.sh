#!/bin/bash
# What runs on each host: `python -m launch.tpu` calls it, and SkyPilot's setup.
#
#   host.sh install EXTRAS [SERVER:/SHARE]   installs this checkout into .venv
#   host.sh start JOB COMMAND…               starts a command in the background
#   host.sh status                           prints what became of the last one
#   host.sh logs LINES                       prints the end of its output
#
# The files of a job are in ~/.zsgen/JOB. Processes of a job hold ~/.zsgen/lock,
# so a host runs one job, and a reboot frees it.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
jobs=$HOME/.zsgen

install() {
  if [[ -n ${2-} ]] && ! mountpoint -q /mnt/zsgen; then
    command -v mount.nfs >/dev/null || sudo apt-get install -qq -y nfs-common
    sudo mkdir -p /mnt/zsgen
    sudo mount -t nfs "$2" /mnt/zsgen
  fi
  cd "$root"
  # Images of TPU VMs have Python 3.10 without venv; uv installs another Python.
  python3 -m pip install --quiet --user uv
  if [[ ! -x .venv/bin/python ]]; then
    python3 -m uv venv --quiet --python 3.11 .venv
  fi
  python3 -m uv pip install --quiet --python .venv/bin/python \
    -c constraints.txt -e ".[$1]"
}

# Runs a command, and writes its exit code when it is over.
run() {
  local directory=$1 code=0
  shift
  cd "$root"
  PATH=$root/.venv/bin:$PATH "$@" || code=$?
  echo "$code" >"$directory/code.part"
  mv "$directory/code.part" "$directory/code"
}

start() {
  local job=$1 directory=$jobs/$1
  shift
  mkdir -p "$directory"
  exec 9>>"$jobs/lock"
  if ! flock -n 9; then
    [[ $(<"$jobs/current") == "$job" ]] && return
    echo "$HOSTNAME runs the job $(<"$jobs/current")" >&2
    exit 3
  fi
  rm -f "$directory/code"
  echo "$job" >"$jobs/current"
  setsid nohup bash "${BASH_SOURCE[0]}" run "$directory" "$@" \
    >>"$directory/log" 2>&1 </dev/null &
}

status() {
  local job=- state=absent
  if [[ -e $jobs/current ]]; then
    job=$(<"$jobs/current")
    exec 9>>"$jobs/lock"
    if ! flock -n 9; then
      state=running
    elif [[ -e $jobs/$job/code ]]; then
      state="exited $(<"$jobs/$job/code")"
    else
      state=lost
    fi
  fi
  echo "zsgen-host $HOSTNAME $job $state"
}

logs() {
  [[ -e $jobs/current ]] || return 0
  tail -n "$1" "$jobs/$(<"$jobs/current")/log" | sed "s/^/[$HOSTNAME] /"
}

"$@"
