"""The experiments on rewrites: every tier can be, and one runs to its end."""

import dataclasses
import importlib.util
import json
import re

import jax
import numpy as np
import pytest

from launch import sweep
from zsgen.core import artifacts, errors
from zsgen.core import config as config_lib
from zsgen.data import sources, suite
from zsgen.models import model as model_lib
from zsgen.orders import arrangements
from zsgen.rewrites import report as rewrites
from zsgen.rewrites.source import limits, rules

NAMES = (
    "diversity",
    "encrypted",
    "examples",
    "noop",
    "occurrences",
    "powerlaw",
    "semantics",
    "tmt",
)
TIERS = ("smoke", "nano", "mini", "paper")
# More rules than this are not drawn here: the paper's patterns of 20 letters
# are never used up.
_LIMIT = 20_000


@pytest.fixture
def load(root):
  """Returns a function that loads a config file by its path, from anywhere."""

  def loaded(name: str):
    path = root / "configs" / "rewrites" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module

  return loaded


def test_every_experiment_is_tested(root):
  names = {path.stem for path in (root / "configs" / "rewrites").glob("*.py")}
  assert names == {*NAMES, "tiers"}


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("name", NAMES)
def test_every_tier_is_possible(load, name, tier):
  module = load(name)
  assert f"--config=configs/rewrites/{name}.py:nano" in module.__doc__
  points = sweep.points(module.get_config(tier))
  assert len({point for point, _ in points}) == len(points)
  steps = {point.order.stop / point.train.batch_size for _, point in points}
  assert len(steps) == 1
  kinds = set()
  for _, point in points:
    sources.check(point.data)
    limits.check(point.data)
    _check_rules(point, kinds)
    arrangements.check_target(point.order)
    arrangements.check_size(point.order, point.data.rewrites.examples)
    assert point.model.max_positions == limits.tokens(point.data.rewrites)
    assert _epochs(point) >= steps.copy().pop() * point.train.batch_size


def _check_rules(point, kinds):
  """Checks that the alphabet has the rules of both sets, once for each kind."""
  options = point.data.rewrites
  for split, count in (
      (suite.TRAIN, options.rules),
      ("unseen", limits.unseen_rules(options)),
  ):
    kind = (split, options.families, options.ks, options.cipher)
    if count <= _LIMIT and (kind, count) not in kinds:
      kinds.add((kind, count))
      assert len(rules.draw(options, split, point.seed, count).x) == count


def _epochs(point):
  """Returns the positions that the repeated part gives before it is cut."""
  (part,) = point.order.parts
  options = point.data.rewrites
  budget = part.parts[0].budget
  if budget < 0:
    budget = round(options.examples * options.subsample)
  return part.epochs * budget


def test_the_base_has_the_shape_of_what_is_tuned(load):
  module = load("encrypted")
  for tier in TIERS:
    base = config_lib.check(module.get_config(f"base_{tier}"))
    limits.check(base.data)
    (_, point), *_ = sweep.points(module.get_config(tier))
    assert not base.lora.rank and point.lora.rank
    assert dataclasses.replace(base.model, init="") == dataclasses.replace(
        point.model, init=""
    )
    assert base.seed == point.seed  # Patterns that are withheld are its.


def test_the_papers_size(load):
  (_, point), *_ = sweep.points(load("diversity").get_config("paper"))
  model = model_lib.Model.from_config(point.model, point.lora)
  shapes = jax.eval_shape(model.init, jax.random.key(0))
  count = sum(np.prod(leaf.shape) for leaf in jax.tree.leaves(shapes))
  # 4.74 million in blocks, and the embeddings (spec of section 3).
  assert count == pytest.approx(4.74e6 + (32 + 145) * 256, rel=0.005)
  assert point.order.stop == pytest.approx(50e6, rel=1e-4)


def test_nano_is_unchanged(load):
  config = load("diversity").get_config("nano")
  assert config.sweep.seeds == (1, 2, 3)
  points = [point for _, point in sweep.points(config)]
  counts = {point.data.rewrites.rules for point in points}
  assert counts == {10, 30, 100, 300, 1000}
  assert {point.order.stop for point in points} == {1500 * 256}
  assert (
      points[0].train.schedule == "linear" and not points[0].train.final_share
  )


def test_an_unknown_tier_is_reported(load):
  for name in ("diversity", "encrypted"):
    with pytest.raises(errors.InputError, match="smoke, nano, mini, paper"):
      load(name).get_config("micro")


def test_the_page_describes_every_experiment(root):
  page = (root / "docs" / "rewrites.md").read_text("utf-8")
  assert {*re.findall(r"configs/rewrites/(\w+)\.py\)", page)} == {
      *NAMES,
      "tiers",
  }


@pytest.mark.slow
def test_a_sweep_and_its_report(load, tmp_path):
  config = load("diversity").get_config("smoke")
  config.data.rewrites.update(examples=400, unseen=20, seen=20)
  config.model.update(layers=1, width=16, heads=1, kv_heads=1, head_width=16)
  config.model.mlp_width = 16
  config.train.batch_size = 8
  config.order.stop = 32
  config.machine.tensorboard = False
  for name, steps in (("unseen", 2), ("seen", 2), ("written", 4)):
    config.evals[name].every_steps = steps
  config.sweep.points = {f"rules{i}": load_point(i) for i in (10, 100)}
  directory = sweep.run(config, tmp_path)
  page, _, messages = rewrites.write([directory])
  assert not messages and page.is_file()
  result = json.loads((page.parent / "rewrites.json").read_text())
  assert {*result["arms"]["all runs"]["unseen"]} == {"10", "100"}
  text = (page.parent / "rewrites.md").read_text("utf-8")
  assert "Written answers to unseen rules" in text
  note = artifacts.read_json(directory / "points" / "rules10-s0.json")
  assert (tmp_path / note["run"] / "result.json").exists()


def load_point(count):
  return {"data": {"rewrites": {"rules": count}}}
