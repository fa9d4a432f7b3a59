"""Updates the transcripts of commands in pages: `python -m docs.transcripts`.

A block of a page that starts with `$ python -m launch.…` has a command, which
may continue after a backslash, and what it prints. These commands only print.
"""

from collections.abc import Callable, Sequence
import contextlib
import io
import pathlib
import re
import shlex

from launch import render
from launch.tpu import __main__ as tpu
from zsgen.core import errors, terminal, texts

ROOT = pathlib.Path(__file__).resolve().parents[1]
PAGES = ("docs/cloud.md", "tests/launch/golden.md")
_BLOCK = re.compile(
    r"^(```\w*\n)\$ (python -m launch\.(?:[^\n]*\\\n)*[^\n]*\n)(.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


def _render(arguments: Sequence[str]) -> None:
  print(render.render(arguments), end="")


def _tpu(arguments: Sequence[str]) -> None:
  assert "--dry-run" in arguments
  tpu.run(arguments, terminal.Console())


_COMMANDS: dict[str, Callable[[Sequence[str]], None]] = {
    "launch.render": _render,
    "launch.tpu": _tpu,
}


def output(command: str) -> str:
  """Returns what a command prints, on stdout and stderr.

  Args:
    command: a line of shell that starts with "python -m".
  """
  words = shlex.split(command.replace("\\\n", " "))
  _, _, module, *arguments = words
  with contextlib.redirect_stdout(io.StringIO()) as out:
    try:
      _COMMANDS[module](arguments)
    except errors.InputError as error:
      print(f"zsgen: {texts.message(str(error))}")
  return out.getvalue()


def update(page: str) -> str:
  """Returns the text of a page with current transcripts.

  Args:
    page: its path in the checkout.
  """

  def replace(match: re.Match) -> str:
    """Returns the block with what its command prints now."""
    start, command, _ = match.groups()
    return f"{start}$ {command}{output(command)}```"

  return _BLOCK.sub(replace, (ROOT / page).read_text("utf-8"))


def main() -> None:
  """Updates all pages."""
  for page in PAGES:
    (ROOT / page).write_text(update(page), "utf-8")


if __name__ == "__main__":
  main()
