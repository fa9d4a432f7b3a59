"""A table of text, for terminals, Markdown and HTML."""

from collections.abc import Iterable, Iterator, Sequence
import textwrap
from typing import NamedTuple

import rich.box
import rich.console
import rich.table
import rich.text

from zsgen.core import texts
from zsgen.reports import measures

MISSING = "\N{EN DASH}"
# Columns of words need no more characters than this and their longest word, as
# words wrap. A word of more characters than _WORD may be broken: identifiers have
# any length.
_NARROWEST, _WORD = 12, 24
# Characters between columns, and at both edges together.
_GAP, _EDGES = 2, 2
# Largest number of characters of a cell: in terminals and Markdown, and on pages.
_LINE, _PAGE = 120, 1000
# Tables with so many columns of words are lists where a page is narrow.
_LIST = 3
# Markdown's alignment of words and of numbers.
_RULES = (":--", "--:")


class Grid(NamedTuple):
  """A table of text, which is escaped when it is displayed."""

  title: str
  header: Sequence[str]
  rows: Sequence[Sequence[str]]
  # Number of leading columns with words; other columns are right-aligned numbers.
  words: int = 1
  # A line below the table.
  note: str = ""


def number(value: float | None, digits: int = 3) -> str:
  """Formats a number with thousands separators; `MISSING` for None."""
  return MISSING if value is None else f"{value:,.{digits}f}"


def percent(value: float | None, digits: int = 0) -> str:
  """Formats a part of a machine's work, such as MFU; `MISSING` for None.

  Shares of examples and scores are from 0 to 1 everywhere: use `number`.
  """
  return MISSING if value is None else f"{value:.{digits}%}"


def ranged(value: measures.Spread | None) -> str:
  """Formats mean and range over seeds: 1.234 [1.200, 1.300]; no range for one."""
  if value is None:
    return MISSING
  mean, low, high, seeds = value
  return f"{mean:.3f}" if seeds == 1 else f"{mean:.3f} [{low:.3f}, {high:.3f}]"


def differing(value: measures.Difference | None) -> str:
  """Formats a difference and half its interval: -0.123 ± 0.045."""
  if value is None:
    return MISSING
  if value.detectable is None:
    return f"{value.mean:+.3f}"
  return f"{value.mean:+.3f} ± {value.detectable:.3f}"


def to_rich(grid: Grid) -> rich.table.Table:
  """Returns a table for the terminal, which is a list where it is too wide."""
  table = _Table(
      box=rich.box.SIMPLE,
      padding=(0, _GAP - 1, 0, 0),  # The box adds one more.
      pad_edge=False,
      title=rich.text.Text(_terminal_cell(grid.title), "bold"),
      title_justify="left",
  )
  table.grid = grid
  for i, name in enumerate(grid.header):
    justify = "left" if i < grid.words else "right"
    # Words may wrap, but numbers may not.
    table.add_column(
        rich.text.Text(_terminal_cell(name)),
        justify=justify,
        overflow="fold",
        no_wrap=i >= grid.words,
    )
  for row in grid.rows:
    table.add_row(*(rich.text.Text(_terminal_cell(cell)) for cell in row))
  return table


class _Table(rich.table.Table):
  """A table that is printed as a list where a number or a word does not fit."""

  grid: Grid

  def __rich_console__(
      self,
      console: rich.console.Console,
      options: rich.console.ConsoleOptions,
  ) -> rich.console.RenderResult:
    """Yields the table, or a paragraph for each of its rows; then the note."""
    if _narrowest(self.grid) <= options.max_width:
      yield from super().__rich_console__(console, options)
    else:
      yield from self._paragraphs()
    if self.grid.note:
      # Consoles that do not wrap would leave it as it is.
      yield rich.text.Text(textwrap.fill(self.grid.note, options.max_width))

  def _paragraphs(self) -> Iterator[rich.text.Text]:
    """Yields the title, and the lines of each row."""
    yield rich.text.Text(_terminal_cell(self.grid.title), "bold")
    words = self.grid.words
    names = [_terminal_cell(name) for name in self.grid.header[words:]]
    for row in self.grid.rows:
      cells = [_terminal_cell(cell) for cell in row]
      yield rich.text.Text(" ".join(cells[:words]), "bold")
      for name, cell in zip(names, cells[words:], strict=True):
        yield rich.text.Text(f"  {name}: {cell}")


def _narrowest(grid: Grid) -> int:
  """Returns the least width at which no number is cut and no word is broken."""
  columns = [
      [_terminal_cell(cell) for cell in cells]
      for cells in zip(grid.header, *grid.rows, strict=True)
  ]
  words, numbers = columns[: grid.words], columns[grid.words :]
  gaps = _GAP * (len(columns) - 1) + _EDGES
  return sum(map(_narrowest_words, words)) + sum(map(_widest, numbers)) + gaps


def _narrowest_words(cells: Sequence[str]) -> int:
  """Returns the least width of a column of words."""
  longest = _widest([word for cell in cells for word in cell.split()])
  return max(min(longest, _WORD), min(_widest(cells), _NARROWEST))


def _widest(cells: Iterable[str]) -> int:
  """Returns the number of characters of the longest cell."""
  return max(map(len, cells), default=0)


def to_markdown(grid: Grid) -> str:
  """Returns a table in Markdown."""
  rules = [_RULES[i >= grid.words] for i in range(len(grid.header))]
  lines = [
      f"**{_markdown(grid.title)}**",
      "",
      _markdown_row(grid.header),
      f"| {' | '.join(rules)} |",
      *map(_markdown_row, grid.rows),
  ]
  if grid.note:
    lines += ["", texts.escape_markdown(grid.note)]
  return "\n".join([*lines, ""])


def to_html(grid: Grid) -> str:
  """Returns a table in HTML."""
  body = "\n".join(_html_row(grid, "td", row) for row in grid.rows)
  title = f"<h3>{texts.escape_html(grid.title)}</h3>\n" if grid.title else ""
  note = f"<p>{texts.escape_html(grid.note)}</p>" if grid.note else ""
  name = texts.escape_html(grid.title or "table")
  return (
      f'{title}<div class="scroll" tabindex="0" role="region"'
      f' aria-label="{name}"><table{_list_class(grid)}>\n'
      f"<thead>{_html_row(grid, 'th', grid.header)}</thead>\n"
      f"<tbody>\n{body}\n</tbody>\n</table></div>\n{note}"
  )


def _markdown_row(cells: Iterable[str]) -> str:
  return f"| {' | '.join(map(_markdown, cells))} |"


def _terminal_cell(cell: str) -> str:
  """Returns a cell for the terminal."""
  return texts.printable(texts.short(cell, _LINE), layout=True)


def _markdown(cell: str) -> str:
  return texts.escape_markdown(texts.short(cell, _LINE))


def _list_class(grid: Grid) -> str:
  """Returns the class of tables that narrow pages show as lists."""
  return ' class="list"' if grid.words >= _LIST else ""


def _html_row(grid: Grid, tag: str, cells: Sequence[str]) -> str:
  content = "".join(
      f"<{tag}{_attributes(grid, tag, i)}>{texts.escape_html(texts.short(cell, _PAGE))}</{tag}>"
      for i, cell in enumerate(cells)
  )
  return f"<tr>{content}</tr>"


def _attributes(grid: Grid, tag: str, column: int) -> str:
  """Returns the attributes of a cell: its kind and, in lists, its name."""
  kind = " class=w" if column < grid.words else ""
  if tag == "th" or grid.words < _LIST:
    return kind
  return f'{kind} data-name="{texts.escape_html(grid.header[column])}"'
