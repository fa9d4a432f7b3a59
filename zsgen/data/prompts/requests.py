"""Requests: how definition, shots and input become one text."""

import collections
from collections.abc import Callable

from zsgen.core import config, registry
from zsgen.data import suite, tokenizers

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


@registry.prompt("plain")
def build_plain(
    data: config.Data,
    tokenizer: tokenizers.Tokenizer,
    counts: collections.Counter,
) -> Request:
  """Returns `plain`, which has no options and counts nothing."""
  del data, tokenizer, counts
  return plain


@registry.prompt("joined")
def build_joined(
    data: config.Data,
    tokenizer: tokenizers.Tokenizer,
    counts: collections.Counter,
) -> Request:
  """Returns `joined`, which has no options and counts nothing."""
  del data, tokenizer, counts
  return joined
