"""A page of more than it can hold: a sample that it states, below 3 MB."""

import json

import numpy as np
import pytest

from tests.helpers import browser, page_data
from zsgen.reports import curves, page
from zsgen.reports.interactive import embedded, encoding, payload, sets
from zsgen.reports.interactive import subject as subject_lib

pytestmark = pytest.mark.slow

LIMIT = 3_000_000
LABELS, POINTS, METRICS, TASKS = 20, 4000, 8, 2000


@pytest.fixture
def subject(write_run, monkeypatch) -> subject_lib.Subject:
  """Returns twenty long runs with many metrics, tasks and written answers."""
  run = write_run()
  ids = run.evaluation("heldout").ids.tolist()
  for step in range(run.steps + 1):
    file = run.path / "evals" / "heldout" / f"predictions-{step}.jsonl"
    lines = [
        json.dumps({"id": i, "prediction": f"{step} {i} " * 100, "loss": 0.5})
        for i in ids
    ]
    file.write_text("\n".join(lines))
  random = np.random.default_rng(0)
  evaluated = run.metrics["heldout/loss"].steps
  tasks = {
      f"heldout/task{i:04d}/loss": curves.Curve(
          evaluated, random.random(len(evaluated))
      )
      for i in range(TASKS)
  }
  monkeypatch.setitem(vars(run), "metrics", {**run.metrics, **tasks})
  steps = np.arange(POINTS)
  long = {
      f"train/metric{i}": curves.Curve(steps, random.random(POINTS))
      for i in range(METRICS)
  }
  members = [
      subject_lib.Member(f"order {i}", 0, run, {**run.metrics, **long})
      for i in range(LABELS)
  ]
  return subject_lib.Subject(members, "order 0")


def test_a_large_page_states_its_sample(subject, driver, tmp_path):
  part = embedded.embed(subject)
  text = page.page("Large", [page.slot("heldout"), part.notes], part.data)
  size = len(text.encode())
  assert LIMIT / 2 < size < LIMIT
  values = page_data.read(text)
  points = max(len(curve["values"]) for curve in values["curves"])
  tasks = values["tasks"]["heldout"]
  count, total = len(tasks["names"]), tasks["total"]
  examples = values["examples"][0]
  assert total > TASKS
  for words in (
      f"Figures have at most {points:,} of {POINTS:,} points of each curve,"
      " evenly spaced. metrics.jsonl of each run has all of them.",
      f"heldout: {count:,} of {total:,} tasks are on this page, evenly spaced."
      " metrics.jsonl of each run has all of them.",
      f"heldout: {len(examples['ids'])} of 15 examples are on this page",
      "zsgen.load_run(RUN).evaluation(&#x27;heldout&#x27;)",
  ):
    assert words in part.notes
  for name, budget in (
      ("curves", payload.CURVES),
      ("tasks", payload.TASKS),
      ("examples", payload.EXAMPLES),
  ):
    assert budget / 2 < encoding.size(values[name]) <= budget, name
  # Only the steps of what is on the page are in it.
  used = {part["steps"] for part in values["curves"]}
  used |= {part["steps"] for part in tasks["curves"]}
  used |= {part["steps"] for part in examples["members"]}
  assert used == set(range(len(values["steps"])))
  path = tmp_path / "large.html"
  path.write_text(text, "utf-8")
  browser.show(driver, path)
  assert not browser.errors(driver)
  assert len(browser.readout(driver, "[data-view=heldout]")) == LABELS


def test_large_sets_share_the_page(subject):
  built = sets.build([sets.Set(name, [], subject) for name in ("a", "b", "c")])
  size = encoding.size(built.values)
  assert size < payload.CURVES + payload.TASKS
  for name in ("a", "b", "c"):
    # All points of what the sets draw are there: training is not.
    (note,) = (note for note in built.notes if note.startswith(name))
    assert note.startswith(f"{name}, heldout: ") and "tasks are on" in note
