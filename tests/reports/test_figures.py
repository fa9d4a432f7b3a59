"""Figures: whole, and the same bytes again."""

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
  assert _size(png) == (1350, 960)
  assert png == figures.plot([panels, panels], inked="order 3")
  assert b"Software" not in png


@pytest.mark.parametrize("count", [1, 7, 119])
def test_small_multiples_grow_with_the_tasks(count):
  names = [f"task{i}_with_a_name_that_is_long" for i in range(count)]
  single = {name: {"": _curve(i)} for i, name in enumerate(names)}
  png = figures.small_multiples(single)
  assert _size(png)[1] == 150 * -(-count // 5)
  assert len(png) < 1_500_000
  double = {name: {"a": _curve(1), "b": _curve(2)} for name in names}
  assert _size(figures.small_multiples(double)) == _size(png)
  assert figures.small_multiples(double) != png
