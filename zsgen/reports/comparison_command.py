"""Runs `python -m zsgen.reports compare PATHS… --out FILE.html`."""

from collections.abc import Sequence
import pathlib

import rich.table

from zsgen.core import errors
from zsgen.reports import (
    comparison,
    comparison_report,
    paper_figures,
    points,
)

_DEFAULT = pathlib.Path("comparison.html")


def write(
    paths: Sequence[pathlib.Path],
    out: pathlib.Path | None = None,
    reference: str = "",
    figures: pathlib.Path | None = None,
) -> tuple[pathlib.Path, list[rich.table.Table], list[str]]:
  """Writes a page that compares finished runs and evaluations.

  Args:
    paths: see `points.find`.
    out: the page, a file that ends in .html; other files go next to it. None
      for comparison.html in the current directory.
    reference: the label that others are compared with, as for
      `comparison.open_points`.
    figures: a directory that gets every figure for a paper; None for none.

  Returns:
    The page, its tables, and a line about what is not finished.

  Raises:
    InputError: there is nothing to compare, or to draw; something is damaged;
      or the reference or the file's name is wrong.
  """
  out = (out or _DEFAULT).absolute()
  if out.suffix != ".html":
    raise errors.InputError(
        f"--out={out}: must end in .html; the other files go next to it."
    )
  members = points.find(paths)
  if figures and not members.runs:
    raise errors.InputError(
        f"--figures={figures}: evaluations without training have no curves."
        " Name runs, or leave it out."
    )
  tables = comparison_report.write(
      out.parent,
      members.runs,
      members.missing,
      members.evaluations,
      reference,
      out.stem,
  )
  missing = ", ".join(members.missing)
  notices = [f"left out, not finished: {missing}"] if missing else []
  if figures:
    is_run = reference in {point.order for point in members.runs}
    runs = comparison.open_points(members.runs, reference if is_run else "")
    written = paper_figures.write(runs, figures.absolute())
    notices.append(f"figures  {len(written)} files in {figures}")
  return out, tables, notices
