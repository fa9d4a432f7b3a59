"""Errors of gcloud become one message with what to do."""

import json
import os
import re
import shutil
import subprocess

import pytest

from docs import transcripts
from launch import job as jobs
from launch.tpu import commands, gcloud, hosts

JOB = jobs.Job(
    command=("python", "-m", "zsgen.main"),
    name="tmt",
    zone="us-west4-a",
    accelerator="v5e-8",
)
ERROR = "ERROR: (gcloud.compute.tpus.queued-resources.create) "


@pytest.mark.parametrize(
    ("line", "kind", "advice"),
    [
        (
            "You do not currently have an active account selected.",
            "login",
            "gcloud auth login",
        ),
        (
            "PERMISSION_DENIED: Cloud TPU API has not been used in project 1"
            " before or it is disabled.",
            "api",
            "gcloud services enable tpu.googleapis.com",
        ),
        (
            "The required property [project] is not currently set. It can be"
            " set by the [project] property",
            "project",
            "Give --project",
        ),
        (
            "Error parsing [queued_resource]. The [queued_resource] resource is"
            " not properly specified. Failed to find attribute [project].",
            "project",
            "Give --project",
        ),
        (
            "PERMISSION_DENIED: Permission 'tpu.queuedResources.create' denied"
            " on resource '//tpu.googleapis.com/projects/p' (or it may not"
            " exist).",
            "permission",
            "roles/tpu.admin",
        ),
        (
            "NOT_FOUND: Location us-foo1-a is not found or access is"
            " unauthorized.",
            "zone",
            "gcloud compute tpus locations list",
        ),
        (
            "INVALID_ARGUMENT: Zone us-foo1-a is invalid.",
            "zone",
            "Check --zone",
        ),
        (
            "RESOURCE_EXHAUSTED: Quota limit"
            " 'TPUV5sLitepodPerProjectPerZoneForTPUAPI' has been exceeded."
            " Limit: 4 in zone us-west4-a.",
            "quota",
            "FAILED or SUSPENDED count too",
        ),
        (
            "There is no more capacity in the zone; you can try in another zone",
            "capacity",
            "Try another --zone",
        ),
        ("ALREADY_EXISTS: Resource already exists.", "exists", "--name"),
        (
            "NOT_FOUND: Resource 'projects/p/locations/us-west4-a/"
            "queuedResources/tmt' was not found",
            "absent",
            "or create it",
        ),
        ("UNAVAILABLE: try later", "network", "same command again"),
        ("something new", "other", "Run the command by itself"),
    ],
)
def test_errors_are_explained(line, kind, advice):
  stderr = f"WARNING: something\n{ERROR}{line}\n- detail\n"
  found_kind, text = gcloud.explain(stderr)
  assert found_kind == kind
  message = str(gcloud.GcloudError(commands.create(JOB), kind, text))
  assert message.startswith(
      "gcloud compute tpus queued-resources create failed"
  )
  assert line.rstrip(".") in message and advice in message
  assert "WARNING" not in message and "\n" not in message


@pytest.mark.parametrize(
    ("stderr", "kind"),
    [
        ("user@10.0.0.1: Permission denied (publickey).", "ssh"),
        ("ssh: connect to host 10.0.0.1 port 22: Connection refused", "ssh"),
        ("", "other"),
    ],
)
def test_errors_of_ssh_are_not_those_of_permissions(stderr, kind):
  assert gcloud.explain(stderr)[0] == kind


def test_a_missing_program_is_explained(monkeypatch, tmp_path):
  monkeypatch.setenv("PATH", str(tmp_path))
  with pytest.raises(gcloud.GcloudError, match="is not installed") as e:
    gcloud.call(commands.describe(JOB))
  assert e.value.kind == "missing"


def test_the_name_of_a_job_depends_on_its_command():
  keys = {
      commands.job_key(job)
      for job in (
          JOB,
          jobs.Job(command=("python", "-m zsgen.main"), name="tmt"),
          jobs.Job(command=JOB.command, name="tmt", env=("A=b",)),
      )
  }
  assert len(keys) == 3
  assert all(re.fullmatch("tmt-[0-9a-f]{8}", key) for key in keys)


def _hosts(*states):
  lines = [
      f"zsgen-host h{index} a-1 {state}" for index, state in enumerate(states)
  ]
  return hosts.parse("Using ssh batch size of 1.\n" + "\n".join(lines))


@pytest.mark.parametrize(
    ("states", "can_start", "is_settled", "code"),
    [
        (["absent", "absent"], True, True, None),
        (["absent", "running"], True, False, None),
        (["running", "running"], True, False, None),
        (["exited 75", "running"], False, False, None),
        (["lost", "running"], False, False, None),
        (["exited 75", "exited 75"], True, True, 75),
        (["exited 0", "exited 0"], True, True, 0),
        (["exited 1", "exited 2"], True, True, 2),
        (["exited 0", "lost"], True, True, 137),
    ],
)
def test_the_states_of_hosts(states, can_start, is_settled, code):
  parsed = _hosts(*states)
  assert [host.name for host in parsed] == ["h0", "h1"]
  assert hosts.can_start(parsed) == can_start
  assert hosts.is_settled(parsed) == is_settled
  if code is not None:
    assert hosts.exit_code(parsed) == code
    assert hosts.has_finished(parsed) == (code == 0)


def test_another_job_on_a_host_is_not_this_one():
  (host,) = hosts.select(_hosts("exited 0"), "b-2")
  assert host.state == "absent"


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("gcloud"), reason="gcloud is not there")
def test_gcloud_knows_the_commands(root, tmp_path):
  """Parses what the pages show as gcloud does, without an account."""
  text = "".join((root / page).read_text("utf-8") for page in transcripts.PAGES)
  # A pipe ends a command, unless it is in quotation marks.
  command = r"gcloud compute (?:'[^']*'|\"[^\"]*\"|[^'\"|\n])*"
  matches = re.findall(rf"(?:^ *|@HOST@ )({command})", text, re.M)
  lines = [match.strip() for match in matches]
  actions = {
      line.split()[4]
      for line in lines
      if line.startswith("gcloud compute tpus queued-resources ")
  }
  assert actions == {"create", "describe", "delete", "scp", "ssh"}
  others = {line.split()[2] for line in lines}
  assert others >= {
      "instance-groups",
      "instance-templates",
      "resource-policies",
  }
  environment = {
      **os.environ,
      "CLOUDSDK_CONFIG": str(tmp_path),
      "CLOUDSDK_CORE_CHECK_GCE_METADATA": "false",
      "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
      "CLOUDSDK_CORE_DISABLE_USAGE_REPORTING": "1",
  }
  # Version 528 has this flag in its alpha release track only.
  lines = [
      line.replace(" --target-size-policy-mode=bulk", "") for line in lines
  ]
  for line in {*lines, "gcloud compute tpus queued-resources create --spo=t"}:
    completed = subprocess.run(
        ["gcloud", "meta", "lint-gcloud-commands", f"--command-string={line}"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    (result,) = json.loads(completed.stdout)
    is_known = "--spo=t" not in line
    assert result["success"] == is_known, (line, result["error_message"])
