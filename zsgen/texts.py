"""Text from data, made fit to be shown.

Names of tasks and the like are whatever the data says: control characters,
marks that turn the direction of writing, ten thousand letters. Files of data
hold them as they are; what people look at gets them by one of these functions,
one for each kind of output.
"""

import html
import re
import unicodedata

# Invisible, yet parts of words and emoji: the joiners.
_JOINERS = "\u200c\u200d"
_LAYOUT = "\n\t"
# Categories of characters that steer terminals or are no text at all.
_HIDDEN = ("Cc", "Cf", "Cs", "Zl", "Zp")
# Longest word of a message: longer ones tell no more.
_WORD = 500
_SHOWN_WORD = 200
# What Markdown, and the math of GitHub's, gives a meaning.
_MARKDOWN = re.compile(r"[\\`*<>$~&]|\](?=[(\[:])|(?<![^\W_])_|_(?![^\W_])")


def printable(text: str, layout: bool = False) -> str:
  r"""A text without characters that do something: "\x1b[2J" as `\x1b[2J`.

  Args:
    text: any text.
    layout: line breaks and tabs stay.
  """
  if text.isprintable():  # No format character is.
    return text
  kept = _JOINERS + _LAYOUT * layout
  return "".join(
      each if each in kept or not _is_hidden(each) else _escaped(each)
      for each in text
  )


def short(text: str, length: int) -> str:
  """A text of at most so many characters; "…" stands for what is cut."""
  return text if len(text) <= length else f"{text[: length - 1]}…"


def message(text: str) -> str:
  """A message for the terminal: printable, endless words cut short."""
  cut = re.sub(
      rf"\S{{{_WORD},}}", lambda word: short(word[0], _SHOWN_WORD), text
  )
  return printable(cut, layout=True)


def escape_html(text: str) -> str:
  """A text inside of a page, attributes too; line breaks stay."""
  return html.escape(printable(text, layout=True))


def escape_markdown(text: str) -> str:
  """A text inside of a line or table of Markdown."""
  found = _MARKDOWN.sub(lambda sign: f"\\{sign[0]}", printable(text))
  return found.replace("|", "&#124;")  # A backslash is not enough in tables.


def _is_hidden(character: str) -> bool:
  return unicodedata.category(character) in _HIDDEN


def _escaped(character: str) -> str:
  return character.encode("unicode_escape").decode("ascii")
