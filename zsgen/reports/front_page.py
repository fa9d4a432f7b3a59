"""The front page: all pages on the papers' experiments, and their targets."""

from collections import Counter
from collections.abc import Sequence
import os
import pathlib
from typing import NamedTuple

import rich.table

from zsgen.core import artifacts, errors
from zsgen.reports import grids, outcomes, page
from zsgen.reports.interactive import embedded, sets
from zsgen.reports.outcomes import Outcome

_TITLE = "The papers' experiments"


class _Page(NamedTuple):
  """A page on a paper's experiments that is there.

  Attributes:
    title: its title.
    path: its HTML file.
    judged: its targets.
    notices: what it leaves out.
  """

  title: str
  path: pathlib.Path
  judged: list[Outcome]
  notices: list[str]


def write(
    workdirs: Sequence[pathlib.Path], out: pathlib.Path | None = None
) -> tuple[pathlib.Path, list[rich.table.Table], list[str]]:
  """Writes index.html, which links the pages on both papers.

  Args:
    workdirs: workdirs with such pages, of the workdir or of one of its sweeps:
      reports/NAME/NAME.html, with the targets in NAME.json.
    out: the directory to write to; None for `reports` in the first workdir.

  Returns:
    The path of the page, a table of all targets, and what the pages leave out.

  Raises:
    InputError: no workdir has such a page, or a page is damaged.
  """
  pages = [item for workdir in workdirs for item in _find(workdir.absolute())]
  if not pages:
    raise errors.InputError(
        f"{', '.join(map(str, workdirs))}: no page on the papers' experiments."
        " Write one, as with `python -m zsgen.reports arrangement WORKDIR`, and"
        " name the workdir."
    )
  out = (out or workdirs[0] / "reports").absolute()
  out.mkdir(parents=True, exist_ok=True)
  table = _table(pages)
  blocks = [grids.to_html(table)]
  blocks += [block for item in pages for block in _section(item, out)]
  content = embedded.page_of(_TITLE, blocks, sets.build([]))
  written = page.save(out / "index.html", content)
  notices = [notice for item in pages for notice in item.notices]
  return written, [grids.to_rich(table)], notices


def _find(workdir: pathlib.Path) -> list[_Page]:
  """Opens the pages of a workdir and of its sweeps."""
  paths = [
      *workdir.glob("reports/*/*.json"),
      *workdir.glob("sweeps/*/reports/*/*.json"),
  ]
  return [
      _open(path) for path in sorted(paths) if path.stem == path.parent.name
  ]


def _open(path: pathlib.Path) -> _Page:
  """Reads the JSON file of a page.

  Raises:
    InputError: it is not what a page's command writes.
  """
  value = artifacts.read_json(path)
  try:
    judged = [Outcome(**target) for target in value["targets"]]
    title, notices = str(value["title"]), list(value["left_out"])
  except (KeyError, TypeError) as error:
    raise errors.InputError(
        f"{path}: is not what the page's command writes. Write the page again."
    ) from error
  return _Page(title, path.with_suffix(".html"), judged, notices)


def _table(pages: Sequence[_Page]) -> grids.Grid:
  """Counts the states of the targets, a row for each page."""
  states = (outcomes.PASS, outcomes.FAIL, outcomes.NOT_RUN)
  rows = []
  for item in pages:
    counts = Counter(outcome.state for outcome in item.judged)
    rows.append([item.title, *(str(counts[state]) for state in states)])
  return grids.Grid("Targets", ("page", *states), rows)


def _section(item: _Page, out: pathlib.Path) -> list[str]:
  """The blocks on a page: its link, its targets, and what it leaves out."""
  link = os.path.relpath(item.path, out)
  return [
      page.section(item.title, [page.link(link, "figures, tables and curves")]),
      *(page.badge("incomplete", line) for line in item.notices),
      outcomes.to_html(outcomes.table("Targets", item.judged, "")),
  ]
