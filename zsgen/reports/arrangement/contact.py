"""Targets on the first contact with a similar task: R6, R7 and R14.

They need the trace of each order (`config.order.trace_every`).
"""

from collections.abc import Sequence

import numpy as np

from zsgen.orders import order as order_lib
from zsgen.orders import trace as trace_lib
from zsgen.reports import curves
from zsgen.reports.arrangement import experiments as experiments_lib
from zsgen.reports.arrangement import rules
from zsgen.reports.arrangement.rules import Verdict, View
from zsgen.reports.outcomes import Outcome, missing

_MEASURE = "cosine_min"
# Evaluations by which a fall of the loss may miss the step of contact.
_SLACK = 1
_LAGS = 5


def check(
    experiments: Sequence[experiments_lib.Experiment],
) -> list[Outcome]:
  """Judges R6, R7 and R14."""
  return [
      *(
          outcome
          for rule in RULES
          for outcome in rules.check(rule, experiments)
      ),
      missing(
          "R14",
          "tasks differ in how their loss falls (descriptive)",
          "no rule; see the panels of tasks",
      ),
  ]


def _drops(view: View) -> Verdict:
  """R6: under `cluster`, the loss falls at first contact with a sibling."""
  shares = {
      arm: float(np.mean([_hits(run) for run in view.runs(arm)]))
      for arm in ("cluster", "random")
  }
  is_met = shares["cluster"] >= 0.5 and shares["cluster"] > shares["random"]
  return Verdict(is_met, f"share of tasks: {rules.format_values(shares)}")


def _hits(run: curves.RunRecords) -> float:
  """The share of tasks whose greatest fall is at their greatest approach."""
  steps, distances, losses = _aligned(run)
  falls = np.argmin(np.diff(losses, axis=0), axis=0)
  approaches = np.argmin(np.diff(distances, axis=0), axis=0)
  # What comes near in the first tenth cannot be told from the first fall.
  is_late = steps[1:][approaches] > 0.1 * run.steps
  if not is_late.any():
    return 0.0
  return float((np.abs(falls - approaches) <= _SLACK)[is_late].mean())


def _lags(view: View) -> Verdict:
  """R7: approaches and falls of the loss go together, at lag 0 or 1."""
  correlations = np.mean(
      [_cross_correlation(run) for run in view.runs("cluster")], axis=0
  )
  best = int(np.argmax(correlations)) - _LAGS
  peak = float(correlations.max())
  values = f"peak {peak:+.3f} at a lag of {best} evaluations"
  return Verdict(peak > 0 and best in (0, 1), values)


def _cross_correlation(run: curves.RunRecords) -> np.ndarray:
  """Correlations of approach and later fall by lag, means over tasks."""
  _, distances, losses = _aligned(run)
  approaches, falls = -np.diff(distances, axis=0), -np.diff(losses, axis=0)
  by_lag = []
  for lag in range(-_LAGS, _LAGS + 1):
    before, after = (
        (approaches[: len(approaches) - lag], falls[lag:])
        if lag >= 0
        else (approaches[-lag:], falls[:lag])
    )
    by_lag.append(_correlation(before, after))
  return np.array(by_lag)


def _correlation(x: np.ndarray, y: np.ndarray) -> float:
  """Pearson's correlation along axis 0, the mean over columns that vary."""
  x, y = x - x.mean(axis=0), y - y.mean(axis=0)
  scale = np.sqrt((x**2).sum(axis=0) * (y**2).sum(axis=0))
  varies = scale > 0
  if not varies.any():
    return 0.0
  return float(((x * y).sum(axis=0)[varies] / scale[varies]).mean())


def _aligned(
    run: curves.RunRecords,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Steps [n], and distances and losses [n, T] at them, of all traced tasks.

  Raises:
    NotRun: the order has no trace, or one with too few common steps.
  """
  order = order_lib.Order.load(run.order)
  trace = trace_lib.find(order, run.config.evals["heldout"].split)
  if trace is None:
    raise rules.NotRun(
        "no trace: run `python -m zsgen.orders trace` on the orders of the runs"
    )
  tasks = run.tasks("heldout")
  names = [name for name in trace.tasks if name in tasks]
  steps = trace.examples // run.batch_size
  shared = np.intersect1d(steps, tasks[names[0]].steps)
  if len(shared) < 2 * _LAGS:
    raise rules.NotRun(
        f"the trace and the evaluations share only {len(shared)} steps"
    )
  columns = [trace.tasks.index(name) for name in names]
  distances = trace.values(_MEASURE)[np.isin(steps, shared)][:, columns]
  losses = np.stack(
      [
          tasks[name].values[np.isin(tasks[name].steps, shared)]
          for name in names
      ],
      axis=1,
  )
  return shared, distances, losses


RULES = (
    rules.Rule(
        "R6",
        "pilot",
        ("cluster", "random"),
        "cluster: half of the tasks fall most within an evaluation of first"
        " contact, and more than in random order",
        _drops,
    ),
    rules.Rule(
        "R7",
        "prefixes",
        ("cluster",),
        "cluster: steps of cosine_min and of the loss correlate, most at a lag"
        " of 0 or 1",
        _lags,
    ),
)
