"""Starts a job on TPU VMs, watches it, and starts it again after pre-emption.

All state is in the cloud and on the hosts: the process can be stopped at any
time, and the same command continues.
"""

from collections.abc import Sequence
import dataclasses
import time

from launch import job as jobs
from launch.tpu import commands, gcloud, hosts
from zsgen.core import errors, terminal

# States of a queued resource.
ACTIVE = "ACTIVE"
_LOST = ("FAILED", "SUSPENDED")
# Errors that another try does not solve.
_FINAL = ("missing", "login", "api", "project", "permission", "zone")
# Checks in a row without an answer after which VMs count as lost.
_MOST_SILENT = 10
# The longest pause between two tries, as a multiple of the first.
_LONGEST = 32


@dataclasses.dataclass(frozen=True)
class Options:
  """How a job is watched.

  Attributes:
    poll: seconds between two checks.
    backoff: seconds before a retry. They double with each retry in a row before
      which the job did not run, up to 32 times.
    retries: how often the job is started again, on the same VMs or new ones.
    log_lines: the number of lines of each host that are printed at the end.
  """

  poll: float = 30.0
  backoff: float = 30.0
  retries: int = 20
  log_lines: int = 20


class Lost(Exception):
  """The VMs are gone or do not answer; says why."""


class Runner:
  """Runs a job.

  Args:
    job: the job.
    options: how it is watched.
    console: where lines for people go.
  """

  def __init__(
      self, job: jobs.Job, options: Options, console: terminal.Console
  ) -> None:
    self._job = job
    self._options = options
    self._console = console
    self._line = ""
    self._is_packed = False
    self._is_unreachable = False
    self._has_run = False

  def run(self) -> int:
    """Starts the job on TPU VMs that exist, and waits for its end.

    Returns:
      The exit code of the job.

    Raises:
      InputError: the VMs do not exist, or are lost meanwhile.
    """
    name = self._job.name
    state = self._find_state()
    if state != ACTIVE:
      raise errors.InputError(
          f"{name} is {state or 'not there'}. Request it by python -m"
          " launch.tpu create, and wait until python -m launch.tpu status"
          f" prints {ACTIVE}; or add --supervise, which does both."
      )
    try:
      return self._finish(self._watch(repeats=True))
    except Lost as lost:
      raise errors.InputError(
          f"{lost}. Delete it by python -m launch.tpu delete, and create it"
          " again; --supervise does both."
      ) from lost

  def supervise(self) -> int:
    """Runs the job until it is done, on new VMs after each pre-emption.

    Returns:
      The exit code of the job; 1 if no retries are left.

    Raises:
      InputError: an error that another try does not solve.
    """
    streak = 0
    for left in range(self._options.retries, -1, -1):
      self._has_run = False
      code, problem = self._try_once()
      if code in (0, 2):
        return self._finish(code)
      streak = 0 if self._has_run else streak + 1
      if left:
        self._pause(problem, streak, left)
    self._print(
        f"{problem}. No retries are left. {self._job.name} may still exist and"
        " cost money: python -m launch.tpu delete deletes it."
    )
    return 1

  def _try_once(self) -> tuple[int | None, str]:
    """Returns the exit code of the job, or None, and what went wrong."""
    try:
      self._ensure_active()
      code = self._watch()
      return code, f"the job ended with code {code}"
    except Lost as lost:
      return None, str(lost)
    except gcloud.GcloudError as error:
      if error.kind in _FINAL:
        raise
      return None, str(error).rstrip(".")

  def _pause(self, problem: str, streak: int, left: int) -> None:
    """Waits before a retry."""
    factor = min(2 ** max(streak - 1, 0), _LONGEST)
    seconds = self._options.backoff * factor
    self._print(f"{problem}. Retries in {seconds:g} s; {left} left")
    time.sleep(seconds)

  def _ensure_active(self) -> None:
    """Creates the VMs if they do not exist, and waits for them.

    Raises:
      Lost: the request failed, or the VMs are pre-empted.
    """
    state = self._find_state()
    if state in _LOST or (state and self._is_unreachable):
      self._print(f"{self._job.name} is {state}: deletes it")
      gcloud.call(commands.delete(self._job))
      self._is_unreachable = False
      state = ""
    if not state:
      self._print(f"requests {self._job.name}")
      gcloud.call(commands.create(self._job))
    while (state := self._find_state()) != ACTIVE:
      if state in ("", *_LOST):
        raise Lost(f"{self._job.name} is {state or 'not there'}")
      self._print(f"{self._job.name} is {state}")
      time.sleep(self._options.poll)

  def _watch(self, repeats: bool = False) -> int:
    """Starts the job where it does not run, and waits for its end.

    Args:
      repeats: whether a job that has finished is started again.

    Returns:
      Its exit code.

    Raises:
      Lost: the VMs are pre-empted or do not answer.
    """
    states = self._inspect()
    if hosts.has_finished(states) and not repeats:
      return 0
    while not hosts.can_start(states):  # It ends on all hosts soon.
      time.sleep(self._options.poll)
      states = self._inspect()
    if not hosts.is_running(states):
      self._start()
    self._print(f"the job runs on {len(states)} host(s)")
    while not hosts.is_settled(states := self._inspect()):
      self._has_run = True
      time.sleep(self._options.poll)
    return hosts.exit_code(states)

  def _start(self) -> None:
    """Installs the checkout on all hosts, and starts the job there."""
    if not self._is_packed:
      # Once: later changes of the checkout are not for this run.
      gcloud.call(commands.pack(self._job))
      self._is_packed = True
    self._print("installs zsgen and starts the job")
    for step in (commands.copy, commands.install, commands.start):
      gcloud.call(step(self._job))

  def _inspect(self) -> Sequence[hosts.Host]:
    """Returns the state of the job on all hosts.

    Raises:
      Lost: the VMs are pre-empted, or do not answer for long.
    """
    silent = 0
    while silent < _MOST_SILENT:
      answers = self._answers()
      if len(answers) == commands.count_hosts(self._job):
        return hosts.select(answers, commands.job_key(self._job))
      try:
        state = self._find_state()
        silent += 1
      except gcloud.GcloudError as error:
        if error.kind != "network":
          raise
        state = ACTIVE  # While this machine is offline, VMs are not lost.
      if state != ACTIVE:
        raise Lost(f"{self._job.name} is {state or 'not there'}")
      time.sleep(self._options.poll)
    self._is_unreachable = True
    raise Lost(f"the hosts of {self._job.name} do not answer")

  def _answers(self) -> list[hosts.Host]:
    """Returns the hosts that answer."""
    try:
      return hosts.parse(gcloud.call(commands.status(self._job)))
    except gcloud.GcloudError as error:
      if error.kind in ("missing", "login"):
        raise
      return []

  def _find_state(self) -> str:
    return gcloud.find_state(commands.describe(self._job))

  def _finish(self, code: int) -> int:
    """Prints the end of the logs; returns the exit code."""
    try:
      lines = gcloud.call(commands.logs(self._job, self._options.log_lines))
    except gcloud.GcloudError as error:  # The VMs may be gone; the code counts.
      lines = f"{error}\n"
    self._console.print(lines, end="")
    self._print(f"the job ended with code {code}")
    if code == errors.STOPPED:
      self._print("it has saved; run the same command again to resume")
    return code

  def _print(self, line: str) -> None:
    """Prints a line, unless it is the last one."""
    if line != self._line:
      self._console.print(line)
    self._line = line
