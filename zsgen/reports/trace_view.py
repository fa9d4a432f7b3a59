"""How near the order's prefixes come to the held-out set, under its curve."""

import numpy as np

from zsgen.orders import order as order_lib
from zsgen.orders import segments
from zsgen.orders import trace as trace_lib
from zsgen.reports import curves, figures, page

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


def section(run: curves.RunRecords, order: order_lib.Order) -> str:
  """Returns the nine measures of each held-out set whose trace is there.

  An evaluation's page has them if its evaluator wants the figure "distances".

  Args:
    run: the run.
    order: its order; `python -m zsgen.orders trace` measured it.

  Raises:
    InputError: a trace is damaged, or of another order.
  """
  blocks: list[str] = []
  for name, spec in run.config.evals.items():
    trace = trace_lib.find(order, spec.split)
    declared = run.declaration(name)
    if trace is not None and "distances" in declared.figures:
      rows = panels(run, name, trace)
      words = declared.headline.words
      blocks += [
          page.heading(name),
          page.figure(
              figures.plot(rows, _held_out(run, name), one_x=True),
              f"{name}: {words} and distances of what was trained on",
          ),
          page.text(_CAPTION.format(**trace.description) + _remark(run, order)),
      ]
  title = "Distance of the trained examples to held-out tasks"
  return page.section(title, blocks) if blocks else ""


def _remark(run: curves.RunRecords, order: order_lib.Order) -> str:
  """Returns what the distances leave out; "" for nothing."""
  if isinstance(order, segments.RemadeOrder):
    return " They are those of the order before it was arranged anew."
  if run.fork is None:
    return ""
  return " They are those of this run's order alone, without its parent's."


def panels(
    run: curves.RunRecords, name: str, trace: trace_lib.Trace
) -> list[list[figures.Panel]]:
  """Builds panels of headline and bigram KL, above those of the distances.

  Against steps of the run, whatever the trace's batch size.
  """
  headline = run.declaration(name).headline
  words = _held_out(run, name)
  title = headline.with_unit(f"{words}, mean over tasks")
  _, over_tasks = headline.names
  line = figures.line(words, run.metrics[f"{name}/{over_tasks}"])
  rows = [
      [
          _panel(title, line),
          _panel("bigram KL (nats)", _line(run, trace, "bigram_kl")),
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


def _held_out(run: curves.RunRecords, name: str) -> str:
  """Returns the headline of an evaluation in words, without its unit."""
  return f"held-out {run.declaration(name).headline.words}"


def _panel(title: str, line: figures.Line) -> figures.Panel:
  return figures.Panel(title, "", "", [line], height=1.7)


def _line(
    run: curves.RunRecords, trace: trace_lib.Trace, measure: str
) -> figures.Line:
  """A measure against steps of the run."""
  steps = run.first_of_order + trace.examples / run.batch_size
  steps = np.minimum(steps, run.steps)
  return figures.Line("distance", steps, trace.means(measure)[None])
