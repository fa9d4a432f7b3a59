"""Tries a tokenizer.json from standard input on texts that are hard to split.

Run as a program by `guard.check_patterns`. It imports nothing of zsgen, so that
it starts quickly; it ends by a signal when it takes too long.
"""

import json
import string
import sys

# Number of characters of a text, and CPU seconds for all texts.
LENGTH = 4000
SECONDS = 10
# The exit status if the tokenizer raises an error.
FAILED = 3
# Bytes of memory that the trial may use in addition to its initial memory.
_MEMORY = 8 << 30


def texts(spec: str) -> list[str]:
  """Returns runs of each character that a pattern of the file may have."""
  chars = [*string.printable, "\u00e9", "\u65e5", "\u0e01", "\u00a0"]
  chars += sorted(set(spec[:10_000]) - set(chars))[:100]
  # A run on its own; one that cannot continue; and one after which everything
  # follows that a pattern may require, so that it is not skipped.
  ends = ("", "!", "\x01" + "".join(chars))
  runs = [char * LENGTH + end for char in chars for end in ends]
  return [*runs, "aA1 " * (LENGTH // 4), "ab" * (LENGTH // 2) + "!"]


def main() -> None:
  """Encodes the texts; prints a failure and exits with the status `FAILED`."""
  import resource

  resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
  resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY, _MEMORY))
  spec = sys.stdin.read()
  try:
    import tokenizers

    tokenizer = tokenizers.Tokenizer.from_str(spec)
    for text in texts(_written(spec)):
      tokenizer.encode_batch_fast([text], add_special_tokens=False)
  except BaseException as error:
    # Unknown text is reported when it occurs in data.
    if type(error).__name__ == "PanicException" or "Oniguruma" in str(error):
      print(str(error).split("\n")[0])
      sys.exit(FAILED)


def _written(spec: str) -> str:
  """Returns the parts of the file that have patterns."""
  parts = json.loads(spec)
  return json.dumps([parts.get("normalizer"), parts.get("pre_tokenizer")])


if __name__ == "__main__":
  main()
