"""The embedded suite: small instruction tasks in families of siblings.

Nothing is downloaded: the seed draws the instances. One sibling of each
family is held out ("heldout"), and one whole family is ("heldout_family").
"""

from collections.abc import Iterator
import dataclasses
import pathlib

from zsgen.core import registry
from zsgen.core.schema import option
from zsgen.data import suite
from zsgen.data.sources import options
from zsgen.data.sources.synth import (
    kinds,
    languages,
    letters,
    lists,
    numbers,
    sentences,
    task,
    texts,
)

TASKS = (
    *lists.FILTER,
    *lists.PICK,
    *lists.ORDER,
    *numbers.SUM,
    *numbers.NEXT,
    *numbers.COMPARE,
    *texts.STYLE,
    *texts.WORDS,
    *texts.REPEAT,
    *letters.LETTER,
    *letters.COUNT,
    *kinds.KIND,
    *kinds.FIND,
    *sentences.LABEL,
    *sentences.REWRITE,
    *sentences.QUESTIONS,
)
# The siblings that are held out.
HELDOUT = (
    "filter_large",
    "pick_last",
    "order_down",
    "sum_three",
    "next_down",
    "style_title",
    "words_swap",
    "repeat_twice",
    "letter_last",
    "count_words",
    "kind_food",
    "find_place",
    "label_time",
    "rewrite_plural",
    "ask_where",
)
HELDOUT_FAMILY = "compare"
# The sequence of splits in the suite.
SPLITS = (suite.TRAIN, "heldout", "heldout_family")


def split(entry: task.Task) -> str:
  """Returns the split that a task is in."""
  if entry.family == HELDOUT_FAMILY:
    return "heldout_family"
  return "heldout" if entry.name in HELDOUT else suite.TRAIN


@dataclasses.dataclass(frozen=True)
class Options(options.Generated):
  """The options of `synth`."""

  # Number of additional families of three training tasks on made-up languages,
  # which are far from all held-out tasks.
  far_families: int = option(
      0,
      low=0,
      high=languages.MOST,
      why="no more languages have names",
      newer=True,
  )


@registry.source("synth", options=Options)
def synth(
    data: Options, seed: int, scratch: pathlib.Path | None = None
) -> suite.Suite:
  """Returns the embedded suite.

  Args:
    data: how many instances each task gives, and the number of far families.
    seed: draws the instances.
    scratch: unused; nothing is kept on disk.

  Returns:
    The suite. Inputs within a task are distinct; a task that runs out of
    them gives fewer.
  """
  del scratch
  counts = dict.fromkeys(SPLITS, data.heldout_instances)
  counts[suite.TRAIN] = data.train_instances
  seeds = dict.fromkeys(SPLITS, options.heldout_seed(data, seed))
  seeds[suite.TRAIN] = seed

  def examples() -> Iterator[suite.Example]:
    """Yields the examples of one split after another, task by task."""
    for name in SPLITS:
      for entry in (*TASKS, *languages.families(data.far_families)):
        if split(entry) == name:
          yield from _examples(entry, name, counts[name], seeds[name])

  return suite.Suite("synth", SPLITS[1:], examples)


def _examples(
    entry: task.Task, name: str, count: int, seed: int
) -> Iterator[suite.Example]:
  """Yields the task's instances as examples of the split `name`."""
  for key, (text, answer) in enumerate(_instances(entry, count, seed)):
    yield suite.Example(
        task=entry.name,
        category=entry.family,
        split=name,
        definition=entry.definition,
        input=text,
        targets=(answer,),
        key=str(key),
    )


def _instances(
    entry: task.Task, count: int, seed: int
) -> Iterator[tuple[str, str]]:
  """Yields at most `count` instances (input, answer) with distinct inputs."""
  dice = task.Dice(seed, entry.name)
  inputs: set[str] = set()
  misses = 0
  # Many more misses than inputs: no new ones are left to draw.
  while len(inputs) < count and misses < 20 * (len(inputs) + 10):
    text, answer = entry.draw(dice)
    if text in inputs:
      misses += 1
      continue
    inputs.add(text)
    misses = 0
    yield text, answer
