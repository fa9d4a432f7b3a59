"""Runs jobs on Cloud TPU VMs, through gcloud's queued resources.

  python -m launch.tpu create --name=NAME --zone=ZONE --accelerator=v5e-16
  python -m launch.tpu run --name=NAME --zone=ZONE --accelerator=v5e-16 \\
      --nfs=SERVER:/SHARE -- python -m zsgen.main --config=configs/tmt.py \\
      --workdir=/mnt/zsgen/NAME
  python -m launch.tpu status --name=NAME --zone=ZONE
  python -m launch.tpu logs --name=NAME --zone=ZONE
  python -m launch.tpu delete --name=NAME --zone=ZONE

create  requests the VMs
run     installs this checkout on all hosts, starts the command in the
        background, waits for its end, prints the last lines and exits with its
        code; with --supervise, requests the VMs too, and again after each
        pre-emption
status  prints the state of the request, and of the job on each host
logs    prints the last lines of each host
delete  deletes the request and its VMs

--dry-run prints the commands instead. `@FILE` stands for the options in a file.
Ctrl-C ends the waiting, not the job.
"""

import argparse
from collections.abc import Sequence
import signal
import sys
from typing import Any, NoReturn

from launch import job as jobs
from launch.tpu import commands, gcloud, hosts, supervisor
from zsgen.core import errors, terminal

_FIELDS = {
    "create": (*commands.IDENTITY, *commands.HARDWARE),
    "run": commands.FIELDS,
    "status": commands.IDENTITY,
    "logs": commands.IDENTITY,
    "delete": commands.IDENTITY,
}
_WATCHED = "the job goes on if it has started; the same command continues"
_STOPPED = {
    "create": (
        "{name} may have been requested: python -m launch.tpu delete deletes it"
    ),
    "run": _WATCHED,
    "delete": "{name} may still exist; the same command deletes it",
}


class _Terminated(KeyboardInterrupt):
  """SIGTERM."""


def run(arguments: Sequence[str], console: terminal.Console) -> int:
  """Runs the command.

  Args:
    arguments: its arguments.
    console: where lines for people go; what a dry run prints goes to stdout.

  Returns:
    Its exit code, which is that of the job if it waits for one.

  Raises:
    InputError: an option is invalid, or gcloud fails.
  """
  head, command = jobs.split_command(arguments)
  options = _parser().parse_args(head)
  if command and options.action != "run":
    raise errors.InputError(f"{options.action} takes no command after --.")
  job = jobs.build(options, command)
  steps = [options.action] if options.action in ("create", "run") else []
  is_supervised = getattr(options, "supervise", False)
  commands.check(job, *steps, *["supervise"] * is_supervised)
  if options.dry_run:
    print(_dry_run(job, options), end="")
    return 0
  try:
    return _run(job, options, console)
  except KeyboardInterrupt as error:
    text = _STOPPED.get(options.action, "stopped").format(name=job.name)
    terminal.print_message(f"stopped; {text}.")
    is_terminated = isinstance(error, _Terminated)
    return 128 + (signal.SIGTERM if is_terminated else signal.SIGINT)


def _parser() -> jobs.Parser:
  """Returns the parser of all actions and their options."""
  parser = jobs.Parser(
      prog="python -m launch.tpu",
      description=__doc__,
      formatter_class=argparse.RawDescriptionHelpFormatter,
  )
  actions = parser.add_subparsers(dest="action", required=True)
  for name, fields in _FIELDS.items():
    action = actions.add_parser(name)
    jobs.add_options(action, fields)
    action.add_argument(
        "--dry-run", action="store_true", help="print the commands"
    )
    if name in ("run", "logs"):
      action.add_argument(
          "--lines", type=int, default=20, help="log lines of each host"
      )
    if name == "run":
      _add_watching(action)
  return parser


def _add_watching(action: argparse.ArgumentParser) -> None:
  """Adds the options of how a job is watched."""
  defaults = supervisor.Options()
  action.add_argument(
      "--supervise",
      action="store_true",
      help="request VMs, and start the job again after pre-emption",
  )
  action.add_argument(
      "--retries",
      type=int,
      help=f"with --supervise; default: {defaults.retries}",
  )
  action.add_argument(
      "--backoff",
      type=float,
      help=f"seconds, with --supervise; default: {defaults.backoff:g}",
  )
  action.add_argument(
      "--poll",
      type=float,
      default=defaults.poll,
      help="seconds between two checks (default: %(default)g)",
  )


def _dry_run(job: jobs.Job, options: argparse.Namespace) -> str:
  """Returns the commands of an action, one a line."""
  match options.action:
    case "run" if options.supervise:
      return commands.supervised_lines(job, options.lines)
    case "run":
      return commands.run_lines(job, options.lines)
    case "status":
      return commands.lines([commands.describe(job), commands.status(job)])
    case "logs":
      return commands.lines([commands.logs(job, options.lines)])
    case "create":
      return commands.lines([commands.create(job)])
    case _:
      return commands.lines([commands.delete(job)])


def _run(
    job: jobs.Job, options: argparse.Namespace, console: terminal.Console
) -> int:
  """Runs an action; returns its exit code."""
  match options.action:
    case "run":
      return _run_job(job, options, console)
    case "status":
      _show_status(job, console)
    case "logs":
      console.print(gcloud.call(commands.logs(job, options.lines)), end="")
    case "create":
      gcloud.call(commands.create(job))
      console.print(
          f"requested {job.name}; python -m launch.tpu status shows its state"
      )
    case "delete":
      gcloud.call(commands.delete(job))
      console.print(f"deleted {job.name}")
  return 0


def _run_job(
    job: jobs.Job, options: argparse.Namespace, console: terminal.Console
) -> int:
  """Runs a job, and returns its exit code."""
  if not options.supervise:
    for name in ("retries", "backoff"):
      if getattr(options, name) is not None:
        raise errors.InputError(f"--{name} has no effect without --supervise.")
  values = {
      name: value
      for name in ("poll", "backoff", "retries")
      if (value := getattr(options, name)) is not None
  }
  for name, value in values.items():
    if value < 0:
      raise errors.InputError(f"--{name}={value} must not be negative.")
  watching = supervisor.Options(log_lines=options.lines, **values)
  runner = supervisor.Runner(job, watching, console)
  return runner.supervise() if options.supervise else runner.run()


def _show_status(job: jobs.Job, console: terminal.Console) -> None:
  """Prints the state of the request, and of the job on each host."""
  state = gcloud.find_state(commands.describe(job))
  console.print(f"{job.name} is {state or 'not there'}")
  if state == supervisor.ACTIVE:
    for host in hosts.parse(gcloud.call(commands.status(job))):
      console.print(host.describe())


def _terminate(*_: Any) -> NoReturn:
  raise _Terminated


def main() -> None:
  """Runs the command."""
  signal.signal(signal.SIGTERM, _terminate)
  try:
    sys.exit(run(sys.argv[1:], terminal.Console()))
  except errors.InputError as error:
    terminal.print_message(error)
    sys.exit(2)


if __name__ == "__main__":
  main()
