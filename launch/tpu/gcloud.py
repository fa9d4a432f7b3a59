"""Calls gcloud, and explains its errors."""

from collections.abc import Sequence
import re
import subprocess

from launch.tpu import commands
from zsgen.core import errors

# What an error of gcloud means, by a pattern of its text; the first one counts.
_KINDS = (
    ("login", r"active account|reauthentication|auth login|invalid_grant"),
    ("api", r"SERVICE_DISABLED|has not been used in project|API .*disabled"),
    (
        "project",
        r"\[project\] property|attribute \[project\]"
        r"|[Pp]roject .*(not found|not valid)",
    ),
    ("exists", r"ALREADY_EXISTS|already exists"),
    (
        "zone",
        r"[Ll]ocation .*(not found|not valid|invalid|unauthorized)"
        r"|'locations/|[Zz]one .*(not found|not valid|invalid|does not exist)",
    ),
    ("ssh", r"publickey|port 22|ssh-add"),
    ("absent", r"NOT_FOUND|was not found|[Rr]esource .*not found"),
    ("permission", r"PERMISSION_DENIED|[Pp]ermission .*denied"),
    ("quota", r"[Qq]uota"),
    ("capacity", r"no more capacity|[Ii]nsufficient|RESOURCE_EXHAUSTED"),
    ("network", r"UNAVAILABLE|DEADLINE|[Cc]onnection|timed? ?out|Network"),
)
_ADVICE = {
    "missing": (
        "Install the Google Cloud CLI (https://cloud.google.com/sdk/docs/install)"
        " and run: gcloud init."
    ),
    "login": "Run: gcloud auth login.",
    "api": "Run: gcloud services enable tpu.googleapis.com.",
    "project": "Give --project, or run: gcloud config set project PROJECT.",
    "exists": (
        "Choose another --name, or delete it: python -m launch.tpu delete."
    ),
    "zone": (
        "Check --zone: gcloud compute tpus locations list prints those of your"
        " project."
    ),
    "ssh": "Run: ssh-add ~/.ssh/google_compute_engine.",
    "absent": "Check --name and --zone, or create it.",
    "permission": (
        "Check --project and --zone, and ask its owner for the role"
        " roles/tpu.admin."
    ),
    "quota": (
        "Requests that are FAILED or SUSPENDED count too: list them with gcloud"
        " compute tpus queued-resources list, and delete them. Otherwise ask"
        " for more quota, or change --accelerator, --zone or --capacity."
    ),
    "capacity": "Try another --zone or --capacity, or later.",
    "network": "Check the network, and run the same command again.",
    "other": "Run the command by itself to see all that it prints.",
}


class GcloudError(errors.InputError):
  """A call of gcloud failed.

  Attributes:
    kind: what it means, such as "quota"; "other" if that is not known.
  """

  def __init__(self, command: Sequence[str], kind: str, line: str) -> None:
    self.kind = kind
    start = " ".join(command[:5])
    super().__init__(f"{start} failed: {line} {_ADVICE[kind]}")


def call(command: Sequence[str]) -> str:
  """Runs a command in the checkout and returns what it prints on stdout.

  Raises:
    GcloudError: it fails, or it does not exist.
  """
  try:
    completed = subprocess.run(
        command,
        cwd=commands.ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
  except FileNotFoundError as error:
    line = f"{command[0]} is not installed."
    raise GcloudError(command, "missing", line) from error
  if completed.returncode:
    raise GcloudError(command, *explain(completed.stderr))
  return completed.stdout


def explain(stderr: str) -> tuple[str, str]:
  """Returns what an error of gcloud means, and its line.

  Args:
    stderr: what gcloud printed.
  """
  lines = [line.strip() for line in stderr.splitlines() if line.strip()]
  first = next(
      (index for index, line in enumerate(lines) if line.startswith("ERROR")),
      max(len(lines) - 1, 0),
  )
  line = " ".join(lines[first:]) or "no message."
  kind = next(
      (kind for kind, pattern in _KINDS if re.search(pattern, line)), "other"
  )
  return kind, f"{line[:400].rstrip('.')}."


def find_state(command: Sequence[str]) -> str:
  """Returns the state of a queued resource; "" if it does not exist.

  Args:
    command: the command that prints it.

  Raises:
    GcloudError: another error.
  """
  try:
    return call(command).strip()
  except GcloudError as error:
    if error.kind != "absent":
      raise
  return ""
