"""Figures as PNG bytes, the same bytes for the same numbers.

Colours are those of Okabe and Ito (2008), which colour-blind readers can distinguish.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
import contextlib
import io
import textwrap
from typing import Any, NamedTuple
import warnings

import matplotlib
from matplotlib import axes as axes_lib
from matplotlib import axis as axis_lib
from matplotlib import collections, layout_engine, ticker
from matplotlib import figure as figure_lib
from matplotlib import text as text_lib
import numpy as np

from zsgen.core import texts
from zsgen.reports import curves, measures

INK, GRID = "#1b1f24", "#e4e8ec"
HUES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
_FLOOR, _QUIET = "#c4cad0", "#57606a"
_DASHES: tuple[tuple[int, ...], ...] = (
    (),
    (6, 3),
    (2, 2),
    (9, 3, 2, 3),
    (12, 6),
)
_MARKERS = "osD^vPX<>*p"
# Inches; at 150 dots per inch, a figure has twice the width of a README.
_WIDTH = 9.0
_DPI = 150
# Inches of a panel's height that are not its y axis; width of a letter relative to
# the size of the text.
_MARGINS, _LETTER = 0.6, 0.6
# Largest number of characters of a text, and of a row of a legend.
_LONGEST, _ROW = 60, 120
# Formatters of ticks whose words do not come from data.
_OF_NUMBERS = (
    ticker.LogFormatter,
    ticker.ScalarFormatter,
    ticker.NullFormatter,
)


class Line(NamedTuple):
  """A line and its band.

  The band goes from the minimum to the maximum of the curves; for differences,
  it is the 95% interval of their mean, where there are enough curves for one.
  """

  label: str
  x: np.ndarray  # [n]
  values: np.ndarray  # [curves, n]; the line is their mean
  is_difference: bool = False

  def band(self) -> tuple[np.ndarray, np.ndarray] | None:
    """Returns the lower and the upper edge, [n] each; None for no band."""
    if not self.is_difference:
      several = len(self.values) > 1
      return (self.values.min(0), self.values.max(0)) if several else None
    half = measures.half_widths(self.values)
    if half is None:
      return None
    mean = self.values.mean(0)
    return mean - half, mean + half


class Panel(NamedTuple):
  """The contents of one pair of axes."""

  title: str
  xlabel: str
  ylabel: str
  lines: Sequence[Line]
  # Inches.
  height: float = 3.2
  # Whether to draw the line y = 0, for differences.
  zero: bool = False


def line(
    label: str, *members: curves.Curve, is_difference: bool = False
) -> Line:
  """Returns a line over curves that were evaluated at the same steps."""
  values = np.stack([curve.values for curve in members])
  return Line(label, members[0].steps, values, is_difference)


def plot(
    rows: Sequence[Sequence[Panel]],
    inked: str = "",
    one_x: bool = False,
    one_y: bool = False,
) -> bytes:
  """Draws rows of panels with one legend below.

  Args:
    rows: panels of one row share their height.
    inked: the label of the reference, which is drawn in black.
    one_x: whether panels share an x axis, with numbers below the last row.
    one_y: whether the panels of a row have the same scale of values.

  Returns:
    A PNG.
  """
  return png(draw(rows, inked, one_x, one_y))


def draw(
    rows: Sequence[Sequence[Panel]],
    inked: str = "",
    one_x: bool = False,
    one_y: bool = False,
    width: float = _WIDTH,
) -> figure_lib.Figure:
  """Returns the figure of `plot`, `width` inches wide."""
  heights = [row[0].height for row in rows]
  panels = [panel for row in rows for panel in row]
  labels = dict.fromkeys(item.label for panel in panels for item in panel.lines)
  # Panels have room for two rows of the legend.
  extra = _legend_height(labels, width, 2)
  figure = _figure(sum(heights) + extra, width)
  grid = figure.subplots(
      len(rows),
      len(rows[0]),
      squeeze=False,
      height_ratios=heights,
      sharex=one_x,
      sharey="row" if one_y else False,
  )
  line_styles = _marked(_drawn(labels, inked))
  handles = {}
  for axes, panel in zip(grid.flat, panels, strict=True):
    handles |= _draw(axes, panel, line_styles, width / len(rows[0]))
  _add_legend(figure, {label: handles[label] for label in labels})
  return figure


def small_multiples(
    panels: Mapping[str, Mapping[str, curves.Curve]], columns: int = 5
) -> bytes:
  """Draws small panels, each from 0 to the largest of its values.

  Args:
    panels: curves by their labels, for each panel by its name. A legend tells
      several labels apart; below the panel of a single curve are its first and
      last value.
    columns: panels in a row.

  Returns:
    A PNG.
  """
  return png(draw_small(panels, columns))


def draw_small(
    panels: Mapping[str, Mapping[str, curves.Curve]], columns: int = 5
) -> figure_lib.Figure:
  """Returns the figure of `small_multiples`."""
  rows = -(-len(panels) // columns)
  labels = dict.fromkeys(label for lines in panels.values() for label in lines)
  figure = _figure(rows + _legend_height(labels, _WIDTH, 1))
  axes = figure.subplots()
  # One pair of axes holds all panels: a hundred pairs take seconds to draw.
  axes.set(xlim=(0, columns), ylim=(rows, 0))
  axes.axis("off")
  shapes: dict[str, list[np.ndarray]] = {label: [] for label in labels}
  floors = []
  for index, (name, lines) in enumerate(panels.items()):
    left, floor = index % columns, index // columns + 0.6
    top = max(curve.values.max() for curve in lines.values())
    for label, curve in lines.items():
      x = left + 0.9 * curve.steps / max(curve.steps[-1], 1)
      y = floor - 0.55 * curve.values / (max(top, 0) or 1)
      shapes[label].append(np.column_stack([x, y]))
    floors.append([(left, floor), (left + 0.9, floor)])
    _write_below(axes, left, floor, name, lines)
  axes.add_collection(
      collections.LineCollection(floors, colors=_FLOOR, linewidths=0.8)
  )
  handles = {
      label: axes.add_collection(
          collections.LineCollection(shapes[label], linewidths=1.4, **style)
      )
      for label, style in _drawn(labels).items()
  }
  _add_legend(figure, handles)
  return figure


def _write_below(
    axes: axes_lib.Axes,
    left: float,
    floor: float,
    name: str,
    lines: Mapping[str, curves.Curve],
) -> None:
  """Writes the name of a panel, and the ends of its curve if it has one."""
  label = texts.short(texts.printable(name), 26)
  axes.text(left, floor + 0.03, label, va="top", fontsize=7.5)
  if len(lines) == 1:
    (curve,) = lines.values()
    first, last = curve.values[[0, -1]]
    ends = f"{first:.2f} → {last:.2f}"
    axes.text(left, floor + 0.18, ends, va="top", fontsize=7, color=_QUIET)


@contextlib.contextmanager
def font(points: float) -> Iterator[None]:
  """Sets the size of all text of figures that are drawn and saved meanwhile."""
  with matplotlib.rc_context({"font.size": points}):
    yield


def png(figure: figure_lib.Figure, dpi: int = _DPI) -> bytes:
  """Returns a figure as PNG, with the same bytes for the same figure.

  Text is not interpreted: "$" does not start a formula, invisible characters are
  escaped, and long texts are cut.
  """
  # Matplotlib's own version would change the bytes.
  return _save(figure, format="png", dpi=dpi, metadata={"Software": None})


def svg(figure: figure_lib.Figure) -> bytes:
  """Returns a figure as SVG, in the same way as `png`; letters are shapes."""
  metadata = {"Date": None, "Creator": None}
  with matplotlib.rc_context({"svg.hashsalt": "zsgen"}):
    return _save(figure, format="svg", metadata=metadata)


def _save(figure: figure_lib.Figure, **options: Any) -> bytes:
  """Returns the bytes of a file of a figure, whose text is made displayable."""
  for axis in _axes(figure):
    if not isinstance(axis.get_major_formatter(), _OF_NUMBERS):
      axis.set_major_formatter(_DisplayedFormatter(axis.get_major_formatter()))
  broken = {axes.yaxis.label for axes in figure.axes}
  for text in set(figure.findobj(text_lib.Text)) - _powers(figure):
    text.set_parse_math(False)
    if text not in broken:
      text.set_text(_displayed(text.get_text()))
  buffer = io.BytesIO()
  with warnings.catch_warnings():
    # If the font lacks a letter, the figure shows a box; tables have it.
    warnings.filterwarnings("ignore", "Glyph .* missing from")
    figure.savefig(buffer, **options)
  return buffer.getvalue()


class _DisplayedFormatter(ticker.Formatter):
  """Wraps a formatter whose ticks are words, to make them displayable."""

  def __init__(self, words: ticker.Formatter):
    self._words = words

  def __call__(self, x: float, pos: int | None = None) -> str:
    """The words at a tick."""
    return _displayed(self._words(x, pos))


def _axes(figure: figure_lib.Figure) -> list[axis_lib.Axis]:
  return [axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)]


def _displayed(text: str) -> str:
  return texts.short(texts.printable(text), _LONGEST)


def _powers(figure: figure_lib.Figure) -> set[text_lib.Text]:
  """Returns numbers at logarithmic axes, which are matplotlib's formulas."""
  return {
      label
      for axis in _axes(figure)
      if isinstance(axis.get_major_formatter(), ticker.LogFormatter)
      for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks())
      for label in (tick.label1, tick.label2)
  }


def _figure(height: float, width: float = _WIDTH) -> figure_lib.Figure:
  # Room for the half of the last tick's label that is outside the axes.
  layout = layout_engine.ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.06)
  return figure_lib.Figure((width, height), layout=layout)


class Style(NamedTuple):
  """The colour of a line and its dashes, in points; no dash for a solid line."""

  color: str
  dash: tuple[int, ...] = ()


def styles(labels: Iterable[str], inked: str = "") -> dict[str, Style]:
  """Returns the style of each label, in their sequence; `inked` is black."""
  remaining = [label for label in dict.fromkeys(labels) if label != inked]
  by_label = {
      label: Style(HUES[i % len(HUES)], _DASHES[i // len(HUES) % len(_DASHES)])
      for i, label in enumerate(remaining)
  }
  by_label[inked] = Style(INK)
  return {label: by_label[label] for label in dict.fromkeys(labels)}


def _drawn(labels: Iterable[str], inked: str = "") -> dict[str, dict]:
  """Returns what matplotlib draws the line of each label with."""
  return {
      label: {
          "color": style.color,
          "linestyle": (0, style.dash) if style.dash else "-",
      }
      for label, style in styles(labels, inked).items()
  }


def _marked(line_styles: Mapping[str, dict]) -> dict[str, dict]:
  """Adds markers if there are so many lines that colours alone are too few."""
  if len(line_styles) <= len(HUES) + 1:
    return dict(line_styles)
  return {
      label: {
          **style,
          "marker": _MARKERS[i % len(_MARKERS)],
          "markevery": 0.12,
          "markersize": 4,
      }
      for i, (label, style) in enumerate(line_styles.items())
  }


def _add_legend(figure: figure_lib.Figure, handles: Mapping[str, Any]) -> None:
  """Adds a legend below the panels, if there are several lines."""
  if len(handles) > 1:
    figure.legend(
        list(handles.values()),
        list(handles),
        loc="outside lower center",
        ncols=_columns(handles, figure.get_figwidth()),
        frameon=False,
    )


def _columns(labels: Iterable[str], width: float) -> int:
  """Returns the columns, at most 4, of a legend that is `width` inches wide."""
  row = int(_ROW * width / _WIDTH)
  lengths = [min(len(label), _LONGEST) for label in labels]
  return max(1, min(len(lengths), 4, row // (8 + max(lengths))))


def _legend_height(labels: Collection[str], width: float, rows: int) -> float:
  """Returns the inches that a legend has beyond a number of rows."""
  if len(labels) < 2:
    return 0.0
  further = -(-len(labels) // _columns(labels, width)) - rows
  return max(further, 0) * 1.5 * matplotlib.rcParams["font.size"] / 72


def _draw(
    axes: axes_lib.Axes, panel: Panel, styles: Mapping, width: float
) -> dict:
  """Draws a panel, `width` inches wide; returns the handle of each label."""
  handles = {}
  if panel.zero:
    axes.axhline(0, color=INK, linewidth=0.8)
  for line in panel.lines:
    style = styles[line.label]
    if (band := line.band()) is not None:
      axes.fill_between(
          line.x, *band, color=style["color"], alpha=0.15, linewidth=0
      )
    handles[line.label] = axes.plot(
        line.x, line.values.mean(0), linewidth=1.5, **style
    )[0]
  title = _broken(panel.title, width)
  axes.set_title(title, loc="left", fontsize="medium", fontweight="bold")
  axes.set(xlabel=panel.xlabel, ylabel=_broken(panel.ylabel, panel.height))
  axes.margins(x=0.01)
  axes.grid(color=GRID)
  axes.set_axisbelow(True)
  axes.spines[["top", "right"]].set_visible(False)
  return handles


def _broken(words: str, length: float) -> str:
  """Returns displayable words next to an axis, in lines as long as the axis."""
  points = matplotlib.rcParams["font.size"]
  letters = int((length - _MARGINS) * 72 / (_LETTER * points))
  return textwrap.fill(_displayed(words), letters)
