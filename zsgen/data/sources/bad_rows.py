"""Rows that cannot be used: told all at once, or left out and counted."""

from typing import Any

from zsgen import errors

# Messages that are kept.
_KEPT = 5


class BadRows:
  """Counts rows that cannot be used, and keeps what is wrong with the first.

  Attributes:
    count: how many there are.
  """

  def __init__(self):
    self.count = 0
    self._first: list[str] = []

  def add(self, error: errors.InputError) -> None:
    """Counts one more."""
    self.count += 1
    if len(self._first) < _KEPT:
      self._first.append(str(error))

  def error(self) -> errors.InputError:
    """What a user is told who wants none of them."""
    more = self.count - 1
    others = f" And {more} more bad row{'s' * (more > 1)}." if more else ""
    return errors.InputError(
        f"{self._first[0]}{others} Mend the source, or leave bad rows out:"
        " --config.data.on_bad_row=skip."
    )

  def told(self) -> dict[str, Any]:
    """The count and the first messages, for a manifest."""
    return {"count": self.count, "first": list(self._first)}
