"""Pages with several sets of runs, and charts that papers have."""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
from typing import Any, NamedTuple

import numpy as np

from zsgen.reports import curves
from zsgen.reports.interactive import (
    curve_data,
    encoding,
    payload,
    task_data,
)
from zsgen.reports.interactive import steps as steps_lib
from zsgen.reports.interactive import subject as subject_lib

# The figure of a set that draws its charts.
CHARTS = "charts"
# Figures of a set that draw metrics of its runs.
_GROUPS = (curve_data.HELDOUT, curve_data.ORDER)


class Line(NamedTuple):
  """A line of a chart: that of one seed.

  Attributes:
    label: lines of one label differ in their seed.
    seed: the seed.
    curve: x, ascending, as its steps.
  """

  label: str
  seed: int
  curve: curves.Curve


class Published(NamedTuple):
  """A figure of a paper.

  Attributes:
    title: names it.
    lines: its curves by label; NaN where a curve is interrupted.
  """

  title: str
  lines: Mapping[str, curves.Curve]


@dataclasses.dataclass(frozen=True)
class Chart:
  """Lines that share axes.

  Attributes:
    name: names its CSV file.
    x: what its x axis shows.
    y: what its y axis shows, with the unit.
    lines: of all seeds.
    published: what a paper has of it, with the same axes.
    is_log: whether its x axis is logarithmic at first.
  """

  name: str
  x: str
  y: str
  lines: Sequence[Line]
  published: Sequence[Published] = ()
  is_log: bool = False


@dataclasses.dataclass(frozen=True)
class Set:
  """Runs that have figures of their own on a page.

  Attributes:
    name: begins the names of its figures: NAME/charts, NAME/heldout, NAME/order.
    charts: the charts of NAME/charts.
    subject: the runs, whose metrics the other figures draw; None for none.
  """

  name: str
  charts: Sequence[Chart]
  subject: subject_lib.Subject | None = None

  def figure(self, group: str) -> str:
    """Returns the name of a figure: `CHARTS` or a group of `curve_data`."""
    return f"{self.name}/{group}"

  @property
  def members(self) -> list[tuple[str, int]]:
    """Labels and seeds, first those of the subject in its sequence."""
    own = self.subject.members if self.subject else ()
    pairs = [(member.label, member.seed) for member in own]
    pairs += [
        (line.label, line.seed) for chart in self.charts for line in chart.lines
    ]
    return list(dict.fromkeys(pairs))

  @property
  def labels(self) -> list[str]:
    """Labels of each chart's own lines and published ones, and of the runs."""
    labels = []
    for chart in self.charts:
      labels += [line.label for line in chart.lines]
      labels += [label for figure in chart.published for label in figure.lines]
    return [*labels, *(label for label, _ in self.members)]


def build(sets: Sequence[Set]) -> payload.Payload:
  """Returns the data of a page; the budget is shared by its sets.

  Args:
    sets: all of it; none for a page without figures.

  Raises:
    InputError: a run or what it was made of is damaged.
  """
  labels = list(dict.fromkeys(label for item in sets for label in item.labels))
  members = [member for item in sets for member in item.members]
  page = _Page(labels, len(sets))
  for item in sets:
    page.add(item)
  values = {
      "reference": "",
      "labels": [encoding.words(label) for label in labels],
      "styles": payload.styles(labels, ""),
      "quantiles": payload.quantiles(label for label, _ in members),
      "members": [
          {"label": labels.index(label), "seed": seed}
          for label, seed in members
      ],
      "examples": [],
      "orders": [],
      **page.values,
      "steps": page.steps.arrays,
  }
  return payload.Payload(values, page.notes)


class _Page:
  """Collects what the sets of a page draw."""

  def __init__(self, labels: Sequence[str], count: int):
    self._numbers = {label: i for i, label in enumerate(labels)}
    self._count = count
    self._member_count = 0
    self.steps = steps_lib.Steps()
    self.notes: list[str] = []
    self.values: dict[str, Any] = {
        "metrics": [],
        "curves": [],
        "differences": [],
        "tasks": {},
    }

  def add(self, item: Set) -> None:
    """Adds the figures of a set."""
    self._add_charts(item)
    if item.subject is not None:
      self._add_metrics(item, item.subject)
      self._add_tasks(item, item.subject)
    self._member_count += len(item.members)

  def _add_charts(self, item: Set) -> None:
    longest = max(
        (
            len(line.curve.steps)
            for chart in item.charts
            for line in chart.lines
        ),
        default=0,
    )
    number = {member: i for i, member in enumerate(item.members)}
    self._add(
        item,
        lambda limit: {
            "metrics": [self._describe(item, chart) for chart in item.charts],
            "curves": [
                {
                    "member": number[line.label, line.seed],
                    "metric": i,
                    **_points(line.curve, self.steps, limit),
                }
                for i, chart in enumerate(item.charts)
                for line in chart.lines
                if limit
            ],
            "differences": [],
        },
        longest,
    )

  def _describe(self, item: Set, chart: Chart) -> dict[str, Any]:
    """Returns a chart as JSON values, with the published lines."""
    return {
        "path": chart.name,
        "label": chart.y,
        "group": item.figure(CHARTS),
        "evaluation": "",
        "headline": False,
        "x": chart.x,
        "log": chart.is_log,
        "published": [
            {
                "title": figure.title,
                "lines": [
                    {
                        "label": self._numbers[label],
                        **_points(curve, self.steps, curve_data.MOST_POINTS),
                    }
                    for label, curve in figure.lines.items()
                ],
            }
            for figure in chart.published
        ],
    }

  def _add_metrics(self, item: Set, subject: subject_lib.Subject) -> None:
    def metrics(limit: int) -> dict[str, Any]:
      """Builds the curves, and names figures as they are named on the page."""
      part = curve_data.build(subject, self.steps, limit, _GROUPS)
      for metric in part["metrics"]:
        metric["group"] = item.figure(metric["group"])
        metric["reference"] = encoding.words(subject.reference)
      for evaluated in (*part["metrics"], *part["differences"]):
        if evaluated["evaluation"]:
          evaluated["evaluation"] = item.figure(evaluated["evaluation"])
      return part

    self._add(item, metrics, curve_data.longest(subject, _GROUPS))

  def _add(
      self, item: Set, part_of: Callable[[int], dict[str, Any]], longest: int
  ) -> None:
    """Adds curves whose members and metrics are counted within their part."""
    budget = payload.CURVES // self._count // 2
    part, count = encoding.fit(
        part_of, min(longest, curve_data.MOST_POINTS), budget, self.steps
    )
    for curve in part["curves"]:
      curve["metric"] += len(self.values["metrics"])
    for name in ("member", "reference"):
      for curve in (*part["curves"], *part["differences"]):
        if name in curve:
          curve[name] += self._member_count
    for name, values in part.items():
      self.values[name] += values
    if count < longest:
      self.notes.append(
          f"{item.name}: figures have at most {count:,} of {longest:,} points"
          " of each curve, evenly spaced. metrics.jsonl of each run has all of"
          " them."
      )

  def _add_tasks(self, item: Set, subject: subject_lib.Subject) -> None:
    budget = payload.TASKS // self._count // max(len(subject.evaluations), 1)
    for name in subject.evaluations:
      total = task_data.count(subject, name)
      if not total:
        continue
      part, count = encoding.fit(
          lambda limit, name=name: task_data.build(
              subject, name, self.steps, limit
          ),
          total,
          budget,
          self.steps,
      )
      for curve in part["curves"]:
        curve["member"] += self._member_count
      self.values["tasks"][item.figure(name)] = part
      if count < total:
        self.notes.append(
            f"{item.name}, {name}: {count:,} of {total:,} tasks are on this"
            " page, evenly spaced. metrics.jsonl of each run has all of them."
        )


def _points(
    curve: curves.Curve, steps: steps_lib.Steps, limit: int
) -> Mapping[str, Any]:
  """Returns a line with six digits in x, too."""
  x = np.array(encoding.numbers(curve.steps), np.float64)
  is_whole = bool((x == np.floor(x)).all())
  x = x.astype(np.int64) if is_whole else x
  return curve_data.points(curves.Curve(x, curve.values), None, steps, limit)
