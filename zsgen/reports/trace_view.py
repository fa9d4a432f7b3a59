"""How near the order's prefixes come to the held-out set, under its loss."""

import numpy as np

from zsgen.orders import order as order_lib
from zsgen.orders import trace as trace_lib
from zsgen.reports import curves, figures, page

_LOSS = "held-out loss"
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


def section(run: curves.Run, order: order_lib.Order) -> str:
  """The nine measures of each held-out loss whose trace is there; "" for none.

  Args:
    run: the run.
    order: its order; `python -m zsgen.orders trace` measured it.

  Raises:
    InputError: a trace is damaged, or of another order.
  """
  blocks: list[str] = []
  for name, spec in run.config.evals.items():
    trace = trace_lib.find(order, spec.split)
    if trace is not None and run.kind(name) == "loss":
      blocks += [
          page.heading(name),
          page.figure(
              figures.plot(panels(run, name, trace), _LOSS, one_x=True),
              f"{name}: loss and distances of what was trained on",
          ),
          page.text(_CAPTION.format(**trace.description)),
      ]
  title = "How near the trained examples are"
  return page.section(title, blocks) if blocks else ""


def panels(
    run: curves.Run, name: str, trace: trace_lib.Trace
) -> list[list[figures.Panel]]:
  """Loss and bigram KL, below them cosine and Euclid side by side.

  Against steps of the run, whatever the trace's batch size.
  """
  loss = figures.line(_LOSS, run.metrics[f"{name}/task_mean_loss"])
  rows = [
      [
          _panel(f"{_LOSS}, mean over tasks", loss),
          _panel("bigram KL", _line(run, trace, "bigram_kl")),
      ]
  ]
  for measure, words in _TITLES.items():
    rows.append(
        [
            _panel(
                f"{title}, {words}", _line(run, trace, f"{distance}_{measure}")
            )
            for distance, title in (
                ("cosine", "negative cosine"),
                ("euclid", "Euclid"),
            )
        ]
    )
  rows[-1] = [panel._replace(xlabel="step") for panel in rows[-1]]
  return rows


def _panel(title: str, line: figures.Line) -> figures.Panel:
  return figures.Panel(title, "", "", [line], height=1.7)


def _line(
    run: curves.Run, trace: trace_lib.Trace, measure: str
) -> figures.Line:
  """A measure against steps of the run."""
  steps = np.minimum(trace.examples / run.batch_size, run.steps)
  return figures.Line("distance", steps, trace.means(measure)[None])
