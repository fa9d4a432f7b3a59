"""Errors of the user's code and data, with their place."""

from collections.abc import Callable
from typing import Any

from zsgen.core import errors


def guarded(call: Callable[[], Any], place: str) -> Any:
  """What `call` returns.

  Raises:
    InputError: `call` raised; says where, and the error's last line.
  """
  try:
    return call()
  except Exception as error:
    raise errors.InputError(f"{place} ({last_line(error)}).") from error


def last_line(error: Exception) -> str:
  """What an error says, without tracebacks in it and TensorFlow's nodes."""
  lines = [line.strip() for line in str(error).splitlines()]
  said = [line for line in lines if line and not line.startswith("[[")]
  kind = type(error).__name__
  return f"{kind}: {said[-1]}" if said else kind
