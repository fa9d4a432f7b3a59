"""What launch.render prints, what it refuses, and what its scripts do."""

import os
import re
import subprocess
import sys

import pytest
import yaml

from docs import transcripts
from launch import render
from zsgen.core import errors

TRAIN = ["--", "python", "-m", "zsgen.main", "--workdir=/mnt/zsgen/a"]
SWEEP = ["--", "python", "-m", "launch.sweep", "--config=configs/orders.py"]
JOBSET = ["jobset", "--accelerator=v5e-16", "--image=zsgen", "--volume=v"]
SKY = ["sky", "--accelerator=v5e-16", "--nfs=10.0.0.2:/s"]
GKE = [*JOBSET[1:], "--cluster=c", "--location=l"]
MIG = [
    *("mig", "--name=a", "--accelerator=v6e-16", "--zone=us-east5-b"),
    *("--project=p", "--nfs=a:/b"),
]
TPU = ["tpu", "--accelerator=v5e-16", "--zone=us-west4-a", "--nfs=a:/b"]


@pytest.mark.parametrize("page", transcripts.PAGES)
def test_transcripts_are_what_the_commands_print(root, page):
  text = (root / page).read_text("utf-8")
  assert len(re.findall(r"^\$ python -m launch", text, re.M)) > 5
  assert (
      transcripts.update(page) == text
  ), f"{page} is out of date: run `python -m docs.transcripts`"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: target"),
        (["kubernetes"], "invalid choice: 'kubernetes'"),
        (["slurm"], "there is no command. End the line with it"),
        (
            ["slurm", "--accelerator=v4-8", *TRAIN],
            "unrecognized arguments: --ac",
        ),
        (["slurm", "--count=0", *TRAIN], "--count=0 must be from 1 to 1024"),
        (["slurm", "--count=x", *TRAIN], "invalid int value: 'x'"),
        (["slurm", "--name=A_b", *TRAIN], "--name='A_b' is malformed; give a"),
        (["slurm", "--time=1h", *TRAIN], "such as 12:00:00 or 1-12:00:00"),
        (["slurm", "--process=node", *TRAIN], "Add --gpus"),
        (["slurm", "--process=core", *TRAIN], "'core' is unknown. Choose one"),
        (["slurm", "--points=3", *TRAIN], "must be python -m launch.sweep"),
        (["slurm", "--points=3", *SWEEP, "--point=1"], "which has it already"),
        (["slurm", "--sbatch=--nodes=2", *TRAIN], "sets --nodes by itself"),
        (["slurm", "--sbatch=-p gpu", *TRAIN], "such as --partition=gpu"),
        (["slurm", "--env=1A=b", *TRAIN], "such as HF_HUB_OFFLINE=1"),
        (["slurm", "@no_such_file", *TRAIN], "No such file"),
        (["jobset", *TRAIN], "--accelerator is missing: what one slice"),
        ([*JOBSET[:2], *TRAIN], "--image is missing: image that launch/Docker"),
        ([*JOBSET[:3], *TRAIN], "--volume is missing: the disk of a pod is"),
        ([*JOBSET, "--", "python"], "the command does not name /mnt/zsgen"),
        ([*JOBSET, "--label=a", *TRAIN], "give a value such as team=nlp"),
        ([*JOBSET, "--capacity=reserved", *TRAIN], "belongs to a node pool"),
        ([*JOBSET, "--accelerator=v5e-24", *TRAIN], "v5e-8, v5e-16, v5e-32"),
        (["xpk", *JOBSET[1:], *TRAIN], "--cluster is missing"),
        (["xpk", *GKE, "--accelerator=h100-8", "--count=2", *TRAIN], "jobset"),
        (["gcluster", *GKE, "--accelerator=h100-8", *TRAIN], "is not a TPU"),
        (["gcluster", *GKE, "--volume=gs://b", *TRAIN], "no locks and cannot"),
        ([*SKY, "--count=2", *TRAIN], "does not connect several TPU slices"),
        ([*SKY, "--capacity=reserved", *TRAIN], "own config file"),
        ([*SKY, "--accelerator=h100-8", "--runtime=x", *TRAIN], "is for TPUs"),
        ([*SKY, "--runtime=v2-alpha-tpuv6e", *TRAIN], "is for v6e. v5e has"),
        ([*SKY[:2], *TRAIN], "--nfs is missing: the disk of a VM is deleted"),
        ([*SKY, "--restarts=3", *TRAIN], "unrecognized arguments: --restarts"),
        ([*MIG[:4], *TRAIN], "--project is missing"),
        ([*MIG[:5], *TRAIN], "--nfs is missing: the disk of a VM is deleted"),
        ([*MIG, "--accelerator=v5e-16", *TRAIN], "groups for v5p, v6e, tpu7x."),
        ([*MIG, "--capacity=reserved", *TRAIN], "the name of the reservation"),
        ([*MIG, "--count=2", *TRAIN], "unrecognized arguments: --count=2"),
        ([*TPU, "--zone=us-west4", *TRAIN], "such as us-central2-b"),
        ([*TPU, "--accelerator=tpu7x-8", *TRAIN], "launch.render mig makes"),
        ([*TPU, "--nfs=/share", *TRAIN], "such as 10.0.0.2:/share"),
        ([*TPU[:3], *TRAIN], "--nfs is missing"),
        ([*TPU, "--runtime=tpu-ubuntu2204-base", *TRAIN], "is for v4. v5e has"),
    ],
)
def test_bad_descriptions_have_one_message(arguments, message):
  with pytest.raises(errors.InputError) as caught:
    render.render(arguments)
  assert message in str(caught.value)


def test_a_workdir_in_a_bucket_needs_no_shared_storage():
  command = ["--", "python", "-m", "zsgen.main", "--workdir=gs://b/tmt"]
  assert "volumeMounts" not in render.render([*JOBSET[:3], *command])
  assert "mount" not in render.render([*SKY[:2], *command])


def test_errors_are_one_line_and_exit_code_2(root):
  completed = subprocess.run(
      [sys.executable, "-m", "launch.render", *JOBSET[:2], *TRAIN],
      cwd=root,
      capture_output=True,
      text=True,
      check=False,
  )
  assert completed.returncode == 2 and not completed.stdout
  assert completed.stderr.startswith("zsgen: --image is missing")
  assert completed.stderr.count("\n") == 1


def test_options_in_a_file(tmp_path):
  path = tmp_path / "my_job.txt"
  path.write_text("# Where it runs.\n--gpus=8 --count=4\n--env='A=b c'\n")
  script = render.render(["slurm", f"@{path}", *TRAIN])
  plain = ["--gpus=8", "--count=4", "--env=A=b c"]
  assert script == render.render(["slurm", *plain, *TRAIN])


def _jobset(*arguments):
  text = render.render([*JOBSET, *arguments, *TRAIN])
  return yaml.safe_load(text)["spec"]["replicatedJobs"][0]


def test_every_slice_of_a_jobset_has_its_hosts():
  slices = _jobset("--count=3", "--accelerator=v4-64")
  job = slices["template"]["spec"]
  assert (slices["replicas"], job["completions"], job["parallelism"]) == (
      3,
      8,
      8,
  )
  container = job["template"]["spec"]["containers"][0]
  assert container["resources"] == {"limits": {"google.com/tpu": 4}}
  assert container["command"] == TRAIN[1:]


def test_pods_that_have_saved_are_made_again():
  job = _jobset()["template"]["spec"]
  rules = job["podFailurePolicy"]["rules"]
  actions = {
      code: rule["action"]
      for rule in rules
      for code in rule.get("onExitCodes", {}).get("values", [])
  }
  assert actions == {2: "FailJob", errors.STOPPED: "Ignore"}
  # A policy needs pods that are not restarted in place.
  assert job["template"]["spec"]["restartPolicy"] == "Never"
  names = {rule["onExitCodes"]["containerName"] for rule in rules[:2]}
  assert names == {job["template"]["spec"]["containers"][0]["name"]}


def test_the_first_gpu_node_is_the_coordinator():
  nodes = _jobset("--accelerator=h100-8", "--count=2", "--name=b")
  pod = nodes["template"]["spec"]["template"]["spec"]
  variables = {item["name"]: item for item in pod["containers"][0]["env"]}
  # JOBSET-REPLICATED_JOB-JOB-POD.JOBSET
  address = f"b-{nodes['name']}-0-0.b:8476"
  assert variables["JAX_COORDINATOR_ADDRESS"]["value"] == address
  assert variables["JAX_NUM_PROCESSES"]["value"] == "2"
  assert "job-completion-index" in str(variables["JAX_PROCESS_ID"])


@pytest.fixture
def slurm(tmp_path, monkeypatch):
  """Returns a function that runs a script with programs that play SLURM."""
  programs = {
      "srun": (
          'eval "$SRUN_BEGIN"; echo "srun $*"; env | grep ^JAX_LOCAL; exit "$SRUN_CODE"'
      ),
      "scontrol": 'echo "scontrol $*"',
  }
  for name, body in programs.items():
    (tmp_path / name).write_text(f"#!/bin/bash\n{body}\n")
    (tmp_path / name).chmod(0o755)
  monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

  def run(code, *arguments, begin=":"):
    variables = {
        "SRUN_BEGIN": begin,
        "SRUN_CODE": str(code),
        "SLURM_JOB_ID": "17",
        "SLURM_ARRAY_TASK_ID": "4",
    }
    return subprocess.run(
        ["bash"],
        input=render.render(["slurm", *arguments]),
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )

  return run


@pytest.mark.parametrize("code", [0, 1, 2, 75, 143])
def test_slurm_requeues_a_job_that_has_saved(slurm, code):
  completed = slurm(code, *TRAIN)
  assert completed.returncode == code
  assert completed.stdout.startswith("srun --label python -m zsgen.main")
  assert ("scontrol requeue 17" in completed.stdout) == (code == errors.STOPPED)


def test_slurm_does_not_requeue_a_job_that_is_cancelled(slurm):
  completed = slurm(75, *TRAIN, begin="kill -TERM $PPID")
  assert completed.returncode == 75
  assert completed.stdout.startswith("srun --label python -m zsgen.main")
  assert "scontrol" not in completed.stdout


def test_slurm_gives_each_task_of_an_array_a_point(slurm):
  completed = slurm(0, "--points=5", *SWEEP)
  line = "srun --label python -m launch.sweep --config=configs/orders.py"
  assert completed.stdout == f"{line} --point=4\n"


def test_a_process_of_a_slurm_node_has_all_its_gpus(slurm):
  completed = slurm(0, "--gpus=4", "--process=node", *TRAIN)
  assert "JAX_LOCAL_DEVICE_IDS=0,1,2,3\n" in completed.stdout
  completed = slurm(0, "--gpus=4", *TRAIN)
  assert "JAX_LOCAL_DEVICE_IDS" not in completed.stdout


def test_words_of_a_command_stay_words(slurm):
  completed = slurm(0, "--", "echo", "a  b", "$HOME", "it's")
  assert completed.stdout == "srun --label echo a  b $HOME it's\n"


@pytest.fixture
def managed(tmp_path, monkeypatch):
  """Returns a function that runs a script with a program that plays gcloud.

  It returns what each call of gcloud was, in their order.
  """
  log = tmp_path / "calls"
  (tmp_path / "gcloud").write_text(f"""#!/bin/bash
printf '%s\\x1f' "$@" >>{log}
echo >>{log}
[[ $* == *list-instances* ]] && printf 'a-2\\na-1\\n'
[[ $* != *${{FAILS-never}}* ]]
""")
  (tmp_path / "gcloud").chmod(0o755)
  monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
  monkeypatch.chdir(tmp_path)
  subprocess.run(["git", "init", "-q"], check=True)

  def run(action, *arguments):
    script = render.render([*MIG, *arguments])
    command = ["bash", "-c", script, "slice", action]
    code = subprocess.run(command, check=False).returncode
    lines = log.read_text().splitlines() if log.exists() else []
    return code, [line.split("\x1f")[:-1] for line in lines]

  return run


def test_a_managed_group_is_made_and_deleted(managed):
  code, calls = managed("create", "--accelerator=v6e-16", *TRAIN)
  assert code == 0
  assert [call[1] for call in calls] == [
      "resource-policies",
      "instance-templates",
      "instance-groups",
      "instance-groups",
  ]
  assert "--accelerator-topology=4x4" in calls[0]
  assert "--machine-type=ct6e-standard-4t" in calls[1]
  assert "--size=4" in calls[2]
  policy = "projects/p/regions/us-east5/resourcePolicies/a"
  assert f"--workload-policy={policy}" in calls[2]
  code, calls = managed("delete", *TRAIN)
  names = ["instance-groups", "instance-templates", "resource-policies"]
  assert [
      call[1] for call in calls[4:]
  ] == names  # The policy is used by others.
  assert managed("deleet", *TRAIN)[0] == 2


def test_a_slice_that_is_partly_made_is_deleted_in_full(
    managed, monkeypatch, capfd
):
  monkeypatch.setenv("FAILS", "create a --size")
  code, calls = managed("create", *TRAIN)
  assert code and calls[-1][1] == "instance-groups"
  assert "delete deletes what was made" in capfd.readouterr().err
  monkeypatch.setenv("FAILS", "managed delete")
  code, calls = managed("delete", *TRAIN)
  assert code and calls[-1][1] == "resource-policies"


def test_each_vm_of_a_managed_group_gets_its_index(managed):
  command = ["--env=A=b c", "--", "echo", "it's", "$HOME", "/mnt/zsgen"]
  code, calls = managed("run", *command)
  assert code == 0
  starts = [call for call in calls if "host.sh start" in call[-1]]
  assert [call[2] for call in starts] == ["a-1", "a-2"]
  for index, call in enumerate(starts):
    words = call[-1].removeprefix("--command=")
    assert f"JAX_PROCESS_ID={index} 'A=b c' echo" in words
    assert "JAX_COORDINATOR_ADDRESS=a-1:8476 JAX_NUM_PROCESSES=4" in words
    assert words.endswith("""'it'"'"'s' '$HOME' /mnt/zsgen""")
