"""`python -m zsgen.main --config=configs/tmt.py`: flags and dispatch."""

from collections.abc import Sequence
import functools
import os
import signal
import sys

from absl import app, flags
from ml_collections import config_flags

from zsgen import config, errors

_CONFIG = config_flags.DEFINE_config_file(
    "config", None, "The experiment; override options by --config.x=y."
)
_WORKDIR = flags.DEFINE_string("workdir", "workdir", "Where artifacts go.")
_STAGE = flags.DEFINE_string(
    "stage", None, "One stage: prepare, order, train, report or export."
)
_SHOW_BATCH = flags.DEFINE_bool(
    "show_batch", False, "Print the first batch, loss tokens marked, and stop."
)


def main(argv: Sequence[str]) -> None:
  """Runs what the flags say; a user's error ends with exit code 2."""
  try:
    _run(argv)
  except errors.InputError as error:
    print(f"zsgen: {error}", file=sys.stderr)
    sys.exit(2)
  except KeyboardInterrupt:
    print("\nzsgen: stopped; the same command goes on.", file=sys.stderr)
    # No clean-up: what is committed is whole, and threads may be busy.
    os._exit(128 + signal.SIGINT)


def _run(argv: Sequence[str]) -> None:
  if len(argv) > 1:
    raise errors.InputError(
        f"{argv[1]!r} is not a flag; options look like --config.x=y."
    )
  if _CONFIG.value is None:
    raise errors.InputError(
        "name an experiment: --config=configs/tmt.py (see configs/)."
    )
  from zsgen import pipeline  # After flags: --help and typos answer at once.

  if _SHOW_BATCH.value:
    pipeline.show_batch(_CONFIG.value, _WORKDIR.value)
  else:
    stages = [_STAGE.value] if _STAGE.value else None
    pipeline.run(_CONFIG.value, _WORKDIR.value, stages)


def parse(argv: Sequence[str]) -> list[str]:
  """Parses flags; what absl raises becomes one line and exit code 2.

  ml_collections raises many kinds for a typo in --config.x, a wrong type or a
  config file that is not there, before any check of ours.
  """
  try:
    left = flags.FLAGS(list(argv))
    if _CONFIG.value is not None:
      _CONFIG.value.to_dict()  # A file that did not load raises only here.
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
    for argument in argv:
      if argument.startswith("--config."):
        path = argument.removeprefix("--config.").partition("=")[0].split(".")
        value = functools.reduce(lambda v, key: {key: v}, path[::-1], None)
        try:
          config.check(value)
        except errors.InputError as better:
          if "not an option" in str(better):
            return f"{argument}: {better}"
    return f"the config file has no option {error} to override."
  if isinstance(error, SyntaxError):
    return f"{error.filename}, line {error.lineno}: {error.msg}."
  if isinstance(error, OSError):
    return f"--config: {str(error).splitlines()[-1].strip()}."
  lines = [line.strip() for line in str(error).splitlines()]
  return " ".join(line for line in lines if line) or repr(error)


if __name__ == "__main__":
  app.run(main, flags_parser=parse)
