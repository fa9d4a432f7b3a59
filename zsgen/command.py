"""What every command of the project shares: flags, errors and exit codes."""

from collections.abc import Callable, Sequence
import functools
import os
import signal
import sys

from absl import app, flags, logging
from ml_collections import config_flags

from zsgen import config, errors

CONFIG = config_flags.DEFINE_config_file(
    "config", None, "The experiment; override options by --config.x=y."
)
WORKDIR = flags.DEFINE_string("workdir", "workdir", "Where artifacts go.")


def start(run: Callable[[], None]) -> None:
  """Parses flags and runs; a user's error is one line and exit code 2."""
  app.run(functools.partial(_guarded, run), flags_parser=_parse)


def _guarded(run: Callable[[], None], argv: Sequence[str]) -> None:
  try:
    if len(argv) > 1:
      raise errors.InputError(
          f"{argv[1]!r} is not a flag; options look like --config.x=y."
      )
    if CONFIG.value is None:
      raise errors.InputError("name an experiment: --config=FILE, of configs/.")
    logging.set_verbosity(logging.WARNING)  # orbax tells each file it writes.
    run()
  except errors.InputError as error:
    print(f"zsgen: {error}", file=sys.stderr)
    sys.exit(2)
  except OSError as error:
    if error.filename is None:
      raise
    place = f"{error.filename}: {error.strerror}"
    print(f"zsgen: {place}. Check --workdir and the disk.", file=sys.stderr)
    sys.exit(2)
  except KeyboardInterrupt:
    print("\nzsgen: stopped; the same command goes on.", file=sys.stderr)
    # No clean-up: what is committed is whole, and threads may be busy.
    os._exit(128 + signal.SIGINT)


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
    print(f"zsgen: {explain(error, argv)}", file=sys.stderr)
    sys.exit(2)


def explain(error: Exception, argv: Sequence[str]) -> str:
  """One line that says what is wrong with the flags.

  A typo in --config.x=y arrives as a bare KeyError or AttributeError of the
  last word; the schema says more about the same override.
  """
  if isinstance(error, AttributeError | KeyError):
    if unknown := _unknown_option(argv):
      return unknown
  if isinstance(error, SyntaxError):
    return f"{error.filename}, line {error.lineno}: {error.msg}."
  lines = [line.strip() for line in str(error).splitlines() if line.strip()]
  if isinstance(error, OSError):
    return f"--config: {lines[-1]}."
  if isinstance(error, flags.Error):
    return " ".join(lines)
  named = [each for each in argv if each.startswith("--config")]
  last = lines[-1] if lines else ""
  return f"{' '.join(named)}: {type(error).__name__}: {last}"


def _unknown_option(argv: Sequence[str]) -> str:
  """What the schema says of the first override that it does not know."""
  for argument in argv:
    if argument.startswith("--config."):
      path = argument.removeprefix("--config.").partition("=")[0].split(".")
      value = functools.reduce(lambda inner, key: {key: inner}, path[::-1], 0)
      try:
        config.check(value)
      except errors.InputError as error:
        if "is not an option" in str(error):
          return f"{argument}: {error}"
  return ""
