"""Explains errors caused by a lack of memory, file descriptors or threads.

Libraries raise many kinds of errors for these. Each becomes one message that
says which limit to raise or which option to lower.
"""

import errno
import resource

from zsgen.core import errors

_MEMORY, _FILES, _THREADS = "memory", "files", "threads"
_NUMBERS = {
    errno.ENOMEM: _MEMORY,
    errno.EMFILE: _FILES,
    errno.ENFILE: _FILES,
    errno.EAGAIN: _THREADS,
}
# Messages of libraries that raise without an error number.
_WORDS = {
    "Too many open files": _FILES,
    "RESOURCE_EXHAUSTED": _MEMORY,
    "Out of memory": _MEMORY,
    "std::bad_alloc": _MEMORY,
    "Unable to allocate": _MEMORY,
    "Cannot allocate memory": _MEMORY,
    "malloc of size": _MEMORY,
    "failed to map segment": _MEMORY,
    "can't start new thread": _THREADS,
    "Resource temporarily unavailable": _THREADS,
    "thread constructor failed": _THREADS,
}


# Address space below which jax aborts, uncatchably, before the first step:
# measured, 2.5 GiB is too little on the CPU, 3.5 GiB is enough.
_LEAST = 3 * 2**30


def check_limits() -> None:
  """Raises InputError if jax would abort for lack of address space."""
  limit, _ = resource.getrlimit(resource.RLIMIT_AS)
  if limit != resource.RLIM_INFINITY and limit < _LEAST:
    raise errors.InputError(
        f"`ulimit -v` limits this process to {limit / 2**30:.3g} GiB of address"
        f" space, but jax needs {_LEAST / 2**30:.3g} GiB or more. Raise the"
        " limit, for example by `ulimit -v unlimited`, and run the same command"
        " again."
    )


def explain(error: BaseException | None) -> str:
  """Returns the message for an error caused by a shortage; otherwise "".

  Args:
    error: the error; its causes are examined too.
  """
  while error is not None:
    if kind := _kind(error):
      return _message(kind, error)
    error = error.__cause__ or error.__context__
  return ""


def _kind(error: BaseException) -> str:
  """Returns what an error says is short; "" if it is another error."""
  if isinstance(error, MemoryError):
    return _MEMORY
  if isinstance(error, OSError) and error.errno in _NUMBERS:
    return _NUMBERS[error.errno]
  text = str(error)
  return next((kind for words, kind in _WORDS.items() if words in text), "")


def _message(kind: str, error: BaseException) -> str:
  """Returns what is short, its limit, and what to do."""
  line = " ".join(str(error).split())[:200]
  reason = f" ({line})" if line else ""
  if kind == _MEMORY:
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    bound = ""
    if limit != resource.RLIM_INFINITY:
      bound = f" `ulimit -v` limits it to {limit / 2**30:.3g} GiB."
    return (
        f"this process is out of memory{reason}.{bound} Lower"
        " config.train.batch_size or config.data.max_length, use a smaller"
        " model, or run on a machine with more memory. Finished work is kept."
    )
  if kind == _FILES:
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return (
        f"too many files are open{reason}: `ulimit -n` limits this process to"
        f" {limit:,}. Raise the limit, for example by `ulimit -n 4096`, and run"
        " the same command again."
    )
  return (
      f"no thread or process can be started{reason}. Raise the limit on"
      " processes (`ulimit -u`, or that of the container) or on memory, and run"
      " the same command again."
  )
