"""Text from data, as people get to see it."""

import io

import pytest
import rich.table
import rich.text

from zsgen.core import terminal, texts
from zsgen.train import progress

# What data may hold, and what is shown of it.
NASTY = {
    "\x1b[2J\x1b]0;owned\x07": r"\x1b[2J\x1b]0;owned\x07",
    "\x9b31m": r"\x9b31m",
    "a\u202egnp.exe": r"a\u202egnp.exe",
    "a\u2066b\u2069": r"a\u2066b\u2069",
    "a\nb\rc": r"a\nb\rc",
    "a\u2028b": r"a\u2028b",
    "\x00": r"\x00",
    "\ufeffa": r"\ufeffa",
    "\udce9": r"\udce9",
    "\U000e0041": r"\U000e0041",
    "[bold]x[/bold] [/] :smile:": "[bold]x[/bold] [/] :smile:",
    "US$%EUR$ ii_rhymes ~^{}\\#": "US$%EUR$ ii_rhymes ~^{}\\#",
    "日本 🙂 👩\u200d🔬 é": "日本 🙂 👩\u200d🔬 é",
}
NASTY_TEXTS = pytest.mark.parametrize(("text", "expected"), NASTY.items())


@NASTY_TEXTS
def test_printable(text, expected):
  assert texts.printable(text) == expected
  assert texts.printable(expected) == expected


def test_layout_is_kept_on_request():
  assert texts.printable("a\n\tb\x1b", layout=True) == "a\n\tb\\x1b"


def test_long_words_of_messages_are_cut():
  path = "/a" * 200
  actual = texts.message(f"{path}: {'x' * 10_000} is wrong")
  assert actual.startswith(f"{path}: xxx")
  assert actual.endswith("x… is wrong")
  assert len(actual) < 700


def test_html():
  actual = texts.escape_html("<script>alert('\x1b')</script>\n\"&\u202e")
  assert actual == (
      "&lt;script&gt;alert(&#x27;\\x1b&#x27;)&lt;/script&gt;\n"
      "&quot;&amp;\\u202e"
  )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ii_rhymes", "ii_rhymes"),
        ("_a_ __b__", r"\_a\_ \_\_b\_\_"),
        ("a|b\nc", r"a&#124;b\\nc"),
        ("a\\b", r"a\\b"),
        ("US$%EUR$", r"US\$%EUR\$"),
        (
            "<b>*x*</b> [l](u) `c` ~~s~~",
            r"\<b\>\*x\*\</b\> [l\](u) \`c\` \~\~s\~\~",
        ),
        ("1.234 [1.200, -0.300]", "1.234 [1.200, -0.300]"),
    ],
)
def test_markdown(text, expected):
  assert texts.escape_markdown(text) == expected


def _console(width=80, **options):
  return terminal.Console(file=io.StringIO(), width=width, **options)


@pytest.mark.parametrize(
    ("text", "expected"),
    [pair for pair in NASTY.items() if "\n" not in pair[0]],
)
def test_a_console_shows_text_as_it_is(text, expected):
  """Prints text in every way: as lines, cells, titles, styled text."""
  console = _console()
  table = rich.table.Table(title=text)
  table.add_column(text)
  table.add_row(text)
  console.print(text)
  console.print(rich.text.Text(text, "bold"))
  console.print(table)
  output = console.file.getvalue()
  # Rich drops some control characters of styled text by itself.
  assert output.count(expected) >= (4 if "\x07" not in text else 3)
  assert not set(output) & set("\x1b\x9b\x07\x00\r\u202e\u2028\u2066")


def test_styles_and_cursors_work_on_a_terminal():
  console = _console(force_terminal=True, color_system="standard")
  console.print(rich.text.Text("\x1b[31mred", "bold"))
  assert console.file.getvalue() == "\x1b[1m\\x1b[31mred\x1b[0m\n"
  with progress.Progress(0, 2, console) as line:
    line.show(1, {"[red]a\x1b[2Jb": "1"})
  output = console.file.getvalue()
  assert "[red]a\\x1b[2Jb" in output
  assert "\x1b[?25h" in output  # The cursor is shown again.


def test_messages_on_stderr(capsys):
  terminal.print_message("task \x1b[2J\u202e is wrong")
  assert capsys.readouterr().err == "zsgen: task \\x1b[2J\\u202e is wrong\n"
