"""The report on rewrites: accuracy against the number of rules, and targets."""

from collections.abc import Sequence
import pathlib
from typing import Any

import rich.table

from zsgen import rewrites
from zsgen.core import artifacts, plugins
from zsgen.reports import grids, page
from zsgen.rewrites.report import answers as rewrites_answers
from zsgen.rewrites.report import arms as rewrites_arms
from zsgen.rewrites.report import figures as rewrites_figures
from zsgen.rewrites.report import measures as rewrites_measures
from zsgen.rewrites.report import more_targets as rewrites_more_targets
from zsgen.rewrites.report import runs as rewrites_runs
from zsgen.rewrites.report import tables as rewrites_tables
from zsgen.rewrites.report import targets as rewrites_targets
from zsgen.rewrites.report.arms import Arm

_TITLE = "String rewrites: accuracy against the number of rules"
_BANDS = (
    "Lines are means over seeds; bands go from the lowest to the highest."
    " Unseen rules have an x and a y that are in no training rule."
)


def write(
    paths: Sequence[pathlib.Path], out: pathlib.Path | None = None
) -> tuple[pathlib.Path, list[rich.table.Table], list[str]]:
  """Writes rewrites.html, .md and .json, and the figures as PNG.

  Args:
    paths: directories of runs, of several runs, workdirs, or sweeps.
    out: where to; None for `reports/rewrites` beside the first.

  Returns:
    Where the page is, the closing tables, and lines on runs left out.

  Raises:
    InputError: see `rewrites_runs.find` and `rewrites_arms.arms`.
  """
  plugins.load(rewrites.PLUGINS)  # Configs of older runs do not name them.
  found, left = rewrites_runs.find(paths)
  arms = rewrites_arms.arms(found)
  tables = _tables(arms)
  pictures = _figures(arms)
  said = [f"not finished, left out: {path}" for path in left]
  out = out or _beside(paths[0].absolute())
  out.mkdir(parents=True, exist_ok=True)
  for name, png in pictures.items():
    page.save(out / f"{name}.png", png)
  artifacts.write_json(out / "rewrites.json", _numbers(arms, said))
  page.save(out / "rewrites.md", _markdown(tables, pictures, said))
  where = page.save(out / "rewrites.html", _html(tables, pictures, said))
  return where, [grids.to_rich(each) for each in tables], said


def _beside(path: pathlib.Path) -> pathlib.Path:
  """Where the report goes: into a sweep or workdir, else beside the runs."""
  if not ((path / "points").is_dir() or (path / "runs").is_dir()):
    path = path.parents[1 if (path / "config.json").exists() else 0]
  return path / "reports" / "rewrites"


def _tables(arms: Sequence[Arm]) -> list[grids.Grid]:
  made = [
      rewrites_tables.accuracy(arms),
      rewrites_tables.beside(arms),
      rewrites_tables.thresholds(arms),
      rewrites_tables.outcomes(rewrites_more_targets.check(arms)),
      rewrites_answers.wrong(arms),
      rewrites_answers.places(arms),
      rewrites_answers.categories(arms),
  ]
  return [each for each in made if each is not None]


def _figures(arms: Sequence[Arm]) -> dict[str, bytes]:
  """PNGs by name."""
  published = ""
  if plain := rewrites_targets.varies(arms):
    same = all(rewrites_targets.at_paper_size(arm) for arm in plain)
    published = rewrites_figures.ANOTHER_SCALE
    if same:
      published = rewrites_figures.SAME_SCALE
  made = {"accuracy": rewrites_figures.accuracy(arms, published)}
  cells = {
      (rules, round(arm.one.kept / rules)): value
      for arm in plain
      for rules, value in arm.means().items()
  }
  if len({arm.one.kept for arm in plain}) > 1:
    made["examples_per_rule"] = rewrites_figures.examples_per_rule(cells)
  return made


def _numbers(arms: Sequence[Arm], said: Sequence[str]) -> dict[str, Any]:
  """What is in the tables, JSON-able."""
  return {
      "arms": {
          arm.label: {
              "unseen": _plain(arm.values()),
              "seen": _plain(arm.values(rewrites_runs.SEEN)),
              "i50": rewrites_measures.threshold(arm.values())._asdict(),
          }
          for arm in arms
      },
      "targets": [each._asdict() for each in rewrites_more_targets.check(arms)],
      "published": {
          str(rules): value
          for rules, value in rewrites_figures.PUBLISHED.items()
      },
      "left_out": list(said),
  }


def _plain(values: dict[int, dict[int, float]]) -> dict[str, dict[str, float]]:
  return {
      str(rules): {str(seed): value for seed, value in by_seed.items()}
      for rules, by_seed in values.items()
  }


def _markdown(
    tables: Sequence[grids.Grid],
    pictures: dict[str, bytes],
    said: Sequence[str],
) -> str:
  """rewrites.md."""
  shown = [f"![{name.replace('_', ' ')}]({name}.png)\n" for name in pictures]
  told = [f"{line}\n" for line in said]
  return "\n".join(
      [*told, *shown, f"{_BANDS}\n", *map(grids.to_markdown, tables)]
  )


def _html(
    tables: Sequence[grids.Grid],
    pictures: dict[str, bytes],
    said: Sequence[str],
) -> str:
  """rewrites.html."""
  blocks = [
      *(page.badge("incomplete", line) for line in said),
      *(
          page.figure(png, f"Exact match (share): {name.replace('_', ' ')}")
          for name, png in pictures.items()
      ),
      page.text(_BANDS),
      *map(grids.to_html, tables),
  ]
  return page.page(_TITLE, blocks)
