"""Targets of the papers' figures: what is claimed, and what runs show."""

from collections.abc import Sequence
from typing import NamedTuple

from zsgen.reports import grids, page

_STATE = "state"
PASS, FAIL, NOT_RUN = "pass", "fail", "not run"


class Outcome(NamedTuple):
  """One target, judged.

  Attributes:
    target: its name.
    claim: the rule, in words.
    state: `PASS`, `FAIL` or `NOT_RUN`.
    values: the numbers that decided, or the reason why it was not run.
  """

  target: str
  claim: str
  state: str
  values: str


def missing(target: str, claim: str, reason: str) -> Outcome:
  """Builds the outcome of a target that the runs cannot answer."""
  return Outcome(target, claim, NOT_RUN, reason)


def decided(target: str, claim: str, is_met: bool, values: str) -> Outcome:
  """Builds the outcome of a target that the runs decide."""
  return Outcome(target, claim, PASS if is_met else FAIL, values)


def table(title: str, outcomes: Sequence[Outcome], note: str) -> grids.Grid:
  """Tabulates outcomes, a row each."""
  header = ("target", "claim", _STATE, "values")
  return grids.Grid(title, header, outcomes, words=4, note=note)


def to_html(table: grids.Grid) -> str:
  """Returns a table of outcomes in HTML, whose rows can be searched."""
  column = str(list(table.header).index(_STATE))
  slot = page.slot("filter", column=column)
  return f"<section>{slot}{grids.to_html(table)}</section>"
