"""The one error that a user is meant to read."""

from collections.abc import Iterable
import difflib


class InputError(Exception):
  """Bad input: says what, where (file, line, field) and what to do.

  `zsgen.main` prints it without a traceback and exits with 2.
  """


def did_you_mean(word: str, known: Iterable[str]) -> str:
  """Returns ' Did you mean "x"?' for the nearest known word, or ''."""
  near = difflib.get_close_matches(word, list(known), n=1)
  return f' Did you mean "{near[0]}"?' if near else ""
