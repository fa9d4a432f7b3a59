"""Short messages between the processes of a run.

The only module that uses jax's coordination service: a table of strings in
process 0, which needs no device and no program. A single process has none.
Importing this module does not import jax: tools on stores and orders do
without.
"""

import sys
from typing import Any


def is_distributed() -> bool:
  """Returns whether the run has several processes; touches no device."""
  return count() > 1


def count() -> int:
  """Returns the number of processes of the run."""
  if "jax" not in sys.modules:
    return 1  # Nothing else connects processes.
  import jax

  return _state().num_processes if jax.distributed.is_initialized() else 1


def index() -> int:
  """Returns the number of this process."""
  return _state().process_id if is_distributed() else 0


def is_first() -> bool:
  """Returns whether this is process 0, which writes files and prints."""
  return index() == 0


def publish(key: str, value: str) -> None:
  """Writes a message, unless there is one with this key already.

  Raises:
    JaxRuntimeError: process 0 has ended.
  """
  import jax

  try:
    _state().client.key_value_set(key, value)
  except jax.errors.JaxRuntimeError as error:
    if "ALREADY_EXISTS" not in str(error):
      raise


def look_up(key: str, seconds: float = 0.0) -> str | None:
  """Reads a message.

  Args:
    key: the name of the message.
    seconds: how long to wait for it.

  Returns:
    The message; None if there is none.

  Raises:
    JaxRuntimeError: process 0 has ended.
  """
  import jax

  try:
    if not seconds:
      return _state().client.key_value_try_get(key)
    return _state().client.blocking_key_value_get(key, int(1000 * seconds))
  except jax.errors.JaxRuntimeError as error:
    if "NOT_FOUND" in str(error) or "DEADLINE_EXCEEDED" in str(error):
      return None
    raise


def await_message(key: str) -> str:
  """Waits for a message, for hours if necessary; signals still work.

  Raises:
    JaxRuntimeError: process 0 has ended.
  """
  while (message := look_up(key, seconds=1)) is None:
    pass
  return message


def add_one(key: str) -> int:
  """Increments a counter; returns its value over all processes.

  Raises:
    JaxRuntimeError: process 0 has ended.
  """
  return _state().client.key_value_increment(key, 1)


def _state() -> Any:
  """Returns what jax knows of the processes; the client has no public type."""
  from zsgen.core import jax_internals

  return jax_internals.coordination
