"""A program `gcloud` for tests: records its calls and plays TPU VMs.

The directory FAKE_GCLOUD has `scenario.json`: a list of lives of a queued
resource, one for each `create`. A life is

  {"states": [...], "checks": N, "then": "SUSPENDED"}

`describe` prints its states one after another, and then the last one again.
After N calls of `host.sh status` its processes are killed and its state is
`then`. A life {"error": TEXT} makes `create` fail. Hosts are directories; what
`ssh` runs there has them as its home. The file `offline` has the number of
calls that fail because there is no network. The file `preempt` ends a life at
the next check.
"""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys

STATE = pathlib.Path(os.environ["FAKE_GCLOUD"])
HOSTS = int(os.environ.get("FAKE_HOSTS", "1"))


def main(arguments: list[str]) -> int:
  """Plays one call; returns its exit code."""
  with (STATE / "calls.jsonl").open("a") as file:
    file.write(json.dumps(arguments) + "\n")
  if _is_offline():
    return _fail("UNAVAILABLE: no network")
  lives = json.loads((STATE / "scenario.json").read_text())
  status = _read()
  match arguments[3]:
    case "create":
      return _create(lives, status)
    case "delete":
      _kill()
      shutil.rmtree(STATE / "hosts", ignore_errors=True)
      _write({**status, "exists": False})
      return 0
  if not status["exists"]:
    return _fail("NOT_FOUND: Resource 'queuedResources/x' was not found")
  return _use(arguments, lives[status["life"]], status)


def _use(arguments: list[str], life: dict, status: dict) -> int:
  """Plays a call for VMs that exist."""
  match arguments[3]:
    case "describe":
      print(_next_state(life, status))
      return 0
    case "scp":
      for host in _hosts():
        shutil.copy(arguments[4], host / arguments[5].partition(":")[2])
      return 0
  return _ssh(arguments, life, status)


def _is_offline() -> bool:
  path = STATE / "offline"
  calls = int(path.read_text()) if path.exists() else 0
  if calls:
    path.write_text(str(calls - 1))
  return calls > 0


def _create(lives: list[dict], status: dict) -> int:
  if status["exists"]:
    return _fail("ALREADY_EXISTS: the resource already exists")
  index = status["life"] + 1
  _write({"life": index, "seen": 0, "checks": 0, "exists": True})
  if index >= len(lives) or "error" in lives[index]:
    _write({"life": index, "seen": 0, "checks": 0, "exists": False})
    return _fail(lives[index]["error"] if index < len(lives) else "no more")
  for number in range(HOSTS):
    (STATE / "hosts" / f"t1v-w-{number}").mkdir(parents=True)
  return 0


def _next_state(life: dict, status: dict) -> str:
  if status["checks"] > life.get("checks", 10**8):
    return life.get("then", "SUSPENDED")
  states = life["states"]
  state = states[min(status["seen"], len(states) - 1)]
  _write({**status, "seen": status["seen"] + 1})
  return state


def _ssh(arguments: list[str], life: dict, status: dict) -> int:
  command = next(
      word.partition("=")[2]
      for word in arguments
      if word.startswith("--command=")
  )
  if re.search(r"host\.sh status", command):
    status["checks"] += 10**9 if (STATE / "preempt").exists() else 1
    (STATE / "preempt").unlink(missing_ok=True)
    _write(status)
  if status["checks"] > life.get("checks", 10**8):
    _kill()
    return _fail("ssh: connect to host 10.0.0.1 port 22: Connection refused")
  codes = []
  for host in _hosts():
    environment = {**os.environ, "HOME": str(host), "HOSTNAME": host.name}
    completed = subprocess.run(
        ["bash", "-c", command], cwd=host, env=environment, check=False
    )
    codes.append(completed.returncode)
  return max(codes)


def _kill() -> None:
  """Kills the processes of all jobs, which write their groups to a file."""
  for path in STATE.glob("hosts/*/group"):
    try:
      os.killpg(int(path.read_text()), signal.SIGKILL)
    except ProcessLookupError:
      pass


def _hosts() -> list[pathlib.Path]:
  return sorted((STATE / "hosts").iterdir())


def _read() -> dict:
  path = STATE / "status.json"
  if not path.exists():
    return {"life": -1, "seen": 0, "checks": 0, "exists": False}
  return json.loads(path.read_text())


def _write(status: dict) -> None:
  (STATE / "status.json").write_text(json.dumps(status))


def _fail(message: str) -> int:
  print(f"ERROR: (gcloud.compute.tpus) {message}.", file=sys.stderr)
  return 1


if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))
