"""All data of a page, within its budget, and what the page lacks of the runs."""

import collections
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from zsgen.reports import figures, measures
from zsgen.reports.interactive import (
    config_data,
    curve_data,
    encoding,
    example_data,
    order_data,
    task_data,
)
from zsgen.reports.interactive import steps as steps_lib
from zsgen.reports.interactive import subject as subject_lib

# Bytes of each part. Together with the scripts and the tables, a page has less
# than 3 MB.
CURVES, TASKS, EXAMPLES, ORDERS = 900_000, 600_000, 800_000, 150_000
# Examples of an evaluation, at the most.
_MOST_EXAMPLES = 200


class Payload(NamedTuple):
  """The data of a page.

  Attributes:
    values: JSON values.
    notes: what is not on the page, and where it is.
  """

  values: dict[str, Any]
  notes: list[str]


def build(subject: subject_lib.Subject) -> Payload:
  """Returns the data of a page.

  Raises:
    InputError: a run or what it was made of is damaged.
  """
  steps = steps_lib.Steps()
  notes: list[str] = []
  values = {
      "reference": encoding.words(subject.reference),
      "labels": [encoding.words(label) for label in subject.labels],
      "styles": styles(subject.labels, subject.reference),
      "quantiles": quantiles(member.label for member in subject.members),
      "members": _members(subject),
      **_curves(subject, steps, notes),
      "tasks": _tasks(subject, steps, notes),
      "examples": _examples(subject, steps, notes),
      "orders": _orders(subject, steps, notes),
  }
  return Payload({**values, "steps": steps.arrays}, notes)


def quantiles(labels: Iterable[str]) -> list[float]:
  """Returns the quantiles of 95% intervals, by the number of seeds.

  Args:
    labels: of all members; a label has one for each of its seeds.
  """
  most_seeds = max(collections.Counter(labels).values(), default=0)
  return [0, 0, *map(measures.quantile, range(2, most_seeds + 1))]


def styles(labels: Sequence[str], reference: str) -> list[dict[str, Any]]:
  """Returns colours and dashes of the labels; None is the colour of the text."""
  return [
      {
          "color": None if style.color == figures.INK else style.color,
          "dash": list(style.dash),
      }
      for style in figures.styles(labels, reference).values()
  ]


def _members(subject: subject_lib.Subject) -> list[dict[str, Any]]:
  """Returns labels, seeds and names, and the options that differ."""
  options = config_data.build(subject)
  return [
      {
          "label": subject.labels.index(member.label),
          "seed": member.seed,
          "run": encoding.words(member.run.path.name),
          "options": options.get(i),
      }
      for i, member in enumerate(subject.members)
  ]


def _curves(
    subject: subject_lib.Subject, steps: steps_lib.Steps, notes: list[str]
) -> dict[str, Any]:
  longest = curve_data.longest(subject)
  limit = min(longest, curve_data.MOST_POINTS)
  part, points = encoding.fit(
      lambda count: curve_data.build(subject, steps, count),
      limit,
      CURVES,
      steps,
  )
  if points < longest:
    notes.append(
        f"Figures have at most {points:,} of {longest:,} points of each curve,"
        " evenly spaced. metrics.jsonl of each run has all of them."
    )
  return part


def _tasks(
    subject: subject_lib.Subject, steps: steps_lib.Steps, notes: list[str]
) -> dict[str, Any]:
  parts = {}
  for name in subject.evaluations:
    total = task_data.count(subject, name)
    if not total:
      continue
    parts[name], count = encoding.fit(
        lambda limit, name=name: task_data.build(subject, name, steps, limit),
        total,
        TASKS // len(subject.evaluations),
        steps,
    )
    if count < total:
      notes.append(
          f"{name}: {count:,} of {total:,} tasks are on this page, evenly"
          " spaced. metrics.jsonl of each run has all of them."
      )
  return parts


def _examples(
    subject: subject_lib.Subject, steps: steps_lib.Steps, notes: list[str]
) -> list[dict[str, Any]]:
  parts = []
  all_parts = example_data.parts(subject)
  for item in all_parts:
    total = len(example_data.ids_of(item))
    part, count = encoding.fit(
        lambda limit, item=item: example_data.build(
            subject, item, steps, limit
        ),
        min(total, _MOST_EXAMPLES),
        EXAMPLES // len(all_parts),
        steps,
    )
    parts += [part] if count else []
    if count < total:
      notes.append(
          f"{part['title']}: {count:,} of {total:,} examples are on this page,"
          f" evenly spaced. `zsgen.load_run(RUN).evaluation({item.evaluation!r})`"
          " returns all of them."
      )
  return parts


def _orders(
    subject: subject_lib.Subject, steps: steps_lib.Steps, notes: list[str]
) -> list[dict[str, Any]]:
  total = order_data.count(subject)
  parts, count = encoding.fit(
      lambda limit: order_data.build(subject, limit), total, ORDERS, steps
  )
  if count < total:
    notes.append(
        f"Tasks along the order are shown for {count:,} of {total:,} orders."
        " order.parquet of each order has them."
    )
  return parts
