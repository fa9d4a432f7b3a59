"""A full disk: one message and exit code 2, wherever it is met.

Threads meet it too, those of checkpoints and of event files: they print traces
of their own, and may leave the main thread waiting for ever.
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

_SAID = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "a file is larger than the disk or `ulimit -f` lets it be",
}
# What libraries say in words only; numpy's counts come with no error number.
_WORDS = {
    "No space left on device": errno.ENOSPC,
    "requested and [0-9]+ written": errno.ENOSPC,
    "Disk quota exceeded": errno.EDQUOT,
    "File too large": errno.EFBIG,
}
# A write of tensorstore's ends after a failed one; a loop got no socket.
_LOOPS = ("Event loop is closed", "object has no attribute '_ssock'")
_PATH = re.compile(r'"(/[^"]+)"')


def told(error: BaseException | None, workdir: pathlib.Path) -> str:
  """The message of an error that a full disk made; "" of any other.

  Args:
    error: looked at with all that led to it.
    workdir: is named where the error names no file.
  """
  while error is not None:
    if number := _number(error):
      return _message(number, _place(error) or workdir, workdir)
    error = error.__cause__ or error.__context__
  return ""


def _number(error: BaseException) -> int:
  """Which of the errors of `_SAID` it is; 0 for others."""
  if isinstance(error, OSError) and error.errno in _SAID:
    return error.errno
  for words, number in _WORDS.items():
    # tensorstore raises ValueError.
    if isinstance(error, OSError | ValueError) and re.search(words, str(error)):
      return number
  return 0


def _place(error: BaseException) -> str:
  """The file that the error names; "" if it names none."""
  if isinstance(error, OSError) and error.filename:
    return str(error.filename)
  found = _PATH.search(str(error))
  return found[1] if found else ""


def _message(
    number: int, place: str | pathlib.Path, workdir: pathlib.Path
) -> str:
  """What to say; the file itself may be gone by now."""
  there = workdir.absolute()
  while not there.exists():
    there = there.parent
  free = rich.filesize.decimal(shutil.disk_usage(there).free)
  return (
      f"{_SAID[number]}: {place} cannot be written ({free} free in {there})."
      " Finished stores, orders and checkpoints are kept. Free some space and"
      " run the same command again to resume."
  )


def leave(said: str) -> None:
  """Says it and exits at once: threads may be busy, or wait for each other."""
  rich.console.Console(stderr=True).show_cursor()
  terminal.tell(said)
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
  if said := told(error, workdir) or shortage.explain(error):
    leave(said)
  threading.__excepthook__(args)


def _unraisable(args: "sys.UnraisableHookArgs") -> None:
  """Leaves out what event loops say that ended, or began, in a failure."""
  if not any(words in str(args.exc_value) for words in _LOOPS):
    sys.__unraisablehook__(args)


def _is_other(workdir: pathlib.Path, record: logging.LogRecord) -> bool:
  """Returns whether a log line is about neither a full disk nor a shortage.

  Orbax both logs and raises these errors.
  """
  logged = record.exc_info[1] if record.exc_info else None
  said = OSError(record.getMessage())
  return not any(
      told(error, workdir) or shortage.explain(error)
      for error in (logged, said)
  )
