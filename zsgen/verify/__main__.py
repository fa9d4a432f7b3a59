"""Runs `python -m zsgen.verify PATH…`."""

import sys

from zsgen.verify import command

if __name__ == "__main__":
  sys.exit(command.main())
