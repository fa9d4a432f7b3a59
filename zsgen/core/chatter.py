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
)
_CHATTER = re.compile("|".join(_LINES))


def hide() -> None:
  """Hides these lines in this process; warnings and errors are shown."""
  absl_logging.set_verbosity(absl_logging.WARNING)  # Orbax logs each file.
  logger = absl_logging.get_absl_logger()
  if _is_useful not in logger.filters:
    logger.addFilter(_is_useful)


def _is_useful(record: logging.LogRecord) -> bool:
  return not _CHATTER.match(record.getMessage())
