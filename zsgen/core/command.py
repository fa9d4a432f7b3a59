"""The flags, error handling and exit codes that all commands share.

0    done
2    bad input, damaged files or a full disk: one message says what to do
75   training was stopped by SIGTERM and has saved; the same command resumes
130  Ctrl-C; 143 is SIGTERM where there was nothing to save
"""

from collections.abc import Callable, Sequence
import functools
import itertools
import os
import pathlib
import signal
import sys
import threading
import traceback
from typing import Any, NoReturn

from absl import app, flags
from ml_collections import config_flags

from zsgen.core import (
    chatter,
    config,
    errors,
    full_disk,
    plugins,
    schema,
    sections,
    shortage,
    storage,
    terminal,
)

CONFIG = config_flags.DEFINE_config_file(
    "config",
    None,
    "The config file of the experiment, such as configs/tmt.py. To override an"
    " option of it: --config.order.budget=320.",
)
WORKDIR = flags.DEFINE_string(
    "workdir",
    "workdir",
    "The directory of all stores, orders and runs; of zsgen.main and"
    " launch.sweep also in a bucket, gs://BUCKET/PATH.",
)


# What ml_collections makes of an exception of the config file.
_TRACE = "Traceback (most recent call last)"


class _Terminated(KeyboardInterrupt):
  """SIGTERM, where there is nothing to save."""


def start(
    run: Callable[[], None],
    module_flags: Sequence[flags.FlagHolder] = (),
    in_buckets: bool = False,
) -> None:
  """Parses flags and runs; a user's error is one line and exit code 2.

  Args:
    run: the command.
    module_flags: the flags of its module.
    in_buckets: whether its --workdir may be in a bucket.
  """
  # --help shows the flags of the main module only.
  for flag in (CONFIG, WORKDIR, *module_flags):
    flags.FLAGS.register_key_flag_for_module(
        sys.argv[0], flags.FLAGS[flag.name]
    )
  signal.signal(signal.SIGTERM, _terminate)
  app.run(
      functools.partial(_guarded, run, in_buckets=in_buckets),
      flags_parser=_parse,
  )


def _guarded(
    run: Callable[[], None], argv: Sequence[str], in_buckets: bool = False
) -> None:
  """Checks the command line, then runs; errors end it without traceback."""
  try:
    if len(argv) > 1:
      raise errors.InputError(
          f"{argv[1]!r} is not a flag; options look like --config.x=y."
      )
    if CONFIG.value is None:
      raise errors.InputError(
          "no experiment is named. Add --config=FILE, such as"
          " --config=configs/tmt.py."
      )
    if in_buckets and storage.is_url(WORKDIR.value):
      storage.check_workdir(WORKDIR.value, "--workdir")
    else:
      schema.check_local(WORKDIR.value, "--workdir")
    shortage.check_limits()
    chatter.hide()
    full_disk.watch(_local_workdir())
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
  timer = threading.Timer(0.05, os.kill, (os.getpid(), number))
  timer.daemon = True
  timer.start()


def _local_workdir() -> pathlib.Path:
  """Returns the directory that fills the local disk."""
  is_remote = storage.is_url(WORKDIR.value)
  return storage.cache() if is_remote else pathlib.Path(WORKDIR.value)


def _exit(code: int) -> NoReturn:
  """Exits; if there are several processes, without waiting for them."""
  from zsgen.core import hosts

  if hosts.is_distributed():
    hosts.leave(code)
  sys.exit(code)


def _fail(error: Exception) -> None:
  """Prints what is wrong and exits; returns if only a traceback helps."""
  from zsgen.core import hosts

  full = full_disk.explain(error, _local_workdir())
  if full and not hosts.is_distributed():
    full_disk.leave(full)
  if lost := hosts.describe_loss(error):
    terminal.print_message(lost)
    hosts.leave(1)
  if message := full or shortage.explain(error) or _file_of(error):
    terminal.print_message(message)
    _exit(2)
  if hosts.is_distributed():
    traceback.print_exc()
    hosts.leave(1)


def _file_of(error: Exception) -> str:
  """Returns the message of an error that names a file; otherwise ""."""
  if not isinstance(error, OSError) or error.filename is None:
    return ""
  problem = f"{error.filename}: {error.strerror}"
  return f"{problem}. Check --workdir and the disk."


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
  """Returns one line on what is wrong with the flags or the config file."""
  if isinstance(error, errors.InputError):
    return f"{_line_of_file(error, argv)}{error}"
  if isinstance(error, SyntaxError):
    return f"{error.filename}, line {error.lineno}: {error.msg}."
  lines = [line.strip() for line in str(error).splitlines() if line.strip()]
  if isinstance(error, OSError):
    return (
        f"--config: {lines[-1]}. Check the path; a relative one begins in"
        f" {os.getcwd()}."
    )
  if isinstance(error, flags.Error) and _TRACE not in str(error):
    return " ".join(lines)
  config_flags = [
      argument for argument in argv if argument.startswith("--config")
  ]
  last = lines[-1] if lines else ""
  return f"{' '.join(config_flags)}: {type(error).__name__}: {last}"


def _line_of_file(error: Exception, argv: Sequence[str]) -> str:
  """Returns the line of the config file that raised an error; "" if none."""
  files = {
      os.path.realpath(value.partition(":")[0])
      for name, value in _flags(argv)
      if name == CONFIG.name
  }
  frames = [
      frame
      for frame in traceback.extract_tb(error.__traceback__)
      if os.path.realpath(frame.filename) in files
  ]
  if not frames:
    return ""
  return f"{frames[-1].filename}, line {frames[-1].lineno}: "


def _flags(argv: Sequence[str]) -> list[tuple[str, str]]:
  """Returns names and values of the flags of a command line."""
  pairs = []
  for argument, follower in itertools.zip_longest(argv, argv[1:]):
    if argument.startswith("-"):
      name, equals, value = argument.lstrip("-").partition("=")
      pairs.append((name, value if equals else follower or ""))
  return pairs


class _ConfigParser(flags.ArgumentParser):
  """Loads the config file, and then sets selectors of the command line.

  A selector such as --config.order.arrangement decides which options there
  are, so it comes before flags of other options are parsed.
  """

  def __init__(self, loader: flags.ArgumentParser):
    self._loader = loader

  def parse(self, argument: str) -> Any:
    """Loads the config file and applies the selectors of the command line.

    Raises:
      InputError: a selector is unknown, or an option does not exist.
    """
    path, _, _ = argument.partition(":")
    plugins.search(pathlib.Path(path).parent)
    loaded: Any = self._loader.parse(argument)
    if not isinstance(loaded, sections.Section):
      loaded = sections.from_plain(loaded, config.Config)
    argv = flags.FLAGS.read_flags_from_files(sys.argv, force_gnu=False)
    prefix = f"{CONFIG.name}."
    sections.select(
        loaded,
        [
            (name.removeprefix(prefix), value)
            for name, value in _flags(argv)
            if name.startswith(prefix)
        ],
    )
    return loaded

  def flag_type(self) -> str:
    """Returns the type that absl shows in its help."""
    return self._loader.flag_type()


_FLAG = flags.FLAGS[CONFIG.name]
_FLAG.parser = _ConfigParser(_FLAG.parser)
