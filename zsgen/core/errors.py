"""The errors that a user is meant to read."""

from collections.abc import Iterable, Mapping
import difflib
import os
from typing import TypeVar

T = TypeVar("T")

# The exit code of a run that has saved and is not done: sysexits' EX_TEMPFAIL,
# which asks the caller to try again later.
STOPPED = os.EX_TEMPFAIL


class InputError(Exception):
  """Bad input: says what, where (file, line, field) and what to do.

  `zsgen.main` prints it without a traceback and exits with 2.
  """


class Stopped(Exception):
  """A run that was asked to stop and has saved: says how to go on.

  `zsgen.main` prints it and exits with `STOPPED` (75): the run is not done.
  """


def did_you_mean(word: str, known: Iterable[str]) -> str:
  """Returns ' Did you mean "x"?' for the nearest known word, or ''."""
  near = difflib.get_close_matches(word, list(known), n=1)
  return f' Did you mean "{near[0]}"?' if near else ""


def choose(known: Mapping[str, T], name: str, where: str) -> T:
  """Returns what is known under a name.

  Raises:
    InputError: nothing is; names the place `where`, and all that is known.
  """
  if name not in known:
    raise InputError(
        f"{where}: {name!r} is not known.{did_you_mean(name, known)} There are:"
        f" {', '.join(known)}."
    )
  return known[name]
