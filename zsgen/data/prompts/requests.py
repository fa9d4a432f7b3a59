"""Requests: how definition, shots and input become one text."""

import collections
from collections.abc import Callable

from zsgen.core import config
from zsgen.data import suite, tokenizers
from zsgen.data.prompts import niv2

Request = Callable[[suite.Example], str]


def plain(example: suite.Example) -> str:
  """Returns the definition, an `Input:` line, and `Output: ` for the answer."""
  lines = [example.definition] if example.definition else []
  return "\n".join([*lines, f"Input: {example.input}", "Output: "])


def joined(example: suite.Example) -> str:
  """Returns definition, blank line and input, like the rows of P3 and Flan."""
  return "\n\n".join(
      part for part in (example.definition, example.input) if part
  )


# Constructors by name, from the config, the tokenizer and a counter.
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
