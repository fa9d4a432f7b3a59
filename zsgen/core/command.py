"""The flags, error handling and exit codes that all commands share.

0    done
2    bad input, damaged files or a full disk: one message says what to do
75   training was stopped by SIGTERM and has saved; the same command resumes
130  Ctrl-C; 143 is SIGTERM where there was nothing to save
"""

import ast
from collections.abc import Callable, Sequence
import functools
import os
import pathlib
import runpy
import signal
import sys
import threading
import traceback
from typing import Any, NoReturn

from absl import app, flags
import ml_collections
from ml_collections import config_flags

from zsgen.core import (
    chatter,
    config,
    errors,
    full_disk,
    schema,
    shortage,
    terminal,
)

CONFIG = config_flags.DEFINE_config_file(
    "config", None, "The experiment; override options by --config.x=y."
)
WORKDIR = flags.DEFINE_string("workdir", "workdir", "Where artifacts go.")


# What ml_collections makes of an exception of the config file.
_TRACE = "Traceback (most recent call last)"


class _Terminated(KeyboardInterrupt):
  """SIGTERM, where there is nothing to save."""


def start(
    run: Callable[[], None], own: Sequence[flags.FlagHolder] = ()
) -> None:
  """Parses flags and runs; a user's error is one line and exit code 2.

  Args:
    run: the command.
    own: the flags of its module.
  """
  # --help shows the flags of the main module only.
  for flag in (CONFIG, WORKDIR, *own):
    flags.FLAGS.register_key_flag_for_module(
        sys.argv[0], flags.FLAGS[flag.name]
    )
  signal.signal(signal.SIGTERM, _terminate)
  app.run(functools.partial(_guarded, run), flags_parser=_parse)


def _guarded(run: Callable[[], None], argv: Sequence[str]) -> None:
  try:
    if len(argv) > 1:
      raise errors.InputError(
          f"{argv[1]!r} is not a flag; options look like --config.x=y."
      )
    if CONFIG.value is None:
      raise errors.InputError("name an experiment: --config=FILE, of configs/.")
    schema.check_local(WORKDIR.value, "--workdir")
    shortage.check_limits()
    chatter.hide()
    full_disk.watch(pathlib.Path(WORKDIR.value))
    sys.unraisablehook = functools.partial(_unraisable, sys.unraisablehook)
    run()
  except errors.Stopped as stopped:
    terminal.print_message(stopped)
    sys.exit(errors.STOPPED)  # All processes have saved by now.
  except errors.InputError as error:
    terminal.print_message(error)
    _exit(2)
  except Exception as error:
    _fail(error)
    raise
  except KeyboardInterrupt as error:
    print(
        "\nzsgen: stopped; run the same command again to resume.",
        file=sys.stderr,
    )
    terminated = isinstance(error, _Terminated)
    # No clean-up: what is committed is whole, and threads may be busy.
    os._exit(128 + (signal.SIGTERM if terminated else signal.SIGINT))


def _terminate(*_: Any) -> NoReturn:
  raise _Terminated


def _unraisable(
    before: Callable[[Any], None], lost: "sys.UnraisableHookArgs"
) -> None:
  """Sends a signal again that was lost inside a callback.

  Neither callbacks of the garbage collector nor finalizers can raise.
  """
  if not isinstance(lost.exc_value, KeyboardInterrupt):
    before(lost)
    return
  terminated = isinstance(lost.exc_value, _Terminated)
  number = signal.SIGTERM if terminated else signal.SIGINT
  again = threading.Timer(0.05, os.kill, (os.getpid(), number))
  again.daemon = True
  again.start()


def _exit(code: int) -> NoReturn:
  """Exits; if there are several processes, without waiting for them."""
  from zsgen.core import hosts

  if hosts.is_distributed():
    hosts.leave(code)
  sys.exit(code)


def _fail(error: Exception) -> None:
  """Prints what is wrong and exits; returns if only a traceback helps."""
  from zsgen.core import hosts

  full = full_disk.explain(error, pathlib.Path(WORKDIR.value))
  if full and not hosts.is_distributed():
    full_disk.leave(full)
  if lost := hosts.describe_loss(error):
    terminal.print_message(lost)
    hosts.leave(1)
  if said := full or shortage.explain(error) or _file_of(error):
    terminal.print_message(said)
    _exit(2)
  if hosts.is_distributed():
    traceback.print_exc()
    hosts.leave(1)


def _file_of(error: Exception) -> str:
  """Returns the message of an error that names a file; otherwise ""."""
  if not isinstance(error, OSError) or error.filename is None:
    return ""
  place = f"{error.filename}: {error.strerror}"
  return f"{place}. Check --workdir and the disk."


def _parse(argv: Sequence[str]) -> list[str]:
  """Parses flags; what absl raises becomes one line and exit code 2.

  ml_collections raises many kinds for a typo in --config.x, a wrong type or a
  config file that is not there, before any check of ours.
  """
  try:
    left = flags.FLAGS(list(argv))
    if CONFIG.value is not None:
      CONFIG.value.to_dict()  # A file that did not load raises only here.
    return left
  except Exception as error:
    terminal.print_message(explain(error, argv))
    sys.exit(2)


def explain(error: Exception, argv: Sequence[str]) -> str:
  """One line that says what is wrong with the flags.

  A typo in --config.x=y arrives as a bare KeyError or AttributeError of the
  last word; the schema says more about the same override.
  """
  if isinstance(error, AttributeError | KeyError):
    if unknown := _unknown_option(argv) or _absent_option(argv):
      return unknown
  if isinstance(error, SyntaxError):
    return f"{error.filename}, line {error.lineno}: {error.msg}."
  lines = [line.strip() for line in str(error).splitlines() if line.strip()]
  if isinstance(error, OSError):
    return f"--config: {lines[-1]}."
  if isinstance(error, flags.Error) and _TRACE not in str(error):
    return " ".join(lines)
  named = [each for each in argv if each.startswith("--config")]
  last = lines[-1] if lines else ""
  return f"{' '.join(named)}: {type(error).__name__}: {last}"


def _unknown_option(argv: Sequence[str]) -> str:
  """What the schema says of the first override that it does not know."""
  for argument in argv:
    if argument.startswith("--config."):
      path = argument.removeprefix("--config.").partition("=")[0].split(".")
      value: Any = functools.reduce(
          lambda inner, key: {key: inner}, path[::-1], 0
      )
      try:
        config.check(value)
      except errors.InputError as error:
        if "is not an option" in str(error):
          return f"{argument}: {error}"
  return ""


def _absent_option(argv: Sequence[str]) -> str:
  """What the config file lacks of the first override that it has no place for.

  An override changes what the file sets: it adds no held-out set, evaluation
  or target.
  """
  for argument in argv:
    if not argument.startswith("--config."):
      continue
    option, _, value = argument.removeprefix("--config.").partition("=")
    place, found, path = "config", _file(argv), option.split(".")
    while path and path[0] in found:
      place, found = f"{place}.{path[0]}", found[path.pop(0)]
      if not isinstance(found, ml_collections.ConfigDict):
        break
    else:
      if path:
        return f"{argument}: {_how_to_add(place, found, path, value)}"
  return ""


def _how_to_add(
    place: str,
    found: ml_collections.ConfigDict,
    path: Sequence[str],
    value: str,
) -> str:
  """What a section of the config file has, and how to add to it.

  Args:
    place: the section's name.
    found: the section.
    path: the words of the option from the first that it lacks.
    value: as the command line says it.
  """
  try:
    value = ast.literal_eval(value)
  except (ValueError, SyntaxError):
    pass  # Text needs no quotes on the command line.
  setting = functools.reduce(lambda inner, k: {k: inner}, path[:0:-1], value)
  return (
      f"the config file's {place} has no {path[0]!r}; it has:"
      f" {', '.join(found) or 'nothing'}. The command line changes only what"
      f" the file sets; add this to the file: {place}.{path[0]} = {setting!r}"
  )


def _file(argv: Sequence[str]) -> ml_collections.ConfigDict:
  """The config as its file makes it, without overrides; empty if not known."""
  for argument in argv:
    if argument.startswith("--config="):
      path, *given = argument.removeprefix("--config=").split(":", 1)
      return runpy.run_path(path)["get_config"](*given)
  return ml_collections.ConfigDict()
