"""The metrics that targets may name are those that evaluations give."""

import jax
import numpy as np
import pytest

import zsgen
from zsgen import evals
from zsgen.core import config
from zsgen.core import mesh as mesh_lib
from zsgen.data import store as store_lib
from zsgen.evals import api, metrics
from zsgen.models import model as model_lib
from zsgen.train import starts


@pytest.fixture
def context(small, tmp_path):
  """Returns a store, and a model that computes nothing here."""
  store = store_lib.open_store(zsgen.run(small, tmp_path, ["prepare"]).store)
  arch = starts.make(config.check(small).model, 0).arch
  return api.Context(
      store=store,
      model=model_lib.Model.from_config(arch),
      mesh=mesh_lib.make(config.Mesh(), jax.devices()[:1]),
      batch_size=4,
  )


def _metric_names(evaluator) -> set[str]:
  """Returns the metrics of an evaluation whose rows all have the value 1."""
  values = np.ones(len(evaluator.ids), np.float32)
  if hasattr(evaluator, "judged"):
    return set(evaluator.judged(values).metrics)
  return set(evaluator.judge([""] * len(evaluator.ids)).metrics)


@pytest.mark.parametrize("kind", ["loss", "exact", "generate", "copy_input"])
def test_names_are_those_of_reported_metrics(context, kind):
  short = {"max_new_tokens": 4} if kind == "generate" else {}
  spec = config.build(config.Eval, type=kind, **short)
  reported = _metric_names(evals.make("x", spec, context))
  names = {name for name in metrics.names({"x": spec}) if name.startswith("x/")}
  assert names == {name for name in reported if name.count("/") == 1}
  tasks = {"heldout": context.store.tasks}
  for name in reported:
    target = config.Target(metric=name, below=1.0)
    metrics.check_targets({"x": spec}, {"t": target}, tasks)


def test_metric_of_a_path():
  specs = {"x": config.Eval(), "y": config.Eval(type="exact")}
  for path, unit in {
      "x/loss": "nats",
      "x/task_mean_loss": "nats",
      "x/some/task/loss": "nats",
      "y/exact_match": "share",
      "train/loss": "nats",
      "train/tokens": "tokens",
  }.items():
    assert metrics.find(specs, path).unit == unit
  for path in ("x/los", "z/loss", "y/op1_exact_match", "train/los"):
    assert metrics.find(specs, path) is None
