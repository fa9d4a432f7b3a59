"""The report on rewrites: accuracy against the number of rules, and targets."""

from collections.abc import Iterable, Sequence
import pathlib
from typing import Any

import rich.table

from zsgen import rewrites
from zsgen.core import artifacts, plugins
from zsgen.reports import grids, outcomes, page
from zsgen.reports.interactive import embedded, sets
from zsgen.rewrites.report import answers as rewrites_answers
from zsgen.rewrites.report import arms as rewrites_arms
from zsgen.rewrites.report import charts as rewrites_charts
from zsgen.rewrites.report import figures as rewrites_figures
from zsgen.rewrites.report import measures as rewrites_measures
from zsgen.rewrites.report import more_targets as rewrites_more_targets
from zsgen.rewrites.report import runs as rewrites_runs
from zsgen.rewrites.report import tables as rewrites_tables
from zsgen.rewrites.report import targets as rewrites_targets
from zsgen.rewrites.report.arms import Arm

_TARGETS = "What the papers' figures show"
_TITLE = "String rewrites: the experiments of 2402.10891"
_BANDS = (
    "Lines are means over seeds; bands go from the lowest to the highest."
    " Unseen rules have an x and a y that are in no training rule."
)
_NOT_RUN = (
    "Not run: these runs cannot answer it. Thresholds depend on lengths,"
    " examples and steps; published numbers are asked only of runs of the"
    " paper's sizes."
)


def write(
    paths: Sequence[pathlib.Path], out: pathlib.Path | None = None
) -> tuple[pathlib.Path, list[rich.table.Table], list[str]]:
  """Writes rewrites.html, .md and .json, and the figures as PNG.

  Args:
    paths: directories of runs, of several runs, workdirs, or sweeps.
    out: the directory to write to; None for `reports/rewrites` beside the
      first.

  Returns:
    The path of the page, the closing tables, and lines on runs left out.

  Raises:
    InputError: see `rewrites_runs.find` and `rewrites_arms.arms`.
  """
  plugins.load(rewrites.PLUGINS)  # Configs of older runs do not name them.
  runs, unfinished = rewrites_runs.find(paths)
  arms = rewrites_arms.arms(runs)
  tables = _tables(arms)
  pictures = _figures(arms)
  notices = [f"not finished, left out: {path}" for path in unfinished]
  out = out or _report_directory(paths[0].absolute())
  out.mkdir(parents=True, exist_ok=True)
  for name, png in pictures.items():
    page.save(out / f"{name}.png", png)
  artifacts.write_json(out / "rewrites.json", _numbers(arms, notices))
  page.save(out / "rewrites.md", _markdown(tables, pictures, notices))
  written = page.save(
      out / "rewrites.html", _html(arms, tables, pictures, notices)
  )
  return written, [grids.to_rich(table) for table in tables], notices


def _report_directory(path: pathlib.Path) -> pathlib.Path:
  """Returns the report's directory: in a sweep or workdir, or by the runs."""
  if not ((path / "points").is_dir() or (path / "runs").is_dir()):
    path = path.parents[1 if (path / "config.json").exists() else 0]
  return path / "reports" / "rewrites"


def _tables(arms: Sequence[Arm]) -> list[grids.Grid]:
  """Returns the tables of the page."""
  grids_built = [
      rewrites_tables.accuracy(arms),
      rewrites_tables.unseen_details(arms),
      rewrites_tables.thresholds(arms),
      outcomes.table(
          _TARGETS,
          rewrites_more_targets.check(arms),
          _NOT_RUN,
      ),
      rewrites_answers.wrong(arms),
      rewrites_answers.positions(arms),
      rewrites_answers.first_letters(arms),
      rewrites_answers.categories(arms),
  ]
  return [table for table in grids_built if table is not None]


def _published(arms: Sequence[Arm]) -> str:
  """Returns what the published line is called; "" if nothing is like it."""
  plain = rewrites_targets.varies(arms)
  if not plain:
    return ""
  is_paper_size = all(rewrites_targets.at_paper_size(arm) for arm in plain)
  if is_paper_size:
    return rewrites_figures.SAME_SCALE
  return rewrites_figures.ANOTHER_SCALE


def _matches(arms: Sequence[Arm]) -> dict[tuple[int, int], float]:
  """Returns exact match by rules and examples a rule.

  Returns:
    {} if all runs have the same number of examples.
  """
  plain = rewrites_targets.varies(arms)
  if len({arm.example_run.example_count for arm in plain}) < 2:
    return {}
  return {
      (rules, round(arm.example_run.example_count / rules)): value
      for arm in plain
      for rules, value in arm.means().items()
  }


def _figures(arms: Sequence[Arm]) -> dict[str, bytes]:
  """Draws PNGs, by name."""
  pngs = {"accuracy": rewrites_figures.accuracy(arms, _published(arms))}
  if matches := _matches(arms):
    pngs["examples_per_rule"] = rewrites_figures.examples_per_rule(matches)
  return pngs


def _numbers(arms: Sequence[Arm], notices: Sequence[str]) -> dict[str, Any]:
  """Returns the content of the tables, as JSON values."""
  return {
      "title": _TITLE,
      "arms": {
          arm.label: {
              "unseen": _plain(arm.values()),
              "seen": _plain(arm.values(rewrites_runs.SEEN_SPLIT)),
              "i50": rewrites_measures.threshold(arm.values())._asdict(),
          }
          for arm in arms
      },
      "targets": [
          outcome._asdict() for outcome in rewrites_more_targets.check(arms)
      ],
      "published": {
          str(rules): value
          for rules, value in rewrites_figures.PUBLISHED.items()
      },
      "left_out": list(notices),
  }


def _plain(values: dict[int, dict[int, float]]) -> dict[str, dict[str, float]]:
  """Returns values with keys that JSON can have."""
  return {
      str(rules): {str(seed): value for seed, value in by_seed.items()}
      for rules, by_seed in values.items()
  }


def _markdown(
    tables: Sequence[grids.Grid],
    pictures: dict[str, bytes],
    notices: Sequence[str],
) -> str:
  """rewrites.md."""
  images = [f"![{name.replace('_', ' ')}]({name}.png)\n" for name in pictures]
  paragraphs = [f"{line}\n" for line in notices]
  return "\n".join(
      [*paragraphs, *images, f"{_BANDS}\n", *map(grids.to_markdown, tables)]
  )


def _html(
    arms: Sequence[Arm],
    tables: Sequence[grids.Grid],
    pictures: Iterable[str],
    notices: Sequence[str],
) -> str:
  """rewrites.html."""
  item = sets.Set(
      rewrites_charts.NAME, rewrites_charts.build(arms, _published(arms))
  )
  matches, note = _matches(arms), rewrites_charts.note(arms)
  blocks = [
      *(page.badge("incomplete", line) for line in notices),
      page.slot("selection"),
      page.slot("figure", figure=item.figure(sets.CHARTS), title="These runs"),
      page.text(_BANDS),
      *([page.text(note)] if note else ()),
      *(
          outcomes.to_html(table)
          if table.title == _TARGETS
          else grids.to_html(table)
          for table in tables
      ),
  ]
  if matches:
    blocks.append(grids.to_html(rewrites_charts.examples_per_rule(matches)))
  blocks += [
      page.link(f"{name}.png", f"Picture: {name.replace('_', ' ')}")
      for name in pictures
  ]
  return embedded.page_of(_TITLE, blocks, sets.build([item]))
