"""Scripts of launch.render slurm under a real SLURM, if it is installed.

Two slurmd run on this machine, as nodes of one cluster. Debian's slurm-wlm is
enough; munge is not needed.
"""

import getpass
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time

import pytest

from launch import render

PROGRAMS = ("slurmctld", "slurmd", "slurmstepd", "sbatch", "scontrol")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not all(map(shutil.which, PROGRAMS)), reason="SLURM is not installed"
    ),
]

CLUSTER = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/none
CredType=cred/none
{plugins}
StateSaveLocation={directory}/state
SlurmdSpoolDir={directory}/%n
SlurmctldPidFile={directory}/slurmctld.pid
SlurmdPidFile={directory}/%n.pid
SlurmctldPort={ports[0]}
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
ReturnToService=2
NodeName={host} NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=2
NodeName=zz1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=2
PartitionName=all Nodes={host},zz1 Default=YES State=UP
"""
CONFIG = """
import json
import ml_collections

def get_config():
  return ml_collections.ConfigDict(json.loads({text!r}))
"""


class Cluster:
  """A SLURM of two nodes."""

  def __init__(self, directory: pathlib.Path) -> None:
    self.directory = directory
    for name in ("state", "zz1", host := socket.gethostname()):
      (directory / name).mkdir()
    path = directory / "slurm.conf"
    library = pathlib.Path(_program("slurmctld")).parents[1] / "lib"
    plugins = next(library.glob("*/slurm-wlm"), None)
    path.write_text(
        CLUSTER.format(
            host=host,
            user=getpass.getuser(),
            directory=directory,
            plugins=f"PluginDir={plugins}" if plugins else "",
            ports=_free_ports(3),
        )
    )
    self.environment = {**os.environ, "SLURM_CONF": str(path)}
    step = ["-d", _program("slurmstepd")]
    self.daemons = [
        self._start("slurmctld"),
        *(self._start("slurmd", "-N", name, *step) for name in (host, "zz1")),
    ]
    self.wait(lambda: "idle" in self.call("sinfo", "--noheader"))

  def _start(self, name: str, *options: str) -> subprocess.Popen[bytes]:
    """Starts a daemon, which logs to a file."""
    path = self.directory / ("-".join((name, *options[1:2])) + ".log")
    with path.open("wb") as log:
      return subprocess.Popen(
          [_program(name), "-D", *options],
          env=self.environment,
          stdout=log,
          stderr=subprocess.STDOUT,
      )

  def print_logs(self) -> None:
    """Prints the states of the jobs, and the logs of jobs and daemons."""
    print(self.call("scontrol", "show", "jobs"))
    for pattern in ("*.out", "*.log"):
      for path in sorted(self.directory.glob(pattern)):
        print(f"--- {path.name}\n{path.read_text(errors='replace')}")

  def call(self, *command: str) -> str:
    """Returns what a command of SLURM prints; "" if it fails."""
    completed = subprocess.run(
        command,
        cwd=self.directory,
        env=self.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return "" if completed.returncode else completed.stdout

  def submit(self, arguments: list[str]) -> str:
    """Submits a rendered script; returns the number of the job."""
    path = self.directory / "job.sh"
    path.write_text(render.render(["slurm", *arguments]))
    output = self.call("sbatch", "--parsable", str(path))
    assert output, "sbatch failed"
    return output.strip()

  def fields(self, job: str) -> dict[str, str]:
    """Returns what SLURM knows about a job."""
    words = self.call("scontrol", "show", "job", job).split()
    return dict(word.split("=", 1) for word in words if "=" in word)

  def wait(self, predicate) -> None:
    """Waits until a predicate holds, ten minutes at the most."""
    for _ in range(2400):
      if predicate():
        return
      time.sleep(0.25)
    raise TimeoutError

  def stop(self) -> None:
    """Ends the daemons."""
    for daemon in self.daemons[::-1]:
      daemon.send_signal(signal.SIGTERM)
    for daemon in self.daemons:
      daemon.wait(timeout=60)


def _program(name: str) -> str:
  return os.path.realpath(shutil.which(name) or name)


def _free_ports(count: int) -> list[int]:
  sockets = [socket.socket() for _ in range(count)]
  for item in sockets:
    item.bind(("127.0.0.1", 0))
  ports = [item.getsockname()[1] for item in sockets]
  for item in sockets:
    item.close()
  return ports


@pytest.fixture(scope="module")
def daemons(tmp_path_factory):
  cluster = Cluster(tmp_path_factory.mktemp("slurm"))
  yield cluster
  cluster.call("scancel", "--full", "--user", getpass.getuser())
  cluster.stop()


@pytest.fixture
def cluster(daemons):
  yield daemons
  # Only failures show what a test prints.
  daemons.print_logs()


def test_two_nodes_train_save_requeue_and_resume(cluster, root, small):
  small.data.train_instances = 320
  small.order.budget = 4000
  small.evals.heldout.every_steps = 500
  small.machine.save_every = 500
  file = cluster.directory / "config.py"
  file.write_text(CONFIG.format(text=small.to_json()))
  workdir = cluster.directory / "w"
  job = cluster.submit(
      [
          *["--name=two", "--count=2", "--grace=30", "--time=30:00"],
          *["--env=JAX_PLATFORMS=cpu", f"--env=PYTHONPATH={root}"],
          "--env=XLA_FLAGS=--xla_backend_optimization_level=0",
          *["--", sys.executable, "-m", "zsgen.main", f"--config={file}"],
          f"--workdir={workdir}",
      ]
  )
  log = cluster.directory / f"two-{job}.out"
  cluster.wait(
      lambda: any(
          path.stat().st_size for path in workdir.glob("runs/*/metrics.jsonl")
      )
  )
  # Reaches the processes of the job, but not its script, as SLURM's own does.
  assert cluster.fields(job)["JobState"] == "RUNNING"
  cluster.call("scancel", "--signal=TERM", job)
  moving = ("RUNNING", "COMPLETING")
  cluster.wait(lambda: cluster.fields(job)["JobState"] not in moving)
  assert "Exited with exit code 75" in log.read_text()
  assert cluster.fields(job)["JobState"] == "PENDING"
  assert cluster.fields(job)["Restarts"] == "1"
  # It would begin after two minutes. A start in the second in which it ended
  # fails, and its log has nothing: slurmd refuses credentials that are not newer
  # than the end, in whole seconds.
  time.sleep(2)
  cluster.call("scontrol", "update", f"JobId={job}", "StartTime=now")
  moving = ("PENDING", *moving)
  cluster.wait(lambda: cluster.fields(job)["JobState"] not in moving)
  assert cluster.fields(job)["JobState"] == "COMPLETED", log.read_text()
  (run,) = (workdir / "runs").iterdir()
  assert (run / "result.json").is_file()
  text = log.read_text()
  assert "1: " in text  # Lines of the second process.
  resumed = text.rpartition(" from step ")[2]
  assert not resumed.startswith("0 of") and " of 1000" in resumed


def test_a_job_that_is_cancelled_stays_so(cluster):
  # A trap runs before the next command, so that one has to follow.
  program = "trap 'exit 75' TERM; echo waits; while true; do sleep 1; done"
  job = cluster.submit(["--name=c", "--count=2", "--", "bash", "-c", program])
  log = cluster.directory / f"c-{job}.out"
  cluster.wait(lambda: log.exists() and log.read_text().count("waits") == 2)
  cluster.call("scancel", job)
  cluster.wait(lambda: "Exited with exit code 75" in log.read_text())
  cluster.wait(lambda: cluster.fields(job)["JobState"] != "COMPLETING")
  fields = cluster.fields(job)
  assert (fields["JobState"], fields["Restarts"]) == ("CANCELLED", "0")


def test_each_task_of_an_array_has_a_point(cluster):
  job = cluster.submit(["--name=a", "--points=3", "--", "echo", "launch.sweep"])
  logs = [cluster.directory / f"a-{job}_{index}.out" for index in range(3)]
  cluster.wait(lambda: all(log.exists() and log.read_text() for log in logs))
  for index, log in enumerate(logs):
    assert log.read_text() == f"0: launch.sweep --point={index}\n"
