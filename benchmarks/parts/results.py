"""Results of the device check: one JSON file and one Markdown table.

Needs the standard library only.
"""

from collections.abc import Mapping, Sequence
import json
import pathlib
from typing import Any

from benchmarks.parts import task as task_lib

JSON, TABLE = "device.json", "device.md"
_HEADER = ("part", "case", "rate", "zsgen / peer", "more", "at s")
# Figures that are the same in many rows, and long: below the table.
_NOTES = ("MFU formula",)


class Results:
  """Rows of all parts, written to a directory whenever one is added.

  Args:
    directory: where to write.
    facts: what the JSON file says of the machine.
  """

  def __init__(self, directory: pathlib.Path, facts: Mapping[str, Any]):
    self._directory = directory
    self._content = {"facts": dict(facts), "rows": []}
    self._directory.mkdir(parents=True, exist_ok=True)
    self._write()

  @property
  def rows(self) -> list[task_lib.Row]:
    """All rows so far."""
    return self._content["rows"]

  def add(self, row: task_lib.Row) -> None:
    """Appends a row and writes both files."""
    self.rows.append(row)
    self._write()

  def _write(self) -> None:
    """Replaces the JSON file and the table by the current rows."""
    text = json.dumps(self._content, indent=1, ensure_ascii=False) + "\n"
    _replace(self._directory / JSON, text)
    table = markdown(self._content["facts"], self.rows)
    _replace(self._directory / TABLE, table)


def _replace(path: pathlib.Path, text: str) -> None:
  partial = path.with_suffix(f"{path.suffix}.partial")
  partial.write_text(text, encoding="utf-8")
  partial.replace(path)


def markdown(facts: Mapping[str, Any], rows: Sequence[task_lib.Row]) -> str:
  """Returns the table, with the facts before it and notes after it."""
  lines = [f"- {name}: {_cell(value)}" for name, value in facts.items()]
  lines += ["", _line(_HEADER), "| :-- | :-- | --: | --: | :-- | --: |"]
  notes: dict[str, None] = {}
  for row in rows:
    figures = row.get("figures", {})
    details = [
        f"{name} {_cell(value)}"
        for name, value in figures.items()
        if name not in _NOTES
    ]
    notes |= {
        f"{name}: {figures[name]}": None for name in _NOTES if name in figures
    }
    if "failed" in row:
      details.append(f"not measured: {row['failed']}")
    rate = f"{row['rate']:,.0f} {row['unit']}" if "rate" in row else ""
    ratio = _ratio(row, rows)
    cells = (
        row["part"],
        row.get("case", ""),
        rate,
        "" if ratio is None else f"{ratio:.2f}",
        "; ".join(details),
        f"{row['seconds']:.0f}",
    )
    lines.append(_line([cell.replace("|", "/") for cell in cells]))
  return "\n".join([*lines, "", *notes, ""])


def _line(cells: Sequence[str]) -> str:
  return f"| {' | '.join(cells)} |"


def _cell(value: Any) -> str:
  if isinstance(value, float):
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
  return str(value)


def _ratio(row: task_lib.Row, rows: Sequence[task_lib.Row]) -> float | None:
  """Returns zsgen's best rate relative to that of a peer's row.

  None if the row is not a peer's, or one of them has not been measured.
  """
  if not row.get("peer") or not row.get("rate"):
    return None
  rates = [
      candidate["rate"]
      for candidate in rows
      if candidate.get("compared") == row["compared"]
      and "rate" in candidate
      and not candidate.get("peer")
  ]
  return max(rates) / row["rate"] if rates else None
