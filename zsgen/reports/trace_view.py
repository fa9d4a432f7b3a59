"""How near the order's prefixes come to the held-out set."""

import numpy as np

from zsgen.orders import order as order_lib
from zsgen.orders import segments
from zsgen.orders import trace as trace_lib
from zsgen.reports import curves, page

_TITLES = {
    "avg": "mean",
    "min": "nearest pair",
    "max": "farthest pair",
    "centroid": "centroids",
}
_CAPTION = (
    "Distance of all examples trained on so far to each held-out task, mean"
    " over tasks ({embedder} vectors of {text}). Smaller is nearer: the cosine"
    " is negative (-1 is equal), Euclidean distance and the KL of bigrams (in"
    " nats) are 0 or more. Nearest pairs can only fall, farthest pairs only"
    " rise."
)


def find(
    run: curves.RunRecords, order: order_lib.Order
) -> dict[str, trace_lib.Trace]:
  """Returns the traces of the evaluations that want the figure "distances".

  Args:
    run: the run.
    order: its order, which may have been measured.

  Raises:
    InputError: a trace is damaged, or of another order.
  """
  traces = {
      name: trace_lib.find(order, spec.split)
      for name, spec in run.config.evals.items()
      if "distances" in run.declaration(name).figures
  }
  return {name: trace for name, trace in traces.items() if trace is not None}


def distances(
    run: curves.RunRecords, order: order_lib.Order
) -> dict[str, curves.Curve]:
  """Returns the measures of all traces by title, where they have a value.

  Raises:
    InputError: see `find`.
  """
  by_title = {}
  for name, trace in find(run, order).items():
    for measure in trace_lib.MEASURES:
      steps, values = curve(run, trace, measure)
      is_finite = np.isfinite(values)
      by_title[f"{title(measure)}, to {name}"] = curves.Curve(
          steps[is_finite], values[is_finite]
      )
  return by_title


def notes(run: curves.RunRecords, order: order_lib.Order) -> list[str]:
  """Returns what the figure of the order says about the measures.

  Raises:
    InputError: see `find`.
  """
  captions = [
      f"{name}: {_CAPTION.format(**trace.description)}{_remark(run, order)}"
      for name, trace in find(run, order).items()
  ]
  return list(map(page.text, captions))


def title(measure: str) -> str:
  """Returns what one of `trace.MEASURES` is called, with its unit."""
  distance, _, kind = measure.partition("_")
  if distance == "bigram":
    return "bigram KL (nats)"
  words = {"cosine": "negative cosine", "euclid": "Euclidean distance"}
  return f"{words[distance]}, {_TITLES[kind]}"


def curve(
    run: curves.RunRecords, trace: trace_lib.Trace, measure: str
) -> curves.Curve:
  """Returns a measure, mean over tasks, against steps of the run."""
  steps = run.first_of_order + trace.examples / run.batch_size
  return curves.Curve(np.minimum(steps, run.steps), trace.means(measure))


def _remark(run: curves.RunRecords, order: order_lib.Order) -> str:
  """Returns what the distances leave out; "" for nothing."""
  if isinstance(order, segments.RemadeOrder):
    return " They are those of the order before it was arranged anew."
  if run.fork is None:
    return ""
  return " They are those of this run's order alone, without its parent's."
