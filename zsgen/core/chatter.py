"""Hides log lines of libraries that do not help a user.

Only the lines listed here are hidden; all others are shown.
"""

import logging
import re

from absl import logging as absl_logging

_LINES = (
    # Orbax, when the checkpoints of a finished run are opened.
    r"CheckpointManagerOptions\.read_only=True, setting ",
    r"Given directory is read only=",
    # Orbax, when only the parameters of a checkpoint are read.
    r'Item ".*" was found in the checkpoint, but could not be restored\.',
    # Orbax, when a save fails: the next save, or the end, raises the error.
    r"\[process=\d+\].* raised an exception: ",
    r"\[process=\d+\] Failed to run \d+ Handler Commit operations",
    r"\[process=\d+\].*Save Finalize thread \(.*\) failed",
    # asyncio, when Orbax has raised the error of one of several arrays that
    # cannot be written: those of the others are the same.
    r"Task exception was never retrieved\n.*(_wrap_awaitable|serialize)",
    # gcsfs, when it raises the error too.
    r".* (out of retries on|non-retriable) exception: ",
    r"Could not determine bucket type for ",
)
_CHATTER = re.compile("|".join(_LINES), re.DOTALL)


def hide() -> None:
  """Hides these lines in this process; warnings and errors are shown."""
  absl_logging.set_verbosity(absl_logging.WARNING)  # Orbax logs each file.
  others = [logging.getLogger(name) for name in ("asyncio", "gcsfs")]
  for logger in (absl_logging.get_absl_logger(), *others):
    if _is_useful not in logger.filters:
      logger.addFilter(_is_useful)


def _is_useful(record: logging.LogRecord) -> bool:
  return not _CHATTER.match(record.getMessage())
