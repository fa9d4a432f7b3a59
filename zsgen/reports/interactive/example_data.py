"""Held-out examples of a page: texts, values at steps, written answers."""

import pathlib
from typing import Any, NamedTuple

import numpy as np

from zsgen.data import store as store_lib
from zsgen.evals import api
from zsgen.reports import alignment, curves, example_table
from zsgen.reports.interactive import encoding, neighbours
from zsgen.reports.interactive import steps as steps_lib
from zsgen.reports.interactive import subject as subject_lib

# Characters of prompts and of answers; evaluations with their written answers.
_PROMPT, _ANSWER, _WRITTEN = 2000, 600, 20
# Characters of the name of a part.
_TITLE = 120


class Part(NamedTuple):
  """The examples that runs with one store evaluated."""

  evaluation: str
  store: pathlib.Path
  members: dict[int, curves.RunRecords]

  @property
  def run(self) -> curves.RunRecords:
    """The first run."""
    return next(iter(self.members.values()))


def parts(subject: subject_lib.Subject) -> list[Part]:
  """Returns evaluations by store: seeds have other examples."""
  by_key: dict[tuple[str, str], Part] = {}
  for name in subject.evaluations:
    for member, run in subject.runs.items():
      if name in run.config.evaluations:
        # Workdirs may have equal stores.
        key = name, subject.open_store(run.store).fingerprint
        part = by_key.setdefault(key, Part(name, run.store, {}))
        part.members[member] = run
  return list(by_key.values())


def ids_of(part: Part) -> np.ndarray:
  """Returns the rows that any run of a part evaluated, int64 [n]."""
  ids = [run.evaluation(part.evaluation).ids for run in part.members.values()]
  return np.unique(np.concatenate(ids))


def build(
    subject: subject_lib.Subject,
    part: Part,
    steps: steps_lib.Steps,
    limit: int,
) -> dict[str, Any]:
  """Returns examples of an evaluation with what the runs made of them.

  Args:
    subject: what the page shows.
    part: an evaluation and its runs.
    steps: numbers the steps of curves.
    limit: examples, at the most; they are evenly spaced.
  """
  store = subject.open_store(part.store)
  all_ids = ids_of(part)
  ids = all_ids[encoding.spaced(len(all_ids), limit)] if limit else all_ids[:0]
  texts = store.texts(ids)
  nearest = _neighbours(subject, part, store, ids)
  trained = {
      row[0] for item in nearest for rows in item["rows"] for row in rows
  }
  return {
      "title": _title(subject, part),
      "total": len(all_ids),
      "value": _value_words(part),
      "ids": ids.tolist(),
      "tasks": [
          encoding.words(store.tasks[task]) for task in store.task_index[ids]
      ],
      "prompts": [encoding.words(prompt, _PROMPT) for prompt, _ in texts],
      "answers": [encoding.words(answer, _ANSWER) for _, answer in texts],
      "members": [
          _of_member(i, run, part.evaluation, ids, steps)
          for i, run in part.members.items()
      ],
      "neighbours": nearest,
      "trained": neighbours.describe(store, sorted(trained)),
  }


def _title(subject: subject_lib.Subject, part: Part) -> str:
  """Returns the evaluation, with the seeds and labels that tell parts apart."""
  members = [subject.members[i] for i in part.members]
  words = [part.evaluation]
  seeds = {member.seed for member in members}
  if len({member.seed for member in subject.members}) > 1:
    words.append(f"seed {', '.join(map(str, sorted(seeds)))}")
  has_rivals = any(
      i not in part.members
      and subject.members[i].seed in seeds
      and part.evaluation in run.config.evaluations
      for i, run in subject.runs.items()
  )
  if has_rivals:
    words += dict.fromkeys(member.label for member in members)
  return encoding.words(", ".join(words), _TITLE)


def _value_words(part: Part) -> str:
  """Returns what the value of each example is, with the unit."""
  run, name = part.run, part.evaluation
  headline = run.declaration(name).headline
  evaluation = run.evaluation(name)
  curve = run.metrics.get(run.headline(name))
  if curve is not None and alignment.is_mean(curve, evaluation):
    return headline.heading
  return "value of the example"


def _of_member(
    member: int,
    run: curves.RunRecords,
    name: str,
    ids: np.ndarray,
    steps: steps_lib.Steps,
) -> dict[str, Any]:
  """Returns the values and the written answers of a run."""
  evaluation = run.evaluation(name)
  rows = {int(i): row for row, i in enumerate(evaluation.ids)}
  picked = encoding.spaced(len(evaluation.steps), _WRITTEN)
  written = {
      int(step): run.predictions(name, int(step))
      for step in evaluation.steps[picked]
  }
  return {
      "member": member,
      "steps": steps.number(evaluation.steps),
      "values": [
          encoding.numbers(evaluation.losses[:, rows[i]]) if i in rows else None
          for i in ids.tolist()
      ],
      "predictions": {
          step: [
              encoding.words(answers[i], _ANSWER) if i in answers else None
              for i in ids.tolist()
          ]
          for step, answers in written.items()
          if answers
      },
  }


def _neighbours(
    subject: subject_lib.Subject,
    part: Part,
    store: store_lib.Store,
    ids: np.ndarray,
) -> list[dict[str, Any]]:
  """Returns the nearest training examples, by run."""
  compared = ids
  if part.run.declaration(part.evaluation).rows == api.CHOICES and len(ids):
    compared = example_table.examples_of(part.run, store, part.evaluation, ids)
  nearest = []
  for member, run in part.members.items():
    if member in subject.trained:
      order = subject.load_order(member)
      rows = neighbours.build(run, store, order, compared)
      if rows is not None:
        nearest.append({"member": member, **rows})
  return nearest
