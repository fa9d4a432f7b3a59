"""The progress of training in a log."""

import io
import re
import time

import rich.console

from zsgen.core import terminal
from zsgen.train import progress


class _Output(io.StringIO):
  """A file that waits for lines."""

  def wait(self, text: str) -> str:
    """Returns the last line when the file contains a text."""
    while text not in self.getvalue():
      time.sleep(0.01)
    return self.getvalue().splitlines()[-1]


def test_a_log_gets_plain_lines():
  output = _Output()
  console = terminal.Console(file=output)
  with progress.Progress(4, 10, console, every=0.01) as line:
    # A line comes before the first step too: it may take minutes to compile.
    assert output.wait("train") == "train    4/10"
    line.show(6, {"heldout": "0.912 nats"})
    line.show(7, {"loss": "0.5"})
    text = output.wait("train    7/10")
    assert re.fullmatch(
        r"train    7/10  heldout 0.912 nats  loss 0.5  0:\d\d:\d\d left", text
    )
  count = output.getvalue().count("\n")
  time.sleep(0.05)
  assert output.getvalue().count("\n") == count
  assert "\x1b" not in output.getvalue()


def test_a_terminal_and_a_quiet_console_get_none():
  for options in ({"force_terminal": True}, {"quiet": True}):
    output = _Output()
    console = rich.console.Console(file=output, width=200, **options)
    with progress.Progress(0, 10, console, every=0.001) as line:
      line.show(1, {"loss": "0.5"})
      time.sleep(0.05)
    assert "left" not in output.getvalue()
