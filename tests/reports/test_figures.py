"""Figures: whole, and the same bytes again."""

import itertools

import numpy as np
import pytest

from zsgen.reports import curves, figures


def _curve(scale=1.0):
  steps = np.arange(0, 21, 5)
  return curves.Curve(steps, scale * np.exp(-steps / 10))


def _size(png):
  assert png[:8] == b"\x89PNG\r\n\x1a\n"
  return int.from_bytes(png[16:20]), int.from_bytes(png[20:24])


def test_a_plot_is_reproducible():
  lines = [
      figures.line(f"order {i}", _curve(i + 1), _curve(i + 2)) for i in range(9)
  ]
  panels = [figures.Panel("held-out", "step", "loss", lines, zero=True)]
  png = figures.plot([panels, panels], inked="order 3")
  # The third row of the legend adds to the height.
  assert _size(png) == (1350, 991)
  assert png == figures.plot([panels, panels], inked="order 3")
  assert b"Software" not in png


def test_many_lines_have_dashes_and_markers():
  labels = [f"order {i}" for i in range(40)]
  styles = figures.styles(labels, "order 3")
  assert styles["order 3"] == figures.Style(figures.INK)
  assert len(set(list(styles.values())[:18])) == 18
  lines = [figures.line(label, _curve(i + 1)) for i, label in enumerate(labels)]
  panel = figures.Panel("", "step", "loss", lines)
  looks = {}
  for count in (7, 40):
    panel = panel._replace(lines=lines[:count])
    (axes,) = figures.draw([[panel]], "order 3").axes
    looks[count] = [
        (line.get_color(), line.get_marker()) for line in axes.lines
    ]
  assert {marker for *_, marker in looks[7]} == {"None"}
  assert len(set(looks[40])) == 40


def test_the_name_of_a_y_axis_is_no_longer_than_the_axis():
  name = "reward of a\nrun - another_run_with_a_name, same seed (logits)"
  panel = figures.Panel("", "step", name, [figures.line("a", _curve())], 2.6)
  figure = figures.draw([[panel]])
  (axes,) = figure.axes
  figures.png(figure)
  figure.draw_without_rendering()  # With its own number of dots per inch.
  label = axes.yaxis.label
  assert label.get_text().startswith("reward of a\\nrun -\n")
  height = label.get_window_extent().height
  assert height <= axes.get_window_extent().height


def test_titles_of_panels_do_not_overlap():
  title = "2406.11721: pilot/task900_freebase_qa_category_classification"
  panel = figures.Panel(title, "step", "", [figures.line("a", _curve())])
  figure = figures.draw([[panel] * 3], one_y=True)
  figure.draw_without_rendering()
  extents = [
      text.get_window_extent()
      for axes in figure.axes
      for text in axes.texts + axes.get_children()
      if getattr(text, "get_text", str)().replace("\n", "").startswith("2406")
  ]
  assert len(extents) == 3
  for left, right in itertools.pairwise(extents):
    assert left.x1 < right.x0


def test_an_svg_is_reproducible():
  panels = [[figures.Panel("", "step", "$x$", [figures.line("a", _curve())])]]
  first, second = (figures.svg(figures.draw(panels)) for _ in range(2))
  assert first == second
  assert first.startswith(b"<?xml") and b"<dc:date>" not in first


@pytest.mark.parametrize(
    "count", [1, 7, pytest.param(119, marks=pytest.mark.slow)]
)
def test_small_multiples_grow_with_the_tasks(count):
  names = [f"task{i}_with_a_name_that_is_long" for i in range(count)]
  single = {name: {"": _curve(i)} for i, name in enumerate(names)}
  png = figures.small_multiples(single)
  assert _size(png)[1] == 150 * -(-count // 5)
  assert len(png) < 1_500_000
  double = {name: {"a": _curve(1), "b": _curve(2)} for name in names}
  assert _size(figures.small_multiples(double)) == _size(png)
  assert figures.small_multiples(double) != png
