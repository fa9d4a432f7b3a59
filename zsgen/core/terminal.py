"""Prints text from data to terminals without letting it control them."""

from collections.abc import Iterable
import sys
from typing import Any

import rich.console
import rich.segment
import rich.text

from zsgen.core import storage, texts


class Console(rich.console.Console):
  """A console that shows text as it is: no markup, no control characters.

  The styles and cursor movements of rich itself still work.
  """

  def __init__(self, **kwargs: Any):
    plain = {"markup": False, "emoji": False, "highlight": False}
    super().__init__(**{"soft_wrap": True, **plain, **kwargs})

  def render_str(self, text: str, **kwargs: Any) -> rich.text.Text:
    """Overrides rich, so that the width is that of the printable text."""
    return super().render_str(texts.printable(text, layout=True), **kwargs)

  def render(
      self, renderable: Any, options: Any = None
  ) -> Iterable[rich.segment.Segment]:
    """Overrides rich, so that the text of every segment is printable."""
    for segment in super().render(renderable, options):
      if segment.control or segment.text.isprintable():
        yield segment
      else:
        text = texts.printable(segment.text, layout=True)
        yield segment._replace(text=text)


def print_message(message: object) -> None:
  """Prints a message for the user on stderr, with URLs of what is in buckets."""
  text = texts.message(storage.public(str(message)))
  print(f"zsgen: {text}", file=sys.stderr, flush=True)
