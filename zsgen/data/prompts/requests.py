"""Requests: how definition, shots and input become one text."""

import collections
from collections.abc import Callable

from zsgen.core import config, registry
from zsgen.data import suite, tokenizers

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
