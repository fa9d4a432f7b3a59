"""Reports a full disk with one message and exit code 2.

Threads of checkpoints and event files run into it too: they print tracebacks,
and may leave the main thread waiting forever.
"""

import errno
import functools
import logging
import os
import pathlib
import re
import shutil
import sys
import threading

from absl import logging as absl_logging
import rich.console
import rich.filesize

from zsgen.core import shortage, terminal

_REASONS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "a file is larger than the disk or `ulimit -f` allows",
}
# Messages of libraries that raise without an error number.
_WORDS = {
    "No space left on device": errno.ENOSPC,
    "requested and [0-9]+ written": errno.ENOSPC,
    "Disk quota exceeded": errno.EDQUOT,
    "File too large": errno.EFBIG,
}
# A write of tensorstore ends after a failed one; an event loop has no socket.
_LOOPS = ("Event loop is closed", "object has no attribute '_ssock'")
_PATH = re.compile(r'"(/[^"]+)"')


def explain(error: BaseException | None, workdir: pathlib.Path) -> str:
  """Returns the message for an error caused by a full disk; otherwise "".

  Args:
    error: the error; its causes are examined too.
    workdir: the path in the message if the error names no file.
  """
  while error is not None:
    if number := _number(error):
      return _message(number, _find_path(error) or workdir, workdir)
    error = error.__cause__ or error.__context__
  return ""


def _number(error: BaseException) -> int:
  """Returns the error number, which is in `_REASONS`; 0 for other errors."""
  if isinstance(error, OSError) and error.errno in _REASONS:
    return error.errno
  for words, number in _WORDS.items():
    # tensorstore raises ValueError.
    if isinstance(error, OSError | ValueError) and re.search(words, str(error)):
      return number
  return 0


def _find_path(error: BaseException) -> str:
  """Returns the file that the error names, or ""."""
  if isinstance(error, OSError) and error.filename:
    return str(error.filename)
  match = _PATH.search(str(error))
  return match[1] if match else ""


def _message(
    number: int, path: str | pathlib.Path, workdir: pathlib.Path
) -> str:
  """Returns the message; the file itself may no longer exist."""
  existing = workdir.absolute()
  while not existing.exists():
    existing = existing.parent
  free = rich.filesize.decimal(shutil.disk_usage(existing).free)
  return (
      f"{_REASONS[number]}: {path} cannot be written ({free} free in {existing})."
      " Finished stores, orders and checkpoints are kept. Free some space and"
      " run the same command again to resume."
  )


def leave(message: str) -> None:
  """Prints a message and exits at once; threads may be blocked."""
  rich.console.Console(stderr=True).show_cursor()
  terminal.print_message(message)
  os._exit(2)


def watch(workdir: pathlib.Path) -> None:
  """Ends the program if a thread meets a full disk or another shortage.

  Tracebacks of later errors are hidden.
  """
  threading.excepthook = functools.partial(_thread, workdir)
  sys.unraisablehook = _unraisable
  absl_logging.get_absl_logger().addFilter(
      functools.partial(_is_other, workdir)
  )


def _thread(workdir: pathlib.Path, args: threading.ExceptHookArgs) -> None:
  """Handles an error that ended a thread."""
  error = args.exc_value
  if message := explain(error, workdir) or shortage.explain(error):
    leave(message)
  threading.__excepthook__(args)


def _unraisable(args: "sys.UnraisableHookArgs") -> None:
  """Hides errors of event loops that follow from the failure."""
  if not any(words in str(args.exc_value) for words in _LOOPS):
    sys.__unraisablehook__(args)


def _is_other(workdir: pathlib.Path, record: logging.LogRecord) -> bool:
  """Returns whether a log line is about neither a full disk nor a shortage.

  Orbax both logs and raises these errors.
  """
  logged = record.exc_info[1] if record.exc_info else None
  message = OSError(record.getMessage())
  return not any(
      explain(error, workdir) or shortage.explain(error)
      for error in (logged, message)
  )
