"""`python -m zsgen.reports compare` and `zsgen.compare`."""

import json
import pathlib

from pyarrow import csv
import pyarrow.parquet as pq
import pytest

import zsgen
from zsgen.reports import __main__ as reports
from zsgen.reports import curves


@pytest.fixture
def paths(small, workdirs) -> list[str]:
  """Returns two workdirs with a run and an evaluation each."""
  first = workdirs.get(small, "train", "evaluate")
  small.name = "mixed"
  small.order.arrangement = "random"
  small.evals.heldout.every_steps = 5
  small.evals.heldout.max_examples = 7
  return [str(first), str(workdirs.get(small, "train", "evaluate"))]


def test_a_page_on_runs_and_evaluations(paths, tmp_path, capsys):
  out = tmp_path / "page" / "both.html"
  arguments = ["compare", *paths, f"--out={out}", "--reference=small"]
  assert reports.main(arguments) == 0
  printed = capsys.readouterr().out
  assert "heldout loss (nats)" in printed and str(out) in printed
  assert "Not shared" in printed
  page = out.read_text("utf-8")
  for text in ("order.arrangement", "Evaluations without", "both-curves.csv"):
    assert text in page
  summary = json.loads(out.with_suffix(".json").read_text())
  assert summary["reference"] == "small"
  steps, examples = sorted(
      summary["notes"], key=lambda note: "examples" in note
  )
  assert "7 held-out examples (of 7 and 15)" in examples
  assert "the 2 evaluation steps (of 3 and 4)" in steps
  (note,) = summary["evaluations"]["notes"]
  assert note.startswith("mixed, heldout: differences are over the 7 held-out")
  evaluated = summary["evaluations"]["evals"]
  assert set(evaluated) == {"small", "mixed"}
  difference = evaluated["mixed"]["heldout"]["difference"]
  low, high = difference["over_examples"]
  assert low <= difference["mean"] <= high


def test_the_numbers_of_the_page_are_those_of_python(paths, tmp_path):
  out = tmp_path / "both.html"
  arguments = ["compare", *paths, f"--out={out}", "--reference=small"]
  assert reports.main(arguments) == 0
  runs = [run for path in paths for run in pathlib.Path(path).glob("runs/*")]
  table = zsgen.compare([runs[0], zsgen.load_run(runs[1])], reference="small")
  assert pq.read_table(out.with_name("both-differences.parquet")).equals(table)
  rows = csv.read_csv(out.with_name("both-differences.csv")).to_pylist()
  assert [row["step"] for row in rows] == table["step"].to_pylist()
  assert table.schema.metadata[b"reference"] == b"small"
  assert b"7 held-out examples" in table.schema.metadata[b"notes"]
  for row in table.to_pylist():
    assert row["label"] == "mixed" and row["unit"] == "nats"
    assert row["difference"] == row["value"] - row["reference_value"]
  last = {
      run.name: curves.open_run(run).metrics["train/loss"].values[-1]
      for run in runs
  }
  curve = pq.read_table(out.with_name("both-curves.parquet")).to_pylist()
  final = {
      row["run"]: row["value"] for row in curve if row["metric"] == "train/loss"
  }
  assert final == last


def test_only_evaluations(paths, tmp_path):
  out = tmp_path / "out.html"
  names = [f"{path}/evaluations" for path in paths]
  arguments = ["compare", *names, f"--out={out}"]
  assert reports.main(arguments) == 0
  assert "Evaluations without training" in out.read_text("utf-8")
  assert not out.with_suffix(".png").exists()


@pytest.mark.slow
def test_figures_for_papers(paths, tmp_path, capsys):
  out, figures = tmp_path / "out.html", tmp_path / "figures"
  arguments = ["compare", *paths, f"--out={out}", f"--figures={figures}"]
  assert reports.main(arguments) == 0
  names = {path.stem for path in figures.glob("*.png")}
  assert names == {path.stem for path in figures.glob("*.svg")}
  assert names >= {
      "heldout-heldout",
      "differences-heldout",
      "tasks-heldout",
      "train-loss",
      "order-round",
  }
  assert f"{2 * len(names)} files in {figures}" in capsys.readouterr().out
  width = int.from_bytes((figures / "train-loss.png").read_bytes()[16:20])
  assert width == round(3.35 * 300)
  alone = tmp_path / "alone"
  arguments = ["compare", paths[0], f"--out={out}", f"--figures={alone}"]
  assert reports.main(arguments) == 0
  assert not list(alone.glob("differences-*"))


def test_evaluations_have_no_figures(paths, tmp_path, capsys):
  out, figures = tmp_path / "out.html", tmp_path / "figures"
  names = [f"{path}/evaluations" for path in paths]
  arguments = ["compare", *names, f"--out={out}", f"--figures={figures}"]
  assert reports.main(arguments) == 2
  assert "--figures" in capsys.readouterr().err
  assert not out.exists() and not figures.exists()


def test_wrong_arguments(paths, tmp_path, capsys):
  for arguments, message in (
      ([f"--out={tmp_path / 'a.htm'}"], "must end in .html"),
      (["--reference=smal", f"--out={tmp_path / 'a.html'}"], "'smal' is unk"),
  ):
    assert reports.main(["compare", *paths, *arguments]) == 2
    assert message in capsys.readouterr().err
