"""Markov's normal algorithms: the reference semantics of rewriting.

An ordered list of rules `left -> right` (2410.04717, appendix A). A step takes
the first rule in the list whose left side occurs, and replaces its leftmost
occurrence; an empty left side occurs at the very beginning. The algorithm ends
where no rule occurs, or after a rule that stops it. The papers train on one
rule and one step (2402.10891, section 3).
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple


class Rule(NamedTuple):
  """`left -> right`; `stop` ends the algorithm after it."""

  left: str
  right: str
  stop: bool = False


def rewrite(left: str, right: str, text: str) -> str:
  """The text with the leftmost `left` replaced; as it is where there is none.

  The paper's task: x -> y, applied once to z.
  """
  found = step(text, [Rule(left, right)])
  return text if found is None else found[0]


def step(text: str, rules: Sequence[Rule]) -> tuple[str, Rule] | None:
  """The text after one rewrite and the rule of it; None where none occurs."""
  for rule in rules:
    place = text.find(rule.left)
    if place >= 0:
      rest = text[place + len(rule.left) :]
      return text[:place] + rule.right + rest, rule
  return None


def steps(text: str, rules: Sequence[Rule]) -> Iterator[str]:
  """The texts that an algorithm comes to, the first one left out.

  It may never end: the caller takes as many as it wants.
  """
  while found := step(text, rules):
    text, rule = found
    yield text
    if rule.stop:
      return
