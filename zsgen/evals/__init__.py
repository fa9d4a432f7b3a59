"""Evaluations, in the loop and without one, by type."""

from zsgen import config
from zsgen.evals import packed
from zsgen.evals.choice import Choice
from zsgen.evals.loss import Loss

__all__ = ["EVALS", "make"]

EVALS = {"choice": Choice, "loss": Loss}


def make(name: str, spec: config.Eval, place: packed.Place) -> Choice | Loss:
  """The evaluation that the config names; it reads nothing before its call.

  Raises:
    InputError: there is no such held-out set, or it lacks what is evaluated.
  """
  return EVALS[spec.type](name, spec, place)
