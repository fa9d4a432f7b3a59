"""Runs compared over seeds: tables, the figure, and the files."""

from collections.abc import Mapping, Sequence
import os
import pathlib
from typing import Any, NamedTuple

import rich.table

from zsgen.core import artifacts, errors, texts
from zsgen.reports import (
    alignment,
    comparison_sections,
    comparison_tables,
    curves,
    figures,
    grids,
    measures,
    order_view,
    page,
    repetition,
    run_report,
)
from zsgen.reports import comparison as comparison_lib
from zsgen.reports import evaluations as evaluations_lib
from zsgen.reports.alignment import share_steps
from zsgen.reports.interactive import embedded as embedded_lib
from zsgen.reports.interactive import subject as subject_lib
from zsgen.train import metrics

_FEW = "Fewer than three seeds: differences have no interval."
_NOTE = (
    "Means over seeds [lowest, highest]. First tenth: mean {kind} over"
    " evaluations in the first tenth of the steps; mean: over all after step 0."
)
_NOTE_ON_DIFFERENCES = (
    "Differences are paired within a seed, ± half of the 95% interval of their"
    " mean (Student's t over seeds), which is also the smallest difference that"
    " this number of seeds can detect; {better} 0 is better."
)
_NOT_FINISHED = "Not finished: "
# Notices, and rows of a table, that are shown without a click.
_MOST_NOTICES, _MOST_ROWS = 4, 30
_CAPTION = "Held-out evaluations against step"
BANDS = (
    "Lines are means over seeds; bands go from the lowest to the highest, and"
    " for differences over the 95% interval of their mean, if there are three"
    " seeds or more."
)


def write(
    directory: pathlib.Path,
    points: Sequence[comparison_lib.Point],
    missing: Sequence[str] = (),
    evaluations: Sequence[comparison_lib.Point] = (),
    reference: str = "",
    stem: str = "comparison",
) -> list[rich.table.Table]:
  """Writes STEM.json, .md, .html and .png, and the numbers as data files.

  STEM-curves and STEM-differences are each a .csv and a .parquet file.

  Args:
    directory: the directory of the files; created if absent.
    points: finished runs.
    missing: names of runs that are not finished; the files name them.
    evaluations: evaluations without training, which get a table of their own.
    reference: the label that others are compared with, as for
      `comparison.open_points`.
    stem: the beginning of the names of the files.

  Returns:
    The tables, for the terminal.

  Raises:
    InputError: see `comparison.open_points`.
  """
  parts = _open(points, evaluations, reference)
  summary = {**_summary(parts), "missing": list(missing)}
  grids_shown = _tables(parts, summary)
  png = figure(parts.runs) if parts.runs else None
  directory.mkdir(parents=True, exist_ok=True)
  files = _write_tables(parts, directory / stem)
  artifacts.write_json(directory / f"{stem}.json", summary)
  picture = ""
  if png is not None:
    picture = f"{stem}.png"
    page.save(directory / picture, png)
  notices = [*([_gap(missing)] if missing else ()), *parts.notes]
  content = _Content(grids_shown, png, picture, notices, files)
  page.save(directory / f"{stem}.md", _markdown(content))
  html = _html(parts, content, _links(parts, directory))
  page.save(directory / f"{stem}.html", html)
  if parts.notes:
    grids_shown.append(comparison_sections.not_shared(parts.notes))
  return [grids.to_rich(grid) for grid in grids_shown]


class _Parts(NamedTuple):
  """The comparisons of a page; None where there is nothing to compare."""

  runs: comparison_lib.Comparison | None
  evaluations: comparison_lib.Comparison | None

  @property
  def comparisons(self) -> list[comparison_lib.Comparison]:
    """Returns those that there are."""
    return [part for part in self if part is not None]

  @property
  def notes(self) -> list[str]:
    """Returns a sentence about each thing that is not shared."""
    return [note for part in self.comparisons for note in part.notes()]


class _Content(NamedTuple):
  """What the page and the Markdown file show."""

  tables: Sequence[grids.Grid]
  png: bytes | None
  # The file of the figure; "" for none.
  picture: str
  notices: Sequence[str]
  files: Sequence[str]


def _open(
    points: Sequence[comparison_lib.Point],
    evaluations: Sequence[comparison_lib.Point],
    reference: str,
) -> _Parts:
  """Opens what is compared; the reference may be a run or an evaluation.

  Raises:
    InputError: see `comparison.open_points`.
  """
  labels, evaluated_labels = (
      {point.order: point for point in part} for part in (points, evaluations)
  )
  if reference:
    errors.choose(labels | evaluated_labels, reference, "the reference")
  runs = evaluated = None
  if points or not evaluations:
    runs = comparison_lib.open_points(
        points, reference if reference in labels else ""
    )
  if evaluations:
    evaluated = comparison_lib.open_points(
        evaluations,
        reference if reference in evaluated_labels else "",
        evaluations_lib.open_evaluation,
    )
  return _Parts(runs, evaluated)


def _summary(parts: _Parts) -> dict[str, Any]:
  """Returns the content of the JSON file, without the missing runs."""
  summary = comparison_lib.summary(parts.runs) if parts.runs else {}
  if parts.evaluations:
    summary["evaluations"] = comparison_sections.evaluation_numbers(
        parts.evaluations
    )
  return summary


def _tables(parts: _Parts, summary: Mapping[str, Any]) -> list[grids.Grid]:
  """Returns the tables of the page, in their sequence."""
  all_tables = tables(summary) if parts.runs else []
  if parts.evaluations:
    all_tables.append(comparison_sections.evaluation_table(parts.evaluations))
  for kind, part in zip(_Parts._fields, parts, strict=True):
    if part is not None:
      options = comparison_sections.differing_options(part, kind)
      all_tables += [options] if options.rows else []
      all_tables.append(comparison_sections.members(part, kind))
  return all_tables


def _write_tables(parts: _Parts, stem: pathlib.Path) -> list[str]:
  """Writes the numbers of the runs as data files; returns their names."""
  if not parts.runs:
    return []
  by_name = {
      "curves": comparison_tables.all_curves(parts.runs),
      "differences": comparison_tables.differences(parts.runs),
  }
  return [
      file
      for name, table in by_name.items()
      for file in comparison_tables.write(
          table, stem.with_name(f"{stem.name}-{name}")
      )
  ]


def _links(parts: _Parts, directory: pathlib.Path) -> list[str]:
  """Returns links to the config of each run."""
  return [
      page.link(
          os.path.relpath(run.path / "config.json", directory),
          f"{label}, seed {seed}: config.json",
      )
      for part in parts.comparisons
      for label, by_seed in part.runs.items()
      for seed, run in by_seed.items()
  ]


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
  """Draws headlines against step, below them differences, if any; PNG."""
  has_others = len(comparison.runs) > 1
  rows = [
      [panel(comparison, name) for name in comparison.evals]
      for panel in (values_panel, differences_panel)[: 1 + has_others]
  ]
  rows[-1] = [panel._replace(xlabel="step") for panel in rows[-1]]
  return figures.plot(rows, inked=comparison.reference)


def values_panel(
    comparison: comparison_lib.Comparison, name: str
) -> figures.Panel:
  """Builds the panel of the headline of an evaluation against step."""
  lines = [
      figures.line(order, *members)
      for order in comparison.runs
      if (members := share_steps(comparison.headlines(order, name)))
  ]
  title = f"held-out {comparison.evals[name].heading}"
  return figures.Panel(name, "", title, lines)


def differences_panel(
    comparison: comparison_lib.Comparison, name: str
) -> figures.Panel:
  """Builds the panel of an evaluation's differences to the reference."""
  reference, headline = comparison.reference, comparison.evals[name]
  lines = [
      figures.line(order, *differing, is_difference=True)
      for order in comparison.runs
      if order != reference
      and (differing := _differences(comparison.pairs(order, name)))
  ]
  title = headline.with_unit(f"{headline.words} - {reference}, same seed")
  return figures.Panel("", "step", title, lines, height=2.6, zero=True)


def _differences(
    pairs: Mapping[int, alignment.Pair],
) -> list[curves.Curve]:
  """Returns differences to the reference, at the steps that all seeds share."""
  return share_steps({seed: pair.differences for seed, pair in pairs.items()})


def _values(
    orders: Mapping[str, Any],
    reference: str,
    name: str,
    headline: metrics.Metric,
) -> grids.Grid:
  """The measures of one evaluation, a row an order; a single one has no others."""
  has_others, rows = len(orders) > 1, []
  for order, values in orders.items():
    row = [order]
    for measure in measures.COMPARED:
      cell = values["evals"][name][measure]
      difference = None if order == reference else cell["difference"]
      row.append(_ranged(cell["spread"]))
      row += [_differing(difference)] * has_others
    rows.append(row)
  header = ["order"]
  for measure in measures.COMPARED:
    header.append(measure.replace("_", " "))
    header += [f"vs {reference}"] * has_others
  notes = [_seeds(orders), _NOTE.format(kind=f"held-out {headline.words}")]
  if has_others:
    better = "below" if headline.better == metrics.LOWER else "above"
    notes.append(_NOTE_ON_DIFFERENCES.format(better=better))
    few = min(len(values["seeds"]) for values in orders.values())
    notes += [_FEW] * (few < measures.LEAST_SEEDS)
  notes.append(repetition.describe(orders))
  note = " ".join(filter(None, notes))
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
      rows.append([order, *map(comparison_sections.interval, cells)])
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
  """Returns a saved difference as the text of a cell."""
  if difference is None:
    return grids.MISSING
  fields = {name: difference[name] for name in measures.Difference._fields}
  return grids.differing(measures.Difference(**fields))


def _gap(missing: Sequence[str]) -> str:
  return f"{_NOT_FINISHED}{', '.join(missing)}."


def _markdown(content: _Content) -> str:
  """Returns the Markdown file."""
  blocks = [f"{texts.escape_markdown(notice)}\n" for notice in content.notices]
  if content.picture:
    blocks += [f"![{_CAPTION}]({content.picture})\n", f"{BANDS}\n"]
  return "\n".join([*blocks, *map(grids.to_markdown, content.tables)])


def _html(parts: _Parts, content: _Content, links: Sequence[str]) -> str:
  """Returns the page."""
  subject = subject_lib.from_comparisons(parts.comparisons)
  embedded = embedded_lib.embed(subject)
  blocks = _notices(content.notices)
  blocks += [
      page.slot("selection"),
      page.section("Held-out evaluations", [page.slot("heldout")]),
      page.section("Tables", map(to_html, content.tables)),
      run_report.examples(subject),
  ]
  if parts.runs:
    blocks += [
        page.section("The orders", [page.slot("order")]),
        page.section("Training", [page.slot("training")]),
    ]
  configs = [page.slot("configs"), page.folded("Config files", links)]
  blocks.append(page.section("Configs", configs))
  if content.files:
    downloads = [page.link(file, file) for file in content.files]
    blocks.append(page.section("Numbers to download", downloads))
  blocks.append(embedded.notes)
  return page.page("Runs compared", blocks, embedded.data)


def _notices(notices: Sequence[str]) -> list[str]:
  """Returns badges, folded where there are many."""
  badges = [
      page.badge("incomplete", notice)
      if notice.startswith(_NOT_FINISHED)
      else page.badge("not shared", notice)
      for notice in notices
  ]
  if len(badges) <= _MOST_NOTICES:
    return badges
  title = f"{len(badges)} things that the runs do not share"
  return [page.folded(title, badges)]


def to_html(grid: grids.Grid) -> str:
  """Returns a table, folded if it is long."""
  if len(grid.rows) <= _MOST_ROWS:
    return grids.to_html(grid)
  return page.folded(grid.title, [grids.to_html(grid)])
