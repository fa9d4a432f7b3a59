"""The configs of the experiments of 2406.11721."""

import ast
import itertools
import json
import re
import runpy
import subprocess
import sys

import numpy as np
import pytest

from launch import sweep
from tests.orders import pools
from zsgen.core import errors
from zsgen.orders import arrangements
from zsgen.reports.arrangement import contact, early, nearness

NAMES = (
    "controls",
    "early",
    "granularity",
    "pilot",
    "prefixes",
    "selections",
    "settings",
    "slices",
    "specialist",
    "tmt",
    "transport",
    "wsd",
)
TIERS = ("smoke", "nano", "mini", "paper")
RULES = (*early.RULES, *contact.RULES, *nearness.RULES)


@pytest.fixture
def load(root):
  """Returns a function that loads a tier of a config file, from anywhere."""

  def get(name: str, tier: str):
    path = root / "configs" / "arrangement" / f"{name}.py"
    return runpy.run_path(str(path))["get_config"](tier)

  return get


def test_every_experiment_is_listed(root):
  directory = root / "configs" / "arrangement"
  assert {path.stem for path in directory.glob("*.py")} == {*NAMES, "tiers"}
  assert {rule.experiment for rule in RULES} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_docstrings_name_command_times_and_targets(root, name):
  path = root / "configs" / "arrangement" / f"{name}.py"
  text = ast.get_docstring(ast.parse(path.read_text("utf-8")))
  assert f"launch.sweep --config=configs/arrangement/{name}.py:nano" in text
  text = " ".join(text.split())
  assert re.search(r" smoke: \d+ runs of \d+ steps[^:]* (second|minute)s", text)
  assert re.search(r" nano: \d+ runs of \d+ steps", text)
  named = set(re.findall(r"\bR\d+\b", text))
  assert {r.target for r in RULES if r.experiment == name} <= named
  published_or_not = re.search(r"[Pp]ublished|No target is", text)
  assert published_or_not, "Numbers to expect, or that there are none."


@pytest.mark.parametrize("name", NAMES)
def test_orders_are_measured_at_each_evaluation(load, name):
  points = [point for _, point in sweep.points(load(name, "smoke"))]
  every = {point.order.trace_every for point in points}
  assert every == {point.evals["heldout"].every_steps for point in points}
  assert 0 not in every


def test_early_with_a_reward_model(load):
  written = load("early", "nano,MODEL").evals.written
  assert written.type == "reward" and written.reward_model == "MODEL"
  assert written.form == "ultra" and written.max_examples == 120
  written = load("early", "smoke").evals.written
  assert (written.type, written.max_examples) == ("generate", 15)
  assert sweep.points(load("early", "nano,MODEL"))


def test_each_data_set_of_early_has_its_path(load):
  argument = "mini,MODEL,p3=/p,flan_mini=/f=1,niv2=/n"
  config = load("early", argument)
  assert config.evals.written.reward_model == "MODEL"
  paths = {
      name.removesuffix("-random-s0"): point.data.path
      for name, point in sweep.points(config)
      if point.seed == 0
  }
  assert paths == {
      "niv2": "/n",
      "niv2_released_border": "/n",
      "p3": "/p",
      "flan_mini": "/f=1",
  }
  with pytest.raises(errors.InputError, match="niv2, p3, flan_mini"):
    load("early", "mini,p4=/p")


@pytest.mark.parametrize(
    ("tier", "steps"),
    [("smoke", 40), ("nano", 120), ("mini", 600), ("paper", 1797)],
)
def test_early_is_evaluated_in_the_steps_of_r1(load, tier, steps):
  for _, point in sweep.points(load("early", tier)):
    assert 1 <= point.evals["heldout"].every_steps <= 0.03 * steps


@pytest.mark.parametrize("name", ["settings", "pilot", "wsd", "early"])
def test_paper_reads_rows_as_released(load, name):
  for _, point in sweep.points(load(name, "paper")):
    assert point.data.source != "flan_mini" or point.data.as_released


def test_early_has_the_published_settings(load):
  points = dict(sweep.points(load("early", "paper")))
  flan_mini, niv2, p3 = (
      points[f"{name}-random-s0"] for name in ("flan_mini", "niv2", "p3")
  )
  # All of 20 examples of each task: 28,751.
  assert (flan_mini.order.budget, flan_mini.data.train_instances) == (-1, 20)
  assert (niv2.order.stop, p3.order.stop) == (30_000, 28_480)
  assert flan_mini.train.loss_groups == 1
  assert niv2.train.loss_groups == p3.train.loss_groups == 2
  assert niv2.data.label == "random"
  for point in points.values():
    assert point.data.max_length == 1024
    written = point.evals["written"]
    assert (written.decoding, written.draw) == ("released", 0)


@pytest.mark.parametrize("name", ["pilot", "granularity"])
def test_experiments_on_tasks_have_many_examples_of_each(load, name):
  generator = np.random.Generator(np.random.PCG64(0))
  tasks = np.repeat(np.arange(80), 30)
  directions = generator.uniform(size=(80, 8))
  train = directions[tasks] + 0.1 * generator.uniform(size=(2400, 8))
  pool = pools.make(train, directions[:3], tasks)
  rows = {
      label: arrangements.arrange(point.order, pool, 0).rows
      for label, point in sweep.points(load(name, "nano"))
      if point.seed == 0
  }
  assert len({tuple(sorted(ids)) for ids in rows.values()}) == 1
  for ids in rows.values():
    assert np.bincount(tasks[ids], minlength=80).tolist().count(20) == 48
  clustered = rows["cluster-s0" if name == "pilot" else "coarse-s0"]
  assert (np.diff(tasks[clustered]) != 0).sum() == 47
  others = [ids for ids in rows.values() if ids is not clustered]
  assert all((np.diff(tasks[ids]) != 0).sum() > 100 for ids in others)


@pytest.mark.parametrize(
    ("name", "tier"),
    [
        *itertools.product(NAMES, TIERS),
        ("tmt", "sharegpt"),
        ("tmt", "norobots"),
    ],
)
def test_every_tier_is_valid(load, name, tier):
  config = load(name, tier)
  points = sweep.points(config)
  assert config.name == f"arrangement_{name}_{tier}"
  if tier in ("nano", "mini"):
    assert {point.seed for _, point in points} == {0, 1, 2}
  arms = {
      label.removesuffix(f"-s{point.seed}").rpartition("-")[2]
      for label, point in points
  }
  for rule in RULES:
    if rule.experiment == name:
      assert set(rule.arms) <= arms


def test_an_unknown_tier_lists_the_known_ones(load):
  with pytest.raises(errors.InputError, match="smoke, nano, mini"):
    load("settings", "micro")


@pytest.mark.slow
def test_an_experiment_runs_up_to_its_page(root, tmp_path):
  workdir = tmp_path / "workdir"
  path = "configs/arrangement/settings.py:smoke"
  for arguments in (
      ["launch.sweep", f"--config={path}", f"--workdir={workdir}"],
      ["zsgen.reports", "arrangement", str(workdir)],
  ):
    subprocess.run([sys.executable, "-m", *arguments], cwd=root, check=True)
  page = workdir / "reports" / "arrangement" / "arrangement.json"
  report = json.loads(page.read_text())
  (experiment,) = report["experiments"].values()
  assert set(experiment["orders"]) == {"NFT", "FFT", "RT", "MIN", "MAX"}
  (r13,) = [t for t in report["targets"] if t["target"] == "R13 (smoke)"]
  assert r13["state"] in ("pass", "fail")
