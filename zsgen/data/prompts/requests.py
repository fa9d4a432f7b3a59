"""Requests: how definition, shots and input become one text."""

import collections
from collections.abc import Callable

from zsgen.core import config
from zsgen.data import suite, tokenizers
from zsgen.data.prompts import niv2

Request = Callable[[suite.Example], str]


def plain(example: suite.Example) -> str:
  """Definition, an `Input:` line, and `Output: ` for the answer to follow."""
  lines = [example.definition] if example.definition else []
  return "\n".join([*lines, f"Input: {example.input}", "Output: "])


def joined(example: suite.Example) -> str:
  """Definition, a blank line, input: as the rows of P3 and Flan are."""
  return "\n\n".join(
      each for each in (example.definition, example.input) if each
  )


# By name: made from the config, the tokenizer and where to count.
REQUESTS: dict[
    str,
    Callable[[config.Data, tokenizers.Tokenizer, collections.Counter], Request],
] = {
    "plain": lambda data, tokenizer, counts: plain,
    "joined": lambda data, tokenizer, counts: joined,
    "niv2": niv2.Niv2,
}
# Options that only this request reads.
OPTIONS = {
    "niv2": (
        "shots",
        "negative_shots",
        "prompt_tokens",
        "explanations",
        "task_name",
        "definition",
    )
}
