"""What launch/host.sh prints about the hosts of a job."""

from collections.abc import Sequence
import dataclasses
import re
import signal

from zsgen.core import errors

_LINE = re.compile(r"zsgen-host (\S+) (\S+) (absent|running|lost|exited (\d+))")
# The exit code of a process that was killed. A host is lost if it was
# restarted, or if all processes of the job were killed.
_KILLED = 128 + signal.SIGKILL


@dataclasses.dataclass(frozen=True)
class Host:
  """The state of a job on one host.

  Attributes:
    name: the name of the host.
    job: the job that it ran last; "-" for none.
    state: "absent", "running", "lost" or "exited".
    code: the exit code, if it has exited.
  """

  name: str
  job: str
  state: str
  code: int = 0

  def describe(self) -> str:
    """Returns a line for people."""
    code = f" with code {self.code}" if self.state == "exited" else ""
    return f"{self.name}: {self.job} {self.state}{code}"


def parse(output: str) -> list[Host]:
  """Returns the hosts of an output, sorted by name; other lines are skipped."""
  hosts = []
  for name, job, state, code in _LINE.findall(output):
    hosts.append(Host(name, job, state.partition(" ")[0], int(code or 0)))
  return sorted(hosts, key=lambda host: host.name)


def select(hosts: Sequence[Host], job: str) -> list[Host]:
  """Returns the hosts, of which those that ran another job are absent.

  Raises:
    InputError: a host runs another job.
  """
  for host in hosts:
    if host.job != job and host.state == "running":
      raise errors.InputError(
          f"{host.name} runs the job {host.job}, and a host runs one job. Wait for"
          " its end, or use other VMs (--name)."
      )
  return [
      host if host.job == job else Host(host.name, job, "absent")
      for host in hosts
  ]


def is_settled(hosts: Sequence[Host]) -> bool:
  """Returns whether no host runs the job."""
  return all(host.state != "running" for host in hosts)


def is_running(hosts: Sequence[Host]) -> bool:
  """Returns whether all hosts run the job."""
  return all(host.state == "running" for host in hosts)


def can_start(hosts: Sequence[Host]) -> bool:
  """Returns whether the job may be started where it does not run.

  If it has ended on some hosts only, it is about to end on the others.
  """
  states = {host.state for host in hosts}
  return "running" not in states or not states & {"exited", "lost"}


def has_finished(hosts: Sequence[Host]) -> bool:
  """Returns whether the job succeeded on all hosts."""
  return all(host.state == "exited" and host.code == 0 for host in hosts)


def exit_code(hosts: Sequence[Host]) -> int:
  """Returns the exit code of a job that runs on no host any more.

  Bad input (2) explains the failures of other hosts, so it comes first.
  """
  codes = [host.code if host.state == "exited" else _KILLED for host in hosts]
  return 2 if 2 in codes else next((code for code in codes if code), 0)
