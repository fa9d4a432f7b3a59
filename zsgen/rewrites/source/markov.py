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
  """Replaces the leftmost `left` of a text, if there is one.

  The paper's task: x -> y, applied once to z.
  """
  rewritten = step(text, [Rule(left, right)])
  return text if rewritten is None else rewritten[0]


def step(text: str, rules: Sequence[Rule]) -> tuple[str, Rule] | None:
  """Returns the text after one rewrite, and its rule; None if none applies."""
  for rule in rules:
    index = text.find(rule.left)
    if index >= 0:
      rest = text[index + len(rule.left) :]
      return text[:index] + rule.right + rest, rule
  return None


def steps(text: str, rules: Sequence[Rule]) -> Iterator[str]:
  """Yields the texts that an algorithm produces, without the first one.

  It may never end: the caller takes as many as it wants.
  """
  while rewritten := step(text, rules):
    text, rule = rewritten
    yield text
    if rule.stop:
      return
