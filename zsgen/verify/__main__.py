"""`python -m zsgen.verify PATH…`: artifacts, or all of a workdir."""

import sys

from zsgen.verify import command

if __name__ == "__main__":
  sys.exit(command.main())
