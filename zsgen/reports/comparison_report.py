"""Orders compared over seeds: tables, the figure, and the files."""

from collections.abc import Mapping, Sequence
import pathlib
from typing import Any

import rich.table

from zsgen.core import artifacts, texts
from zsgen.reports import comparison as comparison_lib
from zsgen.reports import curves, figures, grids, measures, order_view, page
from zsgen.train import metrics

_NOTE = (
    "Means over seeds [lowest, highest]. First tenth: mean {kind} over"
    " evaluations in the first tenth of the steps; mean: over all after step"
    " 0. Differences are paired within a seed; {better} 0 is better."
)
_CAPTION = "Held-out evaluations against step"
_BANDS = "Lines are means over seeds; bands go from the lowest to the highest."


def write(
    directory: pathlib.Path,
    points: Sequence[comparison_lib.Point],
    missing: Sequence[str] = (),
) -> list[rich.table.Table]:
  """Writes comparison.json, .md, .html and .png.

  Args:
    directory: the directory of the files; created if absent.
    points: finished runs.
    missing: names of runs that are not finished; the files name them.

  Returns:
    The tables, for the terminal.

  Raises:
    InputError: see `comparison.open_points`.
  """
  comparison = comparison_lib.open_points(points)
  summary = {**comparison_lib.summary(comparison), "missing": list(missing)}
  grids_shown, png = tables(summary), figure(comparison)
  directory.mkdir(parents=True, exist_ok=True)
  artifacts.write_json(directory / "comparison.json", summary)
  page.save(directory / "comparison.png", png)
  page.save(directory / "comparison.md", _markdown(grids_shown, missing))
  page.save(directory / "comparison.html", _html(grids_shown, png, missing))
  return [grids.to_rich(grid) for grid in grids_shown]


def tables(summary: Mapping[str, Any]) -> list[grids.Grid]:
  """Builds the tables of a `comparison.summary`: values, then contents."""
  orders = summary["orders"]
  return [
      *(
          _values(
              orders, summary["reference"], name, metrics.Metric(**headline)
          )
          for name, headline in summary["evals"].items()
      ),
      _contents(orders, "whole", "Examples of all steps"),
      _contents(orders, "first_tenth", "Examples of the first tenth"),
  ]


def figure(comparison: comparison_lib.Comparison) -> bytes:
  """Draws headlines against step, below them the difference; PNG."""
  reference = comparison.reference
  values, differences = [], []
  for name, headline in comparison.evals.items():
    curves_by_order = {
        order: {
            seed: run.metrics[run.headline(name)] for seed, run in runs.items()
        }
        for order, runs in comparison.runs.items()
    }
    lines = [
        figures.line(order, *by_seed.values())
        for order, by_seed in curves_by_order.items()
    ]
    values.append(
        figures.Panel(name, "", f"held-out {headline.heading}", lines)
    )
    lines = [
        figures.line(order, *differing)
        for order, by_seed in curves_by_order.items()
        if order != reference
        and (differing := _differences(by_seed, curves_by_order[reference]))
    ]
    title = headline.with_unit(f"{headline.words} - {reference}, same seed")
    differences.append(
        figures.Panel("", "step", title, lines, height=2.6, zero=True)
    )
  return figures.plot([values, differences], inked=reference)


def _differences(
    by_seed: Mapping[int, curves.Curve], reference: Mapping[int, curves.Curve]
) -> list[curves.Curve]:
  """Differences to the reference within each seed that both have."""
  return [
      curves.Curve(curve.steps, curve.values - reference[seed].values)
      for seed, curve in by_seed.items()
      if seed in reference
  ]


def _values(
    orders: Mapping[str, Any],
    reference: str,
    name: str,
    headline: metrics.Metric,
) -> grids.Grid:
  """The measures of one evaluation, a row an order."""
  rows = []
  for order, values in orders.items():
    row = [order]
    for measure in measures.COMPARED:
      cell = values["evals"][name][measure]
      difference = None if order == reference else cell["difference"]
      row += [_ranged(cell["spread"]), _ranged(difference, signed=True)]
    rows.append(row)
  header = ["order"]
  for measure in measures.COMPARED:
    header += [measure.replace("_", " "), f"vs {reference}"]
  better = "below" if headline.better == metrics.LOWER else "above"
  legend = _NOTE.format(kind=f"held-out {headline.words}", better=better)
  note = f"{_seeds(orders)} {legend}"
  return grids.Grid(f"{name} {headline.heading}", header, rows, note=note)


def _seeds(orders: Mapping[str, Any]) -> str:
  """Describes the seeds of the orders, once if all have the same."""
  seeds_by_order = {
      order: ", ".join(map(str, values["seeds"]))
      for order, values in orders.items()
  }
  if len(set(seeds_by_order.values())) == 1:
    return f"Seeds {next(iter(seeds_by_order.values()))}."
  listing = "; ".join(
      f"{order} {seeds}" for order, seeds in seeds_by_order.items()
  )
  return f"Seeds by order: {listing}."


def _contents(orders: Mapping[str, Any], part: str, title: str) -> grids.Grid:
  """What the examples of each order are."""
  rows = [
      [order, *order_view.cells(list(values[part].values()))]
      for order, values in orders.items()
  ]
  header = ("order", *order_view.COLUMNS.values())
  return grids.Grid(f"{title}, means over seeds", header, rows)


def _ranged(spread: Mapping[str, Any] | None, signed: bool = False) -> str:
  return grids.ranged(measures.Spread(**spread) if spread else None, signed)


def _gap(missing: Sequence[str]) -> str:
  return f"Not finished: {', '.join(missing)}."


def _markdown(tables: Sequence[grids.Grid], missing: Sequence[str]) -> str:
  """comparison.md."""
  blocks = [f"![{_CAPTION}](comparison.png)\n", f"{_BANDS}\n"]
  if missing:
    blocks.insert(0, f"{texts.escape_markdown(_gap(missing))}\n")
  return "\n".join([*blocks, *map(grids.to_markdown, tables)])


def _html(
    tables: Sequence[grids.Grid], png: bytes, missing: Sequence[str]
) -> str:
  """comparison.html."""
  blocks = [
      page.figure(png, f"{_CAPTION}, a line an order"),
      page.text(_BANDS),
      *map(grids.to_html, tables),
  ]
  if missing:
    blocks.insert(0, page.badge("incomplete", _gap(missing)))
  return page.page("Orders compared", blocks)
