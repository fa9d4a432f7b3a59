"""Tasks of any name: reports are made, and nobody is fooled by them."""

import json
import unicodedata

import matplotlib
from matplotlib import figure as figure_lib
import pytest
from tensorboardX.proto import event_pb2

from tests.helpers import page_data
from zsgen.core import terminal
from zsgen.data import store as store_lib
from zsgen.orders import __main__ as tools
from zsgen.orders import order as order_lib
from zsgen.reports import (
    comparison,
    comparison_report,
    figures,
    grids,
    run_report,
    task_counts,
)
from zsgen.train import writers

NAMES = (
    "US$%EUR$",
    "$\\frac{1}{2}$",
    "$unclosed",
    "#_~^{}\\",
    "\x1b[2J\x1b]0;owned\x07",
    "a\u202egnp.exe",
    "line\nbreak\r\ttab",
    "[bold]x[/bold] [/red]",
    "<script>alert('x')</script>",
    "a|b `c` *d* [e](f)",
    "日本 🙂",
    "/slash/../x",
    "x" * 10_000,
    "x" * 10_001,
)
HIDDEN = ("Cc", "Cf", "Cs", "Zl", "Zp")


def _hidden(text):
  """Characters that do something, those of layout aside."""
  return {
      character
      for character in text
      if unicodedata.category(character) in HIDDEN and character not in "\n\t"
  }


@pytest.fixture
def write_named(small, write_run, tmp_path):
  """Returns `write_run` on tasks of these names, four examples each."""
  rows = [
      {"task": f"{name}{split}", "input": f"{i}: {name[:50]}?"}
      | {"category": name, "target": str(i), "split": split}
      for split in ("train", "test")
      for name in NAMES
      for i in range(4)
  ]
  path = tmp_path / "rows.jsonl"
  path.write_text("".join(json.dumps(row) + "\n" for row in rows))
  small.data.source = "table"
  small.data.path = str(path)
  small.data.fields.split = "split"
  small.data.fields.category = "category"
  small.data.heldout = {"heldout": {"split": "test"}}
  small.data.heldout_instances = 4
  return write_run


def test_a_report(write_named, tmp_path, capsys):
  run = write_named()
  store = store_lib.open_store(run.store)
  order = order_lib.Order.load(run.order, store)
  page = run_report.write(run, store, order).read_text("utf-8")
  assert not _hidden(page)
  names = page_data.read(page)["tasks"]["heldout"]["names"]
  assert {"$\\frac{1}{2}$test", r"\x1b[2J\x1b]0;owned\x07test"} <= set(names)
  assert max(map(len, names)) <= 200
  text = page_data.without_scripts(page)
  assert "<script" not in text
  for escaped in ("US$%EUR$test", r"$\frac{1}{2}$", r"\x1b[2J", r"a\u202egnp"):
    assert escaped in text
  assert max(map(len, text.split())) < 2000
  # Files of data have the names as they are.
  assert {f"heldout/{name}test/loss" for name in NAMES} <= run.metrics.keys()

  console = terminal.Console()
  console.print(grids.to_rich(task_counts.grid(store)))
  console.print(*run_report.tables(run))
  for command in (
      ["show", str(order.path), "--head=99"],
      ["diff", str(order.path), str(order.path)],
      ["trace", str(order.path), "--every=5", "--embedder=ngram"],
  ):
    assert tools.main(command) == 0
  output = capsys.readouterr().out
  assert not _hidden(output)
  assert "[bold]x[/bold] [/red]" in output
  assert run_report.write(run, store, order).exists()  # With the trace.


def test_a_comparison(write_named, small, tmp_path):
  first = write_named(name="one")
  small.order.arrangement = "random"
  second = write_named(name="two")
  points = [
      comparison.Point("US$%EUR$ [bold]", 0, first.path),
      comparison.Point("<b>|\x1b[2J\u202e" + "y" * 10_000, 0, second.path),
  ]
  comparison_report.write(tmp_path / "out", points, missing=["$a|b\x1b"])
  for name in ("comparison.md", "comparison.html"):
    text = (tmp_path / "out" / name).read_text("utf-8")
    assert not _hidden(text)
    assert "<b>" not in text
  lines = (tmp_path / "out" / "comparison.md").read_text().splitlines()
  tables = [line for line in lines if line.startswith("|")]
  assert {line.count("|") for line in tables if "US" in line} <= {5, 7, 8}
  assert r"US\$%EUR\$ [bold]" in "".join(tables)


@pytest.mark.parametrize("name", NAMES)
def test_figures_draw_names_as_text(name):
  figure = figure_lib.Figure()
  axes = figure.subplots()
  axes.set(title=name, xlabel=name)
  axes.plot([0, 1], label=name)
  axes.set_xticks([0, 1], [name, "b"])
  axes.text(0, 0, name)
  figure.legend()
  before = matplotlib.rcParams["text.parse_math"]
  assert figures.png(figure).startswith(b"\x89PNG")
  assert matplotlib.rcParams["text.parse_math"] == before
  labels = {text.get_text() for text in figure.findobj(matplotlib.text.Text)}
  assert not _hidden("".join(labels))
  assert max(map(len, labels)) <= 60


def test_logarithmic_axes_keep_their_powers():
  figure = figure_lib.Figure()
  axes = figure.subplots()
  axes.set(xscale="log", xlabel="$x$")
  axes.plot([1, 1000], [0, 1])
  figures.png(figure)
  ticks = [tick.label1 for tick in axes.xaxis.get_major_ticks()]
  assert all(tick.get_parse_math() for tick in ticks)
  assert not axes.xaxis.label.get_parse_math()


def test_tags_of_tensorboard(tmp_path):
  writer = writers.TensorBoard(tmp_path, 0)
  writer.write(1, {f"heldout/{name}/loss": 1.0 for name in NAMES})
  writer.close()
  (path,) = (tmp_path / "tensorboard").iterdir()
  tags = _tags(path.read_bytes())
  assert len(set(tags)) == len(NAMES)
  assert not _hidden("".join(tags))
  assert all(len(tag) < 200 and tag.endswith("/loss") for tag in tags)


def _tags(data):
  """Tags of all events of a file: length, its check, event, its check."""
  tags = []
  while data:
    size = int.from_bytes(data[:8], "little")
    event = event_pb2.Event.FromString(data[12 : 12 + size])
    tags += [value.tag for value in event.summary.value]
    data = data[16 + size :]
  return tags
