"""Plain texts of the worlds that the embedded suite asks about.

The tiny base is pre-trained on them. They state facts, in prose, notes and
small dialogues; no instruction of the suite occurs, nor its layout.
"""

from collections.abc import Iterator
import pathlib

from zsgen.core import registry
from zsgen.data import suite
from zsgen.data.sources import options
from zsgen.data.sources.synth import task
from zsgen.data.sources.worlds import (
    fact,
    lists,
    numbers,
    sentences,
    texts,
    words,
)

THEMES = {
    "parts": numbers.PARTS,
    "sums": numbers.SUMS,
    "lists": lists.LISTS,
    "letters": words.LETTERS,
    "kinds": words.KINDS,
    "copies": texts.COPIES,
    "styles": texts.STYLES,
    "forms": sentences.FORMS,
    "stories": sentences.STORIES,
}
HELDOUT = "heldout"


@registry.source("worlds", options=options.Generated)
def worlds(
    data: options.Generated, seed: int, scratch: pathlib.Path | None = None
) -> suite.Suite:
  """Returns texts to pre-train on, a task a theme, and held-out texts.

  Args:
    data: how many texts each theme gives.
    seed: draws the texts.
    scratch: unused; nothing is kept on disk.

  Returns:
    The suite; a text is the whole answer to an empty prompt.
  """
  del scratch
  heldout_seed = options.heldout_seed(data, seed)

  def examples() -> Iterator[suite.Example]:
    """Yields the training texts of all themes, then the held-out ones."""
    for theme in THEMES:
      name, count = f"worlds_{theme}", data.train_instances
      yield from _examples(theme, name, suite.TRAIN, count, seed)
    for theme in THEMES:
      name, count = f"worlds_{theme}_check", data.heldout_instances
      yield from _examples(theme, name, HELDOUT, count, heldout_seed)

  return suite.Suite("worlds", (HELDOUT,), examples)


def _examples(
    theme: str, name: str, split: str, count: int, seed: int
) -> Iterator[suite.Example]:
  """Yields `count` texts of a theme as examples of the task `name`."""
  dice = task.Dice(seed, name)
  for key in range(count):
    yield suite.Example(
        task=name,
        category=theme,
        split=split,
        definition="",
        input="",
        targets=(fact.text(dice, THEMES[theme]),),
        key=str(key),
    )
