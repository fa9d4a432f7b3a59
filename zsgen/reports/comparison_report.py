"""Orders compared over seeds: tables, the figure, and the files."""

from collections.abc import Mapping, Sequence
import pathlib
from typing import Any

import rich.table

from zsgen.core import artifacts, texts
from zsgen.reports import comparison as comparison_lib
from zsgen.reports import curves, figures, grids, measures, order_view, page
from zsgen.train import metrics

_FEW = "Fewer than three seeds: differences have no interval."
_NOTE = (
    "Means over seeds [lowest, highest]. First tenth: mean {kind} over"
    " evaluations in the first tenth of the steps; mean: over all after step"
    " 0. Differences are paired within a seed, ± half of the 95% interval of"
    " their mean (Student's t over seeds), which is also the least difference"
    " that so many seeds can tell from none; {better} 0 is better."
)
_CAPTION = "Held-out evaluations against step"
_BANDS = (
    "Lines are means over seeds; bands go from the lowest to the highest, and"
    " for differences over the 95% interval of their mean, if there are three"
    " seeds or more."
)


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
          table
          for name, headline in summary["evals"].items()
          for table in (
              _values(
                  orders, summary["reference"], name, metrics.Metric(**headline)
              ),
              _over_examples(orders, summary["reference"], name),
          )
          if table is not None
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
        figures.line(order, *differing, is_difference=True)
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
      row += [_ranged(cell["spread"]), _differing(difference)]
    rows.append(row)
  header = ["order"]
  for measure in measures.COMPARED:
    header += [measure.replace("_", " "), f"vs {reference}"]
  better = "below" if headline.better == metrics.LOWER else "above"
  legend = _NOTE.format(kind=f"held-out {headline.words}", better=better)
  few = min(len(values["seeds"]) for values in orders.values())
  note = " ".join(
      [_seeds(orders), legend, *([_FEW] if few < measures.LEAST_SEEDS else [])]
  )
  return grids.Grid(f"{name} {headline.heading}", header, rows, note=note)


def _over_examples(
    orders: Mapping[str, Any], reference: str, name: str
) -> grids.Grid | None:
  """The differences of one evaluation, with intervals over its examples."""
  rows = []
  for order, values in orders.items():
    cells = [
        (values["evals"][name][measure]["difference"] or {}).get(
            "over_examples"
        )
        for measure in measures.COMPARED
    ]
    if order != reference and any(cells):
      rows.append([order, *map(_interval, cells)])
  if not rows:
    return None
  header = ["order", *(name.replace("_", " ") for name in measures.COMPARED)]
  note = (
      "95% intervals of the mean difference by bootstrap over held-out examples,"
      " at these seeds: how far it depends on which examples were held out."
      " Another training seed is not in it."
  )
  title = f"{name}, vs {reference}, over examples"
  return grids.Grid(title, header, rows, note=note)


def _interval(interval: Sequence[float] | None) -> str:
  if interval is None:
    return grids.MISSING
  low, high = interval
  return f"[{low:+.3f}, {high:+.3f}]"


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


def _ranged(spread: Mapping[str, Any] | None) -> str:
  return grids.ranged(measures.Spread(**spread) if spread else None)


def _differing(difference: Mapping[str, Any] | None) -> str:
  if difference is None:
    return grids.MISSING
  fields = {name: difference[name] for name in measures.Difference._fields}
  return grids.differing(measures.Difference(**fields))


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
