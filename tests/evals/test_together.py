"""Evaluations of the members of a population."""

import jax
import numpy as np
import pytest

from zsgen.core import config as config_lib
from zsgen.core import mesh as mesh_lib
from zsgen.evals import api, together
from zsgen.train import population


class Mean(api.Evaluator):
  """A plug-in's evaluator, which has an attribute `packed` of its own."""

  declaration = api.Declaration(api.Metric("mean", "share", "higher"))

  def __init__(self):
    self.name = "mean"
    self.packed = np.asarray

  def __call__(self, params):
    values = self.packed(params)
    return api.Evaluation({"mean/mean": float(values.mean())}, values)


def test_only_evaluators_that_declare_it_are_evaluated_as_one_program():
  mesh = mesh_lib.make(config_lib.Mesh(), jax.devices()[:1])
  evaluate = together.evaluate_together(
      [Mean(), Mean()], population.sharding(mesh, 2)
  )
  evaluations = evaluate(np.array([[1.0, 3.0], [5.0, 7.0]]))
  means = [evaluation.metrics["mean/mean"] for evaluation in evaluations]
  assert means == [2.0, 6.0]


def test_an_evaluator_has_to_evaluate():
  class Empty(api.Evaluator):
    declaration = Mean.declaration

  with pytest.raises(TypeError, match="__call__"):
    Empty("empty", config_lib.Eval(), None)
