"""Tries a tokenizer.json from standard input on texts that are hard to split.

Run as a program by `guard.check_patterns`. It imports nothing of zsgen, so that
it starts quickly; it ends by a signal when it takes too long.
"""

import json
import string
import sys

# Characters of a text, and seconds of the processor for all of them.
LENGTH = 4000
SECONDS = 10
# The exit status if the tokenizer raises an error.
FAILED = 3
# Bytes of memory that the trial may take beyond what it starts with.
_MEMORY = 8 << 30


def texts(spec: str) -> list[str]:
  """Runs of each character that the file may have in a pattern."""
  chars = [*string.printable, "\u00e9", "\u65e5", "\u0e01", "\u00a0"]
  chars += sorted(set(spec[:10_000]) - set(chars))[:100]
  # A run alone; one that cannot go on; and one where all that a pattern may
  # require comes later, so that it is not passed over.
  ends = ("", "!", "\x01" + "".join(chars))
  runs = [char * LENGTH + end for char in chars for end in ends]
  return [*runs, "aA1 " * (LENGTH // 4), "ab" * (LENGTH // 2) + "!"]


def main() -> None:
  """Encodes the texts; a failure is printed, with the status `FAILED`."""
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
    # What a model does not know is reported where it is met.
    if type(error).__name__ == "PanicException" or "Oniguruma" in str(error):
      print(str(error).split("\n")[0])
      sys.exit(FAILED)


def _written(spec: str) -> str:
  """The parts of the file that have patterns."""
  parts = json.loads(spec)
  return json.dumps([parts.get("normalizer"), parts.get("pre_tokenizer")])


if __name__ == "__main__":
  main()
