"""Lines for people: whatever data says, it does nothing to a terminal."""

from collections.abc import Iterable
import sys
from typing import Any

import rich.console
import rich.segment
import rich.text

from zsgen import texts


class Console(rich.console.Console):
  """A console that shows text as it is: no markup, no control characters.

  Styles and cursor movements of rich itself are no text, and work.
  """

  def __init__(self, **kwargs: Any):
    plain = {"markup": False, "emoji": False, "highlight": False}
    super().__init__(**{"soft_wrap": True, **plain, **kwargs})

  def render_str(self, text: str, **kwargs: Any) -> rich.text.Text:
    """As rich's; the text is printable before its width is measured."""
    return super().render_str(texts.printable(text, layout=True), **kwargs)

  def render(
      self, renderable: Any, options: Any = None
  ) -> Iterable[rich.segment.Segment]:
    """As rich's; what it renders is printable."""
    for segment in super().render(renderable, options):
      if segment.control or segment.text.isprintable():
        yield segment
      else:
        text = texts.printable(segment.text, layout=True)
        yield segment._replace(text=text)


def tell(message: object) -> None:
  """Says what went wrong, or what to do, on stderr."""
  print(f"zsgen: {texts.message(str(message))}", file=sys.stderr, flush=True)
