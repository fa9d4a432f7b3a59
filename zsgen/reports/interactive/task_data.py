"""Curves of the tasks of each evaluation."""

from typing import Any

from zsgen.reports import results
from zsgen.reports.interactive import encoding
from zsgen.reports.interactive import steps as steps_lib
from zsgen.reports.interactive import subject as subject_lib


def count(subject: subject_lib.Subject, name: str) -> int:
  """Returns the number of tasks of an evaluation that have curves."""
  return len(_names(subject, name))


def build(
    subject: subject_lib.Subject, name: str, steps: steps_lib.Steps, limit: int
) -> dict[str, Any]:
  """Returns the tasks of an evaluation, with the curves of each run.

  Args:
    subject: what the page shows.
    name: the evaluation.
    steps: numbers the steps of curves.
    limit: tasks, at the most; they are evenly spaced.

  Returns:
    `total`, the number of all tasks; `names` and `counts` (of examples) of those
    on the page; `better`; and `curves`, a row of values for each of them or None.
  """
  names = _names(subject, name)
  selected = [names[i] for i in encoding.spaced(len(names), limit)]
  by_member = []
  for member, run in subject.runs.items():
    if name not in run.config.evaluations:
      continue
    by_task = run.tasks(name)
    selected_curves = [by_task[task] for task in selected if task in by_task]
    # All tasks of a run are evaluated at the same steps.
    if selected_curves:
      rows = [
          encoding.numbers(by_task[task].values) if task in by_task else None
          for task in selected
      ]
      number = steps.number(selected_curves[0].steps)
      by_member.append({"member": member, "steps": number, "values": rows})
  return {
      "total": len(names),
      "better": _better(subject, name),
      "names": [encoding.words(task) for task in selected],
      "counts": _counts(subject, name, selected),
      "curves": by_member,
  }


def _names(subject: subject_lib.Subject, name: str) -> list[str]:
  """Returns the tasks of an evaluation that any run has curves of."""
  return list(
      dict.fromkeys(
          task
          for run in subject.runs.values()
          if name in run.config.evaluations
          and "tasks" in run.declaration(name).figures
          for task in run.tasks(name)
      )
  )


def _better(subject: subject_lib.Subject, name: str) -> str:
  """Returns whether lower or higher is better."""
  return next(
      run.declaration(name).headline.better
      for run in subject.runs.values()
      if name in run.config.evaluations
  )


def _counts(
    subject: subject_lib.Subject, name: str, tasks: list[str]
) -> list[int]:
  """Returns the examples of each task, in the first run that has them."""
  counts: dict[str, int] = {}
  for run in subject.runs.values():
    if name in run.config.evaluations and not counts.keys() >= set(tasks):
      store = subject.open_store(run.store)
      by_task = results.examples_by_task(run, store, name)
      pairs = zip(store.tasks, by_task.tolist(), strict=True)
      counts = {task: number for task, number in pairs if number} | counts
  return [counts.get(task, 0) for task in tasks]
