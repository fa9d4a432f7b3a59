"""Makes text from data safe to display.

Names of tasks and the like are untrusted: they may contain control characters,
marks that change the writing direction, or ten thousand letters. Data files
keep them unchanged. Everything for display goes through one of these functions,
one for each kind of output.
"""

import html
import re
import unicodedata

# Joiners: invisible, but parts of words and emoji.
_JOINERS = "\u200c\u200d"
_LAYOUT = "\n\t"
# Categories of characters that control terminals or are not text.
_HIDDEN = ("Cc", "Cf", "Cs", "Zl", "Zp")
# Words of a message that are longer than this are shortened.
_WORD = 500
_SHORTENED_WORD = 200
# Characters with a meaning in Markdown and in GitHub's math.
_MARKDOWN = re.compile(r"[\\`*<>$~&]|\](?=[(\[:])|(?<![^\W_])_|_(?![^\W_])")


def printable(text: str, layout: bool = False) -> str:
  r"""Returns a text with control characters escaped: ESC becomes `\x1b`.

  Args:
    text: any text.
    layout: whether line breaks and tabs are kept.
  """
  if text.isprintable():  # Format characters are not printable.
    return text
  allowed = _JOINERS + _LAYOUT * layout
  return "".join(
      char if char in allowed or not _is_hidden(char) else _escaped(char)
      for char in text
  )


def short(text: str, length: int) -> str:
  """Returns a text cut to `length` characters; "…" marks the cut."""
  return text if len(text) <= length else f"{text[: length - 1]}…"


def message(text: str) -> str:
  """Returns a message made printable, with very long words shortened."""
  cut = re.sub(
      rf"\S{{{_WORD},}}", lambda word: short(word[0], _SHORTENED_WORD), text
  )
  return printable(cut, layout=True)


def escape_html(text: str) -> str:
  """Returns a text escaped for HTML, including attributes."""
  return html.escape(printable(text, layout=True))


def escape_markdown(text: str) -> str:
  """Returns a text escaped for a line or a table of Markdown."""
  escaped = _MARKDOWN.sub(lambda sign: f"\\{sign[0]}", printable(text))
  return escaped.replace("|", "&#124;")  # A backslash is not enough in tables.


def _is_hidden(character: str) -> bool:
  return unicodedata.category(character) in _HIDDEN


def _escaped(character: str) -> str:
  return character.encode("unicode_escape").decode("ascii")
