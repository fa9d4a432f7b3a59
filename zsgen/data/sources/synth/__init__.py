"""The embedded suite: small instruction tasks in families of siblings.

Nothing is downloaded: the seed draws the instances. One sibling of each
family is held out ("heldout"), and one whole family is ("heldout_family").
"""

from collections.abc import Iterator
import pathlib

from zsgen.core import registry
from zsgen.data import suite
from zsgen.data.sources import options
from zsgen.data.sources.synth import (
    kinds,
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
    *sentences.ASK,
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


def split(each: task.Task) -> str:
  """The split that a task is in."""
  if each.family == HELDOUT_FAMILY:
    return "heldout_family"
  return "heldout" if each.name in HELDOUT else suite.TRAIN


@registry.source("synth", options=options.Generated)
def synth(
    data: options.Generated, seed: int, scratch: pathlib.Path | None = None
) -> suite.Suite:
  """The embedded suite.

  Args:
    data: how many instances each task gives.
    seed: draws the instances.
    scratch: unused; nothing is kept on disk.

  Returns:
    The suite. Inputs within a task are distinct; a task that runs out of
    them gives fewer.
  """
  del scratch
  counts = dict.fromkeys(SPLITS, data.heldout_instances)
  counts[suite.TRAIN] = data.train_instances

  def examples() -> Iterator[suite.Example]:
    for name in SPLITS:
      for each in TASKS:
        if split(each) == name:
          yield from _examples(each, name, counts[name], seed)

  return suite.Suite("synth", SPLITS[1:], examples)


def _examples(
    each: task.Task, name: str, count: int, seed: int
) -> Iterator[suite.Example]:
  """The task's instances as examples of the split `name`."""
  for key, (text, answer) in enumerate(_instances(each, count, seed)):
    yield suite.Example(
        task=each.name,
        category=each.family,
        split=name,
        definition=each.definition,
        input=text,
        targets=(answer,),
        key=str(key),
    )


def _instances(
    each: task.Task, count: int, seed: int
) -> Iterator[tuple[str, str]]:
  """At most `count` instances (input, answer) of different inputs."""
  dice = task.Dice(seed, each.name)
  seen: set[str] = set()
  misses = 0
  # Far more misses than inputs seen: there is nothing new to draw.
  while len(seen) < count and misses < 20 * (len(seen) + 10):
    text, answer = each.draw(dice)
    if text in seen:
      misses += 1
      continue
    seen.add(text)
    misses = 0
    yield text, answer
