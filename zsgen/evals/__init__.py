"""Evaluations in the loop, by type."""

from zsgen.evals.loss import Loss

EVALS = {"loss": Loss}
