"""launch.tpu with a program `gcloud` that plays VMs, and real host scripts."""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest

from launch.tpu import __main__ as command
from zsgen.core import errors, terminal

NAME = ["--name=tmt", "--zone=us-west4-a"]
HARDWARE = ["--accelerator=v5e-8", "--capacity=spot"]
WATCH = ["--poll=0.01", "--backoff=0.01"]
STATES = ["WAITING_FOR_RESOURCES", "PROVISIONING", "ACTIVE"]
# Counts its starts in the file $0. Then it waits to be killed, unless it was
# started as often as $1 says, and ends with code $2.
JOB = """
cut -d' ' -f5 /proc/$$/stat > ~/group
echo "start in $HOSTNAME" >> "$0"
(( $(grep -c . "$0") < $1 )) && sleep 600
echo "zsgen is in $(basename "$PWD"), A is $A"
exit $2
"""
# Stands for Python on the hosts: installs nothing, makes an environment.
PYTHON = f"""#!/bin/bash
echo "$*" >> "$FAKE_GCLOUD/python3"
if [[ "$2 $3" == "uv venv" ]]; then
  mkdir -p .venv/bin
  printf '#!/bin/bash\nexec {sys.executable} "$@"\n' > .venv/bin/python
  chmod +x .venv/bin/python
fi
"""


class Cloud:
  """A cloud whose VMs are directories."""

  def __init__(self, directory: pathlib.Path, root: pathlib.Path) -> None:
    self.directory = directory
    self.checkout = directory / "checkout"
    self.starts = directory / "starts"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(root / "launch", self.checkout / "launch", ignore=ignored)
    (self.checkout / "constraints.txt").write_text("")
    shutil.copy(root / ".gitignore", self.checkout)
    subprocess.run(["git", "init", "--quiet"], cwd=self.checkout, check=True)
    programs = directory / "programs"
    programs.mkdir()
    fake = (root / "tests" / "helpers" / "fake_gcloud.py").read_text()
    for name, text in {
        "gcloud": f"#!{sys.executable} -SE\n{fake}",
        "python3": PYTHON,
        "mountpoint": "#!/bin/bash\n",
    }.items():
      (programs / name).write_text(text)
      (programs / name).chmod(0o755)
    self.environment = {
        **os.environ,
        "PATH": f"{programs}:{os.environ['PATH']}",
        "PYTHONPATH": f"{self.checkout}:{root}",
        "FAKE_GCLOUD": str(directory),
    }

  def play(self, *lives: dict, hosts: int = 1) -> None:
    """Sets what happens to the VMs of each `create`."""
    scenario = [{"states": STATES, **life} for life in lives]
    shutil.rmtree(self.directory / "hosts", ignore_errors=True)
    (self.directory / "status.json").unlink(missing_ok=True)
    (self.directory / "scenario.json").write_text(json.dumps(scenario))
    self.environment["FAKE_HOSTS"] = str(hosts)

  def start(self, *arguments: str) -> subprocess.Popen:
    """Starts the command."""
    return subprocess.Popen(
        [sys.executable, "-m", "launch.tpu", *arguments],
        cwd=self.checkout,
        env=self.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )

  def run(self, *arguments: str) -> tuple[int, str]:
    """Runs the command; returns its exit code and what it prints."""
    process = self.start(*arguments)
    output, _ = process.communicate(timeout=120)
    return process.returncode, output

  def supervise(self, *options: str, starts: int = 1, code: int = 0):
    """Runs a supervised job that ends when it was started often enough."""
    return self.run(*self.job(*options, starts=starts, code=code))

  def job(self, *options: str, starts: int = 1, code: int = 0) -> list[str]:
    """Returns the arguments of a supervised job."""
    return [
        *["run", "--supervise", *NAME, *HARDWARE, *WATCH],
        *["--nfs=10.0.0.2:/share", "--env=A=b c", *options],
        *["--", "bash", "-c", JOB, str(self.starts), str(starts), str(code)],
        "--workdir=/mnt/zsgen/tmt",
    ]

  def actions(self) -> list[str]:
    """Returns the actions of gcloud that were called, without repetitions."""
    lines = (self.directory / "calls.jsonl").read_text().splitlines()
    actions = [_action(json.loads(line)) for line in lines]
    return [
        action
        for action, before in zip(actions, ["", *actions], strict=False)
        if action != before
    ]


def _action(call: list[str]) -> str:
  assert call[:3] == ["compute", "tpus", "queued-resources"]
  if call[3] != "ssh":
    return call[3]
  (command,) = [word for word in call if word.startswith("--command=")]
  return command.partition("host.sh ")[2].split()[0]


@pytest.fixture
def cloud(root, tmp_path):
  cloud = Cloud(tmp_path, root)
  yield cloud
  for path in tmp_path.glob("hosts/*/group"):
    try:
      os.killpg(int(path.read_text()), signal.SIGKILL)
    except ProcessLookupError:
      pass


CONFIG = """
import json
import ml_collections

def get_config():
  return ml_collections.ConfigDict(json.loads({text!r}))
"""


PREEMPTED = {"checks": 2, "then": "SUSPENDED"}
CREATION = [
    "describe",
    "create",
    "describe",
    "status",
    "scp",
    "install",
    "start",
]
RECREATION = ["describe", "delete", "create", "describe", "status", "scp"]


def test_a_job_resumes_after_two_preemptions(cloud):
  cloud.play(PREEMPTED, PREEMPTED, {})
  code, output = cloud.supervise(starts=3)
  assert code == 0, output
  assert output.count("tmt is SUSPENDED: deletes it") == 2
  assert "[t1v-w-0] zsgen is in zsgen, A is b c\n" in output
  assert output.endswith("the job ended with code 0\n")
  assert cloud.starts.read_text() == "start in t1v-w-0\n" * 3
  assert cloud.actions() == [
      *CREATION,
      "status",
      *RECREATION,
      *["install", "start", "status"],
      *RECREATION,
      *["install", "start", "status", "logs"],
  ]
  installed = (cloud.directory / "python3").read_text().splitlines()
  line = (
      "-m uv pip install --quiet --python .venv/bin/python -c constraints.txt"
  )
  assert installed[2] == f"{line} -e .[tpu]"


@pytest.mark.slow
def test_a_run_that_is_preempted_twice_has_the_same_bytes(
    cloud, small, tmp_path
):
  small.data.train_instances = 80
  small.order.budget = 1600
  small.evals.heldout.every_steps = 100
  small.machine.save_every = 10
  file = tmp_path / "config.py"
  file.write_text(CONFIG.format(text=small.to_json()))
  command = ["python", "-m", "zsgen.main", f"--config={file}"]
  subprocess.run(
      [sys.executable, *command[1:], f"--workdir={tmp_path / 'whole'}"],
      env=cloud.environment,
      check=True,
  )
  cloud.play({}, {}, {})
  body = "cut -d' ' -f5 /proc/$$/stat > ~/group; exec \"$@\""
  process = cloud.start(
      *["run", "--supervise", *NAME, *HARDWARE, *WATCH, "--nfs=a:/b", "--"],
      *["bash", "-c", body, "/mnt/zsgen", *command],
      f"--workdir={tmp_path / 'w'}",
  )
  steps = 0
  for _ in range(2):
    while (count := _count_steps(tmp_path / "w")) < steps + 50:
      assert process.poll() is None
      time.sleep(0.05)
    steps = count
    (tmp_path / "preempt").touch()
  output, _ = process.communicate(timeout=300)
  assert process.returncode == 0, output
  assert output.count("tmt is SUSPENDED: deletes it") == 2
  (run,) = (tmp_path / "w" / "runs").iterdir()
  for name in ("metrics.jsonl", "consumed.npy"):
    whole = tmp_path / "whole" / "runs" / run.name / name
    assert (run / name).read_bytes() == whole.read_bytes()


def _count_steps(workdir: pathlib.Path) -> int:
  """Returns the number of steps that a run has logged."""
  return sum(
      len(path.read_text().splitlines())
      for path in workdir.glob("runs/*/metrics.jsonl")
  )


def test_retries_have_a_bound_and_longer_pauses(cloud):
  lost = {"states": ["FAILED"]}
  cloud.play(lost, lost, lost, lost, {})
  code, output = cloud.supervise("--retries=3")
  assert code == 1
  assert "tmt is FAILED. No retries are left. tmt may still exist" in output
  pauses = [line for line in output.splitlines() if "Retries in" in line]
  assert pauses == [
      "tmt is FAILED. Retries in 0.01 s; 3 left",
      "tmt is FAILED. Retries in 0.02 s; 2 left",
      "tmt is FAILED. Retries in 0.04 s; 1 left",
  ]
  assert cloud.actions().count("create") == 4
  assert not cloud.starts.exists()


@pytest.mark.parametrize(
    ("code", "result", "starts"),
    [(2, 2, 2), pytest.param(75, 1, 4, marks=pytest.mark.slow)],
)
def test_all_hosts_start_again_unless_the_input_is_bad(
    cloud, code, result, starts
):
  cloud.play({}, hosts=2)
  options = ["--accelerator=v4-16", "--retries=1"]
  assert cloud.supervise(*options, code=code)[0] == result
  lines = cloud.starts.read_text().splitlines()
  assert len(lines) == starts and len({*lines}) == 2


@pytest.mark.slow
def test_vms_that_do_not_answer_are_made_again(cloud):
  cloud.play({}, {}, hosts=1)
  options = ["--accelerator=v4-16", "--retries=1"]  # It has 2 hosts.
  code, output = cloud.supervise(*options)
  assert code == 1 and "tmt is ACTIVE: deletes it" in output
  assert "the hosts of tmt do not answer. No retries are left" in output


@pytest.mark.slow
def test_a_supervisor_can_be_stopped_and_started_again(cloud):
  cloud.play({})
  process = cloud.start(*cloud.job(starts=2))
  while not cloud.starts.exists():
    time.sleep(0.01)
  assert process.poll() is None
  process.send_signal(signal.SIGTERM)
  output, _ = process.communicate(timeout=60)
  assert process.returncode == 143
  assert "stopped; the job goes on if it has started" in output
  # Another one finds the job, and the job ends.
  process = cloud.start(*cloud.job(starts=2))
  line = process.stdout.readline()
  assert line == "the job runs on 1 host(s)\n"
  # Without a network for long, it waits.
  offline = cloud.directory / "offline"
  (cloud.directory / "part").write_text("24")
  (cloud.directory / "part").rename(offline)
  while offline.read_text() != "0":
    time.sleep(0.01)
  (group,) = cloud.directory.glob("hosts/*/group")
  os.killpg(int(group.read_text()), signal.SIGKILL)
  output, _ = process.communicate(timeout=60)
  assert process.returncode == 0, output
  assert "the job ended with code 137. Retries in" in output
  assert cloud.actions().count("create") == 1
  assert "delete" not in cloud.actions()
  # A third one finds that it has finished.
  code, output = cloud.run(*cloud.job(starts=2))
  assert code == 0 and len(cloud.starts.read_text().splitlines()) == 2


@pytest.mark.slow
def test_commands_without_supervision(cloud):
  job = cloud.job(code=3)
  job.remove("--supervise")
  job.remove("--backoff=0.01")
  cloud.play({})
  code, output = cloud.run(*job)
  assert code == 2 and "tmt is not there. Request it by" in output
  assert cloud.run("status", *NAME) == (0, "tmt is not there\n")
  assert cloud.run("create", *NAME, *HARDWARE)[0] == 0
  code, output = cloud.run("create", *NAME, *HARDWARE)
  assert code == 2 and "ALREADY_EXISTS" in output and "Choose another" in output
  code, output = cloud.run(*job)
  assert code == 2 and "tmt is WAITING_FOR_RESOURCES" in output
  assert cloud.run("status", *NAME)[1] == "tmt is PROVISIONING\n"
  code, output = cloud.run("status", *NAME)
  assert output == "tmt is ACTIVE\nt1v-w-0: - absent\n"
  code, output = cloud.run(*job)
  assert code == 3 and "the job ended with code 3" in output
  assert cloud.run(*job)[0] == 3
  assert len(cloud.starts.read_text().splitlines()) == 2
  _, output = cloud.run("status", *NAME)
  assert output.endswith(" exited with code 3\n")
  _, output = cloud.run("logs", *NAME, "--lines=1")
  assert output == "[t1v-w-0] zsgen is in zsgen, A is b c\n"
  assert cloud.run("delete", *NAME) == (0, "deleted tmt\n")
  assert cloud.run("status", *NAME) == (0, "tmt is not there\n")


def test_a_host_runs_one_job(cloud):
  cloud.play({})
  process = cloud.start(*cloud.job(starts=2))
  while not cloud.starts.exists():
    time.sleep(0.01)
  code, output = cloud.supervise("--env=B=c")
  assert code == 2
  assert "t1v-w-0 runs the job tmt-" in output
  process.kill()
  process.communicate(timeout=60)


def test_errors_that_no_retry_solves_end_the_supervisor(cloud):
  denied = "PERMISSION_DENIED: Permission 'tpu.queuedResources.create' denied"
  cloud.play({"error": denied})
  code, output = cloud.supervise()
  assert code == 2 and "roles/tpu.admin" in output
  assert cloud.actions() == ["describe", "create"]
  quota = "Quota limit 'TPUV5' has been exceeded"
  cloud.play({"error": quota}, {"error": quota}, {})
  code, output = cloud.supervise()
  assert code == 0 and "FAILED or SUSPENDED count too" in output


def test_a_dry_run_calls_nothing(cloud):
  cloud.play({})
  options = ["run", "--supervise", "--dry-run", *NAME, *HARDWARE]
  command = ["--", "true", "--workdir=/mnt/zsgen/a"]
  code, output = cloud.run(*options, "--nfs=10.0.0.2:/share", *command)
  assert code == 0
  assert not (cloud.directory / "calls.jsonl").exists()
  lines = [line for line in output.splitlines() if line[0] != "#"]
  assert len(lines) == 9
  assert all(line.startswith(("gcloud compute", "bash -o")) for line in lines)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", *NAME, "--accelerator=v5e-8"], "there is no command"),
        (["run", *NAME, "--", "true"], "--accelerator is missing"),
        (["create", "--zone=us-west4-a"], "--accelerator is missing"),
        (["create", *HARDWARE], "--zone is missing: zone of Google Cloud"),
        (["status", *NAME, "--", "true"], "status takes no command after --"),
        (["run", *NAME, *HARDWARE, "--retries=1", "--", "a"], "--supervise"),
        (["run", *NAME, *HARDWARE, "--poll=-1", "--", "a"], "be negative"),
        (
            ["run", "--supervise", *NAME, *HARDWARE, "--", "true"],
            "--nfs is missing: the disk of a VM is deleted with it",
        ),
        (
            ["run", *NAME, "--accelerator=v5e-16", "--", "true"],
            "--nfs is missing",
        ),
    ],
)
def test_bad_options_have_one_message(
    monkeypatch, tmp_path, arguments, message
):
  monkeypatch.setenv("PATH", str(tmp_path))  # Nothing is called.
  with pytest.raises(errors.InputError, match=re.escape(message)):
    command.run(arguments, terminal.Console())
