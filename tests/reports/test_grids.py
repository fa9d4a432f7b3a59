"""Tables of text for terminals."""

import io

import pytest
import rich.console

from zsgen.core import terminal
from zsgen.reports import grids

GRID = grids.Grid(
    "loss",
    ("order", "first tenth", "vs uniform"),
    [
        ("near_shuffled", "1.285 [1.159, 1.377]", "+0.047"),
        ("[b]\x1b", "2", "3"),
    ],
    note="Means.",
)


def _print(width):
  output = io.StringIO()
  rich.console.Console(file=output, width=width).print(grids.to_rich(GRID))
  return output.getvalue()


@pytest.mark.parametrize("width", [60, 80, 200])
def test_a_table_that_fits_keeps_its_columns(width):
  lines = _print(width).splitlines()
  (row,) = [line for line in lines if "near_shuffled" in line]
  assert row.split("   ")[-1].strip() == "+0.047"
  assert "1.285 [1.159, 1.377]" in row


def test_names_in_the_closing_table_are_whole_in_80_columns():
  numbers = ("2.055", "1.582", "1.422", "1.348", "0.344", "0.700")
  grid = grids.Grid(
      "Held-out loss, 120 steps",
      (
          *("", "unit", "step 0", "first tenth", "mean", "final", "drop"),
          "improved",
      ),
      [
          ("heldout_family loss", "nats", *numbers),
          ("heldout_family over tasks", "nats", *numbers),
      ],
      words=2,
  )
  output = io.StringIO()
  rich.console.Console(file=output, width=80).print(grids.to_rich(grid))
  lines = output.getvalue().splitlines()
  assert max(map(len, lines)) <= 80
  names = [line[:20].strip() for line in lines]
  assert names[-4:-1] == ["heldout_family loss", "heldout_family over", "tasks"]
  assert "improved" in output.getvalue().splitlines()[2]


def test_a_table_that_is_too_wide_becomes_a_list_that_lacks_nothing():
  lines = [line.rstrip() for line in _print(40).splitlines()]
  assert lines[:4] == [
      "loss",
      "near_shuffled",
      "  first tenth: 1.285 [1.159, 1.377]",
      "  vs uniform: +0.047",
  ]
  assert lines[-1] == "Means."
  assert "\x1b" not in "".join(lines) and "[b]" in lines[4]


@pytest.mark.parametrize("width", [40, 60])
def test_the_note_fits_a_console_that_does_not_wrap(width):
  output = io.StringIO()
  note = " ".join(["Means over seeds, and the range."] * 5)
  grid = GRID._replace(note=note)
  terminal.Console(file=output, width=width).print(grids.to_rich(grid))
  lines = output.getvalue().splitlines()
  assert max(map(len, lines)) <= width
  assert " ".join(lines).endswith(note)


def test_a_table_that_would_break_a_word_becomes_a_list():
  name = "heldout_" + "f" * 16
  grid = grids.Grid("", ("", *"abcdefg"), [(name, *["2.769"] * 7)])
  output = io.StringIO()
  rich.console.Console(file=output, width=70).print(grids.to_rich(grid))
  assert name in output.getvalue()


def test_an_identifier_of_any_length_leaves_a_table_a_table():
  grid = grids.Grid("tasks", ("task", "loss"), [("t" * 70, "1.000")])
  output = io.StringIO()
  rich.console.Console(file=output, width=60).print(grids.to_rich(grid))
  (row,) = [line for line in output.getvalue().splitlines() if "1.000" in line]
  assert row.strip().startswith("ttt")
