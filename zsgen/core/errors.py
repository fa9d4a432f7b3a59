"""Errors that users are meant to read."""

from collections.abc import Iterable, Mapping
import difflib
import os
from typing import TypeVar

T = TypeVar("T")

# The exit code of a run that was interrupted after saving: EX_TEMPFAIL of
# sysexits, which asks the caller to try again later.
STOPPED = os.EX_TEMPFAIL


class InputError(Exception):
  """Bad input: what is wrong, where (file, line, field) and what to do.

  `zsgen.main` prints it without a traceback and exits with 2.
  """


class Stopped(Exception):
  """A run was asked to stop and has saved; says how to resume it.

  `zsgen.main` prints it and exits with `STOPPED` (75).
  """


def did_you_mean(word: str, known: Iterable[str]) -> str:
  """Returns ' Did you mean "x"?' for the nearest known word, or ''."""
  matches = difflib.get_close_matches(word, list(known), n=1)
  return f' Did you mean "{matches[0]}"?' if matches else ""


def choose(choices: Mapping[str, T], name: str, source: str) -> T:
  """Returns the value of a name.

  Raises:
    InputError: the name is unknown; the message has `source` and all names.
  """
  if name not in choices:
    raise InputError(
        f"{source}: {name!r} is unknown.{did_you_mean(name, choices)} Choose"
        f" one of: {', '.join(choices)}."
    )
  return choices[name]
