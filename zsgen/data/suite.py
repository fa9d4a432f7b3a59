"""The result of a source: a suite of training tasks and held-out sets."""

from collections.abc import Callable, Iterator, Mapping
import dataclasses
import pathlib
from typing import Any, NamedTuple

TRAIN = "train"


class Turn(NamedTuple):
  """One turn of a conversation."""

  role: str  # "system", "user" or "assistant"
  text: str
  # Of an answer: whether the loss falls on it.
  is_trained: bool = True


class Shot(NamedTuple):
  """A solved example that a prompt may show."""

  input: str
  output: str
  explanation: str
  positive: bool


class Example(NamedTuple):
  """One instance of one task, as text."""

  # The task's name, unique in the suite.
  task: str
  # The family that the task belongs to.
  category: str
  # "train", or the name of a held-out set.
  split: str
  # The instruction; "" if the input says it all.
  definition: str
  input: str
  # Reference answers; training and held-out loss use the first. () where the
  # publisher has none: the example is dropped and counted.
  targets: tuple[str, ...]
  # The publisher's id of the instance, unique within the task.
  key: str
  # Solved examples of the task, for prompts that show some.
  shots: tuple[Shot, ...] = ()
  # A conversation, in place of definition, input and targets.
  turns: tuple[Turn, ...] = ()
  # Answers to choose from; right are those that are one of `targets`.
  choices: tuple[str, ...] = ()
  # For a choice that is an example of its own (see `choices.py`): whether it
  # is right. Otherwise None.
  right: bool | None = None

  def count_characters(self) -> int:
    """Returns the length of what a prompt may show, without solved examples."""
    count = len(self.definition) + len(self.input)
    count += sum(map(len, self.targets))
    if not self.turns:
      return count
    return count + sum(len(turn.text) for turn in self.turns)


class Outline(NamedTuple):
  """A suite without its examples.

  Attributes:
    name: of the suite.
    heldout: held-out sets, in the order in which their examples come.
    files: what the examples come from; () where they are generated.
    notes: on the source, for the manifest (JSON): counts, and the first items
      that they count.
  """

  name: str
  heldout: tuple[str, ...]
  files: tuple[pathlib.Path, ...] = ()
  notes: Mapping[str, Any] = {}


@dataclasses.dataclass(frozen=True)
class Suite:
  """Training tasks and one or several held-out sets.

  `examples` yields the training examples first, task by task, then each
  held-out set, task by task; that sequence numbers the rows of the store. It
  may be called again and yields the same. A task is in one split only.
  """

  # The fields but for `examples` are those of `Outline`.
  name: str
  heldout: tuple[str, ...]
  examples: Callable[[], Iterator[Example]]
  files: tuple[pathlib.Path, ...] = ()
  notes: Mapping[str, Any] = dataclasses.field(default_factory=dict)

  @property
  def outline(self) -> Outline:
    """The suite without its examples."""
    return Outline(self.name, self.heldout, self.files, self.notes)
