"""Converts a GGUF file to a directory in Hugging Face's layout.

  python -m zsgen.models.gguf FILE OUT

Then: config.model.init = "hf:OUT", config.data.tokenizer = "hf",
config.data.tokenizer_path = "OUT".
"""

import argparse
from collections.abc import Sequence
import pathlib
import sys

from zsgen.core import chatter, errors, schema, terminal
from zsgen.pipeline import conversion


def main(arguments: Sequence[str] | None = None) -> int:
  """Converts a file; returns the exit code: 0, or 2 for bad input."""
  parser = argparse.ArgumentParser(
      "python -m zsgen.models.gguf",
      description=__doc__,
      formatter_class=argparse.RawDescriptionHelpFormatter,
  )
  parser.add_argument("file", metavar="FILE")
  parser.add_argument("out", metavar="OUT")
  parser.add_argument(
      "--dtype",
      choices=("float32", "bfloat16"),
      default="float32",
      help="element type of the weights (float32, the exact values)",
  )
  options = parser.parse_args(arguments)
  chatter.hide()
  try:
    for name in ("file", "out"):
      schema.check_local(getattr(options, name), name.upper())
    is_new = conversion.convert(
        pathlib.Path(options.file), pathlib.Path(options.out), options.dtype
    )
  except errors.InputError as error:
    terminal.print_message(error)
    return 2
  state = "written" if is_new else "there already, and whole"
  terminal.Console().print(f"{options.out}: {state}")
  return 0


if __name__ == "__main__":
  sys.exit(main())
