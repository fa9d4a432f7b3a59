"""Counts text that the tokenizer loses, and refuses it in answers.

A model trained on an answer that lacks some characters learns another answer.
Unknown tokens in answers are only counted: they represent the text, but no
generated answer can be correct there.
"""

import collections
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from zsgen.core import errors
from zsgen.data import prompts, suite, tokenizers

# The most examples, and characters, that a message names.
_MAX_NAMES = 5
# Characters whose counts a chunk keeps.
MAX_CHARACTERS = 100


class LostText(NamedTuple):
  """The text that n examples lose.

  Attributes:
    dropped: the number of characters dropped from requests, int64 [n].
    changed: whether the tokenizer changes characters of the answer, bool [n].
    answers: the characters dropped from each answer.
    characters: how often each character is dropped or unknown.
  """

  dropped: np.ndarray
  changed: np.ndarray
  answers: list[str]
  characters: Mapping[str, int]


def find(
    segments: Sequence[Sequence[prompts.Segment]],
    encoded: Sequence[prompts.Encoded],
    tokenizer: tokenizers.Tokenizer,
) -> LostText:
  """Finds the text that the tokenizer loses, before examples are cut.

  Args:
    segments: the segments of each example.
    encoded: the tokens of each example, before any is cut.
    tokenizer: the tokenizer; one that loses nothing is not run again.
  """
  count = len(segments)
  dropped, changed = np.zeros(count, np.int64), np.zeros(count, bool)
  answers, characters = [""] * count, collections.Counter()
  if tokenizer.lost is not None:
    for row, segment, loss in _losses(segments, encoded, tokenizer.lost):
      characters.update(loss.dropped + loss.unknown)
      if segment.loss:
        answers[row] += loss.dropped
        changed[row] |= loss.changed
      else:
        dropped[row] += len(loss.dropped)
  return LostText(dropped, changed, answers, characters)


def _losses(
    segments: Sequence[Sequence[prompts.Segment]],
    encoded: Sequence[prompts.Encoded],
    lost: tokenizers.losses.Lost,
):
  """Yields the row, the segment and the loss of every segment."""
  unknown = -1 if lost.unknown_id is None else lost.unknown_id
  has_unknown = [bool((row.tokens == unknown).any()) for row in encoded]
  for special in (False, True):
    kind = [
        (row, segment)
        for row, parts in enumerate(segments)
        for segment in parts
        if segment.special == special
    ]
    losses = lost.find(
        [segment.text for _, segment in kind],
        special,
        [has_unknown[row] for row, _ in kind],
    )
    for (row, segment), loss in zip(kind, losses, strict=True):
      yield row, segment, loss


def refuse(examples: Sequence[suite.Example], answers: Sequence[str]) -> None:
  """Raises InputError if any answer loses characters.

  Args:
    examples: the examples.
    answers: the characters that the answer of each loses.
  """
  lossy = [
      (example, lost)
      for example, lost in zip(examples, answers, strict=True)
      if lost
  ]
  if not lossy:
    return
  details = "; ".join(
      f"task {example.task}, example {example.key}: {name_characters(lost)}"
      for example, lost in lossy[:_MAX_NAMES]
  )
  remaining = len(lossy) - _MAX_NAMES
  suffix = f"; and {remaining:,} more" if remaining > 0 else ""
  raise errors.InputError(
      "config.data.tokenizer: the tokenizer drops characters of answers, so"
      f" that the model would learn other answers ({details}{suffix}). Use a"
      " tokenizer that can encode any text (a byte tokenizer, or one with byte"
      " fallback), or leave such examples out and count them:"
      " --config.data.on_bad_row=skip."
  )


def name_characters(characters: str) -> str:
  """Returns the first different characters with their code points."""
  different = list(dict.fromkeys(characters))
  text = ", ".join(
      f"{char!r} (U+{ord(char):04X})" for char in different[:_MAX_NAMES]
  )
  return f"{text}, …" if len(different) > _MAX_NAMES else text


def most_common(
    characters: Mapping[str, int], count: int = MAX_CHARACTERS
) -> dict[str, int]:
  """Returns the characters that are lost most often, the most first."""
  ranked = sorted(characters.items(), key=lambda item: (-item[1], item[0]))
  return dict(ranked[:count])
