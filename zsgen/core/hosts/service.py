"""Short messages between the processes of a run.

The one module that knows jax's coordination service: a table of strings in
process 0, which needs no device and no program. A run of one process has none.
Importing this module does not import jax: tools on stores and orders do without.
"""

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
  from jax._src import distributed


def several() -> bool:
  """Whether the run has more than one process; touches no device."""
  return count() > 1


def count() -> int:
  """Processes of the run."""
  if "jax" not in sys.modules:
    return 1  # Nothing else connects processes.
  import jax

  if not jax.distributed.is_initialized():
    return 1
  return _state().num_processes


def index() -> int:
  """The number of this process."""
  return _state().process_id if several() else 0


def is_first() -> bool:
  """Whether this is process 0: the one that writes, and speaks to people."""
  return index() == 0


def publish(key: str, value: str) -> None:
  """Writes a message; one that is there already stays.

  Raises:
    JaxRuntimeError: process 0 is gone.
  """
  import jax

  try:
    _client().key_value_set(key, value)
  except jax.errors.JaxRuntimeError as error:
    if "ALREADY_EXISTS" not in str(error):
      raise


def look_up(key: str, seconds: float = 0.0) -> str | None:
  """Reads a message.

  Args:
    key: its name.
    seconds: how long to wait for it.

  Returns:
    The message; None if there is none.

  Raises:
    JaxRuntimeError: process 0 is gone.
  """
  import jax

  try:
    if not seconds:
      return _client().key_value_try_get(key)
    return _client().blocking_key_value_get(key, int(1000 * seconds))
  except jax.errors.JaxRuntimeError as error:
    if "NOT_FOUND" in str(error) or "DEADLINE_EXCEEDED" in str(error):
      return None
    raise


def await_message(key: str) -> str:
  """Waits for a message, for hours if it must be; signals are heard.

  Raises:
    JaxRuntimeError: process 0 is gone.
  """
  while (found := look_up(key, seconds=1)) is None:
    pass
  return found


def add_one(key: str) -> int:
  """Counts up; returns how often all processes together have done so.

  Raises:
    JaxRuntimeError: process 0 is gone.
  """
  return _client().key_value_increment(key, 1)


def _state() -> "distributed.State":
  """Returns what jax knows of the processes that have joined."""
  from jax._src import distributed  # Nothing public takes messages.

  return distributed.global_state


def _client() -> Any:
  """Returns the connection to process 0."""
  client = _state().client
  assert client is not None, "the processes have not joined"
  return client
