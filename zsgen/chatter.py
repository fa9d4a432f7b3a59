"""Lines of libraries that tell a user nothing: hidden, and no other ones are.

A line that may be worth something is never hidden: each kind is listed here by
what it says.
"""

import logging
import re

from absl import logging as absl_logging

_LINES = (
    # orbax: what opening a finished run's checkpoints to read means.
    r"CheckpointManagerOptions\.read_only=True, setting ",
    r"Given directory is read only=",
    # orbax: of a checkpoint only the parameters are wanted.
    r'Item ".*" was found in the checkpoint, but could not be restored\.',
)
_CHATTER = re.compile("|".join(_LINES))


def hide() -> None:
  """Hides them in this process; warnings and errors are shown."""
  absl_logging.set_verbosity(absl_logging.WARNING)  # orbax tells each file.
  logger = absl_logging.get_absl_logger()
  if _is_worth not in logger.filters:
    logger.addFilter(_is_worth)


def _is_worth(record: logging.LogRecord) -> bool:
  return not _CHATTER.match(record.getMessage())
