"""What interactive pages embed."""

import json
import pathlib
import types

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.helpers import page_data
from zsgen.orders import embeddings
from zsgen.reports import __main__ as reports
from zsgen.reports import curves, measures
from zsgen.reports.interactive import (
    encoding,
    example_data,
    neighbours,
    payload,
)
from zsgen.reports.interactive import subject as subject_lib

LIMIT = 3_000_000


@pytest.fixture
def workdir(small, workdirs):
  """Returns the workdir of a run that other tests use too."""
  return workdirs.get(small, "train", "evaluate")


@pytest.fixture
def run(workdir):
  """Returns a finished run."""
  (path,) = workdir.glob("runs/*")
  return curves.open_run(path)


@pytest.fixture
def values(run):
  """Returns the data of the page of a run."""
  return payload.build(subject_lib.from_run(run)).values


def test_curves_are_those_of_the_records(run, values):
  by_path = {metric["path"]: i for i, metric in enumerate(values["metrics"])}
  assert {"heldout/loss", "train/loss", "order/round"} <= set(by_path)
  for path in ("heldout/loss", "heldout/task_mean_loss", "train/loss"):
    (item,) = [
        item for item in values["curves"] if item["metric"] == by_path[path]
    ]
    assert values["steps"][item["steps"]] == run.metrics[path].steps.tolist()
    np.testing.assert_allclose(
        item["values"], run.metrics[path].values, rtol=1e-5
    )
    assert (item["half"] is not None) == (path == "heldout/loss")
  assert values["metrics"][0]["path"] == "heldout/loss"
  assert values["metrics"][0]["label"] == "heldout: loss (nats)"


def test_tasks_and_examples_are_those_of_the_records(run, values):
  part = values["tasks"]["heldout"]
  (tasks,) = part["curves"]
  by_task = run.tasks("heldout")
  assert part["total"] == len(by_task) == len(part["names"])
  for name, row in zip(part["names"], tasks["values"], strict=True):
    np.testing.assert_allclose(row, by_task[name].values, rtol=1e-5)
  (part,) = values["examples"]
  evaluation = run.evaluation("heldout")
  assert part["ids"] == evaluation.ids.tolist()
  np.testing.assert_allclose(
      part["members"][0]["values"], evaluation.losses.T, rtol=1e-5
  )
  assert part["value"] == "loss (nats)"


def test_parts_of_one_evaluation_have_different_names():
  evaluations = types.SimpleNamespace(evaluations=("heldout",))
  run = types.SimpleNamespace(config=evaluations)
  members = [
      types.SimpleNamespace(label=label, seed=seed)
      for label in ("random", "tmt")
      for seed in (0, 1)
  ]
  subject = types.SimpleNamespace(
      members=members, runs=dict.fromkeys(range(4), run)
  )
  titles = [
      example_data._title(
          subject,
          example_data.Part("heldout", pathlib.Path(), dict.fromkeys(parts)),
      )
      for parts in ((0, 2), (0,), (2,))
  ]
  assert titles == [
      "heldout, seed 0",
      "heldout, seed 0, random",
      "heldout, seed 0, tmt",
  ]


def test_neighbours_are_the_nearest_of_what_was_consumed(run, values):
  (part,) = values["examples"]
  (nearest,) = part["neighbours"]
  consumed = np.load(run.path / "consumed.npy")
  (path,) = run.path.parents[1].glob("embeddings/*")
  vectors = embeddings.load(
      path, json.loads((path / "manifest.json").read_text())
  )
  trained = np.unique(consumed[consumed >= 0])
  rows = vectors.take(trained).block(0, len(trained))
  for i, neighbours_of_example in zip(
      part["ids"], nearest["rows"], strict=True
  ):
    products = rows @ vectors.take(np.array([i])).block(0, 1)[0]
    best = np.argsort(-products, kind="stable")[:5]
    assert [row[0] for row in neighbours_of_example] == trained[best].tolist()
    for example, cosine, step in neighbours_of_example:
      assert example in consumed[step] and example not in consumed[:step]
      assert cosine == pytest.approx(products[trained == example][0], rel=1e-5)
      assert part["trained"][example]["prompt"]
  assert neighbours.build(run, None, _NoVectors(), np.arange(3)) is None


class _NoVectors:
  """An order without vectors."""

  manifest = {"made_by": {"text": None, "embedder": None}}


def test_compositions_count_every_example(run, values):
  (part,) = values["orders"]
  assert np.sum(part["counts"]) == 40
  assert part["begins"] == list(range(10)) and part["end"] == 10
  assert np.sum(part["counts"], axis=0).tolist() == [4] * 10


def test_a_page_has_a_limit_and_states_its_sample(run, monkeypatch):
  full, _ = payload.build(subject_lib.from_run(run))
  names = ("metrics", "curves", "differences")
  budgets = {
      "CURVES": encoding.size({name: full[name] for name in names}) - 1,
      "TASKS": encoding.size(full["tasks"]["heldout"]) - 1,
      "EXAMPLES": encoding.size(full["examples"][0]) - 1,
  }
  for name, budget in budgets.items():
    monkeypatch.setattr(payload, name, budget)
  values, notes = payload.build(subject_lib.from_run(run))
  (part,) = values["examples"]
  assert 0 < len(part["ids"]) < part["total"] == 15
  assert encoding.size(part) <= budgets["EXAMPLES"]
  assert encoding.size(values["tasks"]["heldout"]) <= budgets["TASKS"]
  points_note, tasks_note, examples_note = notes
  assert "points of each curve" in points_note
  assert "tasks are on this page" in tasks_note
  assert f"{len(part['ids'])} of 15 examples" in examples_note
  assert "zsgen.load_run(RUN).evaluation('heldout')" in examples_note


def test_text_of_data_cannot_leave_its_element():
  hostile = "</script><script>alert(1)</script><!-- &amp; \u202e\x1b[2J"
  encoded = encoding.encode({"task": encoding.words(hostile)})
  assert not set("<>&\u202e\x1b") & set(encoded)
  assert json.loads(encoded)["task"].startswith("</script><script>")


def test_numbers_that_are_not_finite_are_missing():
  values = [1.23456789, float("nan"), float("inf"), 0, 2e-9]
  assert encoding.numbers(values) == [1.23457, None, None, 0, 2e-9]


@pytest.mark.parametrize("length, count", [(0, 3), (1, 0), (2, 5), (10, 4)])
def test_samples_are_evenly_spaced(length, count):
  rows = encoding.spaced(length, count)
  assert len(rows) == min(length, count)
  if len(rows) > 1:
    assert rows[0] == 0 and rows[-1] == length - 1
    assert np.ptp(np.diff(rows)) <= 1


@pytest.mark.slow
def test_a_comparison_embeds_the_differences_of_its_tables(
    small, workdir, workdirs, tmp_path
):
  small.name = "mixed"
  small.order.arrangement = "random"
  small.evals.heldout.every_steps = 5
  small.evals.heldout.max_examples = 7
  paths = [str(workdir), str(workdirs.get(small, "train", "evaluate"))]
  out = tmp_path / "page.html"
  arguments = ["compare", *paths, f"--out={out}", "--reference=small"]
  assert reports.main(arguments) == 0
  text = out.read_text("utf-8")
  assert len(text.encode()) < LIMIT
  values = page_data.read(text)
  assert values["labels"] == [
      "small",
      "mixed",
      "small (evaluation)",
      "mixed (evaluation)",
  ]
  (item,) = values["differences"]
  table = pq.read_table(tmp_path / "page-differences.parquet")
  assert not item["same"]  # They share 7 examples of 15.
  assert values["steps"][item["steps"]] == table["step"].to_pylist()
  assert item["values"] == pytest.approx(table["difference"].to_pylist(), 1e-5)
  options = [member["options"] for member in values["members"]]
  assert options[0]["order.arrangement"] == '"tmt"'
  assert options[1]["order.arrangement"] == '"random"'
  assert "train.learning_rate" not in options[0]


def test_a_page_calls_no_server(run, tmp_path):
  out = tmp_path / "page.html"
  assert reports.main(["compare", str(run.path), f"--out={out}"]) == 0
  text = out.read_text("utf-8")
  assert "default-src 'none'" in text
  text = page_data.without_scripts(text)
  assert "https:" not in text and "http:" not in text and "src=" not in text


def test_intervals_over_seeds_have_their_quantiles(write_run):
  members = [
      subject_lib.Member("tmt", seed, run, run.metrics)
      for seed in range(4)
      for run in [write_run(seed=seed, name=f"tmt{seed}")]
  ]
  values, _ = payload.build(subject_lib.Subject(members, "tmt"))
  assert len(values["quantiles"]) == 5
  losses = np.array([[1.0], [2.0], [4.0], [3.0]])
  half = values["quantiles"][4] * losses.std(ddof=1) / 2
  assert measures.half_widths(losses) == pytest.approx(half)
  assert len(values["examples"]) == 4  # Seeds have other examples.
