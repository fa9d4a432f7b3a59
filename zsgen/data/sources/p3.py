"""P3, the prompted data sets of T0.

Rows have `inputs_pretokenized` and `targets_pretokenized`, and some of them
`answer_choices`, in any format of files.py, including directories that
`datasets` saved. A task is a prompt template of a data set: the row's `task`,
otherwise the file's directory, otherwise the file's name. The split is the one
that files are named after (train, heldout, validation, test), otherwise that
of T0 (2110.08207): data sets it was trained on, and those it was evaluated on.
"""

import functools
import pathlib
from typing import Any

from zsgen.core import registry
from zsgen.data import suite
from zsgen.data.sources import (
    catalog,
    file_reader,
    files,
    options,
    records,
    split_names,
)

HELDOUT = "heldout"
INPUT, TARGET = "inputs_pretokenized", "targets_pretokenized"
CHOICES = "answer_choices"
# Data sets of T0's training mixture, as tasks' names begin.
TRAINED = (
    "adversarial_qa",
    "ag_news",
    "amazon_polarity",
    "app_reviews",
    "cnn_dailymail",
    "common_gen",
    "commonsense_qa",
    "cos_e",
    "cosmos_qa",
    "dbpedia_14",
    "dream",
    "duorc",
    "gigaword",
    "glue_mrpc",
    "glue_qqp",
    "imdb",
    "kilt_tasks_hotpotqa",
    "multi_news",
    "paws",
    "qasc",
    "quail",
    "quarel",
    "quartz",
    "quoref",
    "ropes",
    "rotten_tomatoes",
    "samsum",
    "sciq",
    "social_i_qa",
    "trec",
    "wiki_bio",
    "wiki_hop",
    "wiki_qa",
    "wiqa",
    "xsum",
    "yelp_review_full",
)
# Data sets that T0 was evaluated on.
EVALUATED = (
    "anli",
    "hellaswag",
    "story_cloze",
    "super_glue_cb",
    "super_glue_copa",
    "super_glue_rte",
    "super_glue_wic",
    "super_glue_wsc",
    "winogrande",
)


@registry.source("p3", options=options.Files)
def p3(data: options.Files, seed: int, scratch: pathlib.Path) -> catalog.Corpus:
  """Returns P3, not scanned yet; tasks in the order in which they occur.

  Args:
    data: `path` names the files. Texts are stripped, as the released code of
      2406.11721 does.
    seed: draws the instances.
    scratch: a directory for copies of files that cannot be read in place.

  Returns:
    The corpus. Tasks of neither list are in no split of their own.

  Raises:
    InputError: no such file.
  """
  listing = files.find(data.path, scratch, names_are_tasks=True)
  fields = ("task", INPUT, TARGET, CHOICES)
  reader = file_reader.FileReader(listing, example, fields, "task")
  return catalog.Corpus("p3", reader, data, seed)


def example(row: Any, origin: file_reader.Origin) -> suite.Example:
  """Converts a row into an example; its category is T0's data set.

  Raises:
    InputError: a field is missing, no text, or empty; or choices of which
      none is the answer.
  """
  task = _task(row, origin)
  known = _prefix(task, TRAINED), _prefix(task, EVALUATED)
  split = suite.TRAIN if known[0] else HELDOUT if known[1] else ""
  file_split = origin.file.split
  # The parts of a template do not tell how T0 used it, except that T0 was
  # trained on its training part only.
  is_other = file_split not in ("", suite.TRAIN) and split != HELDOUT
  if file_split and (is_other or not origin.file.folder):
    split = file_split
  question = records.text(row, INPUT, origin.location).strip()
  answer = records.text(row, TARGET, origin.location).strip()
  return suite.Example(
      task=task,
      category=max(known),
      split=split,
      definition="",
      input=question,
      targets=(answer,),
      key=origin.key,
      choices=_choices(row, answer, origin.location),
  )


def _choices(row: dict, answer: str, location: str) -> tuple[str, ...]:
  """Returns the answers to choose from; () if the template has none."""
  if row.get(CHOICES) is None:
    return ()
  texts = records.choices(row, CHOICES, location)
  stripped = tuple(text.strip() for text in texts)
  return records.choose(stripped, (answer,), location, CHOICES)


def _task(row: Any, origin: file_reader.Origin) -> str:
  """Returns the template that made the row."""
  file = origin.file
  has_task = isinstance(row, dict) and "task" in row
  name = file.folder or split_names.strip_split(file.name, bool(file.split))
  if has_task or not name:
    return records.text(row, "task", origin.location)
  return name


@functools.cache
def _prefix(task: str, known: tuple[str, ...]) -> str:
  """Returns the data set that a task's name begins with; "" if unknown."""
  for name in known:
    if task == name or task.startswith((f"{name}_", f"{name}.", f"{name}-")):
      return name
  return ""
