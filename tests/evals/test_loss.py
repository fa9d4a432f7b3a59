"""Held-out loss, packed on a mesh, against each example on its own."""

import jax
import numpy as np
import pytest

from tests.helpers import closeness
from zsgen.core import config as config_lib
from zsgen.core import mesh as mesh_lib
from zsgen.data import prepare
from zsgen.evals import api, loss
from zsgen.models import model as model_lib
from zsgen.train import batches, layouts

pytestmark = pytest.mark.numerics


@pytest.fixture
def parts(small, tmp_path):
  """Returns a store, a model, its parameters, and a mesh of one device."""
  small.data.heldout_instances = 2
  config = config_lib.check(small)
  store = prepare.prepare(tmp_path, config.data, config.seed)
  model = model_lib.Model.from_config(config.model)
  params = jax.jit(model.init)(jax.random.key(0))
  return store, model, params, mesh_lib.make(config.machine.mesh)


def _compute_loss(store, nll_of, params, example):
  """Returns the mean loss of one example's answer, in a row of its own."""
  examples = batches.look_up(store, np.array([example]))
  batch = layouts.lay_out(examples, layouts.Shape(1, 192, 192), layouts.Split())
  nll = np.asarray(nll_of(params, batch), np.float64)
  return nll.sum() / batch.mask.sum()


@pytest.mark.parametrize("batch_size", [1, 16])
def test_packed_evaluation_equals_separate_rows(parts, batch_size):
  store, model, params, mesh = parts
  context = api.Context(store, model, mesh, batch_size)
  evaluate = loss.Loss("heldout", config_lib.Eval(), context)
  evaluation = evaluate(params)
  nll_of = jax.jit(model.token_nll)
  expected = [_compute_loss(store, nll_of, params, i) for i in evaluate.ids]
  closeness.assert_close(evaluation.losses, np.array(expected))
  assert evaluation.metrics["heldout/loss"] == pytest.approx(np.mean(expected))
  by_task = np.reshape(expected, (-1, 2)).mean(1)
  names = [store.tasks[i] for i in store.split_tasks("heldout")]
  for name, value in zip(names, by_task, strict=True):
    assert evaluation.metrics[f"heldout/{name}/loss"] == pytest.approx(value)
  task_mean = evaluation.metrics["heldout/task_mean_loss"]
  assert task_mean == pytest.approx(by_task.mean())
