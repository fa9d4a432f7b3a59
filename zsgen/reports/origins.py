"""Sections of a run's page: what it was made of, and how to check that."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from zsgen.core import config as config_lib
from zsgen.data import choices, suite
from zsgen.data import store as store_lib
from zsgen.orders import order as order_lib
from zsgen.orders import segments
from zsgen.reports import curves, grids, page, source_notes

# Counts of a split, and what they are called.
_COUNTED = {
    "tasks": "tasks",
    "examples": "examples",
    "tokens": "tokens",
    "loss_tokens": "loss tokens",
    "cut": "cut",
    "answer_cut": "in answer",
    "dropped": "dropped",
    "unknown": "unknown",
    "unknown_loss": "in answers",
    "lost_characters": "lost",
    "answer_changed": "changed",
    "answer_lost": "answer lost",
    "border_differs": "border",
    "unanswered": "unanswered",
}
# Columns that are shown only if some value is not 0, and what they mean.
_RARE = {
    "answer_cut": "In answer: cut examples that lost a part of their answer.",
    "unknown": (
        "Unknown: tokens that stand for text for which the tokenizer has no"
        " token."
    ),
    "unknown_loss": "In answers: unknown tokens with a loss.",
    "lost_characters": "Lost: characters of requests that the tokenizer drops.",
    "answer_changed": (
        "Changed: answers whose characters the tokenizer changes,"
        " for example by lowercasing."
    ),
    "answer_lost": (
        "Answer lost: examples left out because the tokenizer drops"
        " characters of their answers."
    ),
    "border_differs": (
        "Border: examples whose ids differ from those of their joined text"
        " (config.data.border)."
    ),
    "unanswered": (
        "Unanswered: examples that have lost their answer, and are kept with a"
        " weight of 0 (config.data.unanswered)."
    ),
}
# Unknown characters that are named.
_MAX_LISTED = 10


def oracle(order: order_lib.Order) -> list[str]:
  """Builds a badge if answers of held-out examples decided the order."""
  picked = np.isfinite(order.distances).any()
  texts = _texts(order.manifest["made_by"])
  if "prompt+answer" not in texts or not picked:
    return []
  return [
      page.badge(
          "oracle",
          "The order was picked by the texts of held-out examples with their"
          " answers, as in the paper. No learner has these:"
          " config.order.text='prompt' leaves them out.",
      )
  ]


def setup(
    run: curves.RunRecords, store: store_lib.Store, order: order_lib.Order
) -> str:
  """Builds the section of the options and fingerprints."""
  default = flatten(config_lib.science(config_lib.Config()))
  rows = [
      [option, _format(value), _format(default.get(option, grids.MISSING))]
      for option, value in flatten(config_lib.science(run.config)).items()
      if value != default.get(option)
  ]
  identifiers = [
      ["suite", store.suite],
      ["seed", str(run.config.seed)],
      ["steps", f"{run.steps} of {run.batch_size} examples"],
      ["store", store.fingerprint],
      ["order", order.fingerprint],
      ["run", str(run.path.name)],
  ]
  if run.fork:
    parent = f"step {run.fork.step} of {run.fork.run.name}"
    identifiers += [
        ["forked from", parent],
        ["identity of that run", run.fork.identity],
    ]
  if isinstance(order, segments.RemadeOrder):
    identifiers += [
        [f"order from step {segment.step} on", segment.fingerprint]
        for segment in order.segments
    ]
  options = grids.Grid(
      "Options that are not at their default",
      ("option", "value", "default"),
      rows,
      words=3,
  )
  identity = grids.Grid("Inputs", ("", ""), identifiers, words=2)
  return page.section(
      "Setup", [grids.to_html(identity), grids.to_html(options)]
  )


def _format(value: Any) -> str:
  """Formats a value; elements of a list are separated by commas."""
  if isinstance(value, list):
    return ", ".join(map(_format, value)) or "none"
  if isinstance(value, Mapping):
    pairs = flatten(value).items()
    return " ".join(
        f"{name}={_format(value_inside)}" for name, value_inside in pairs
    )
  return str(value)


def _texts(recipe: Mapping[str, Any]) -> set[str | None]:
  """The texts that an order and its parts look at."""
  inner = (_texts(part) for part in recipe.get("parts", ()))
  return {recipe["text"]}.union(*inner)


def prepared(store: store_lib.Store) -> str:
  """Builds the section of the store, with what was cut or dropped."""
  notes = source_notes.describe(store.manifest)
  blocks = [grids.to_html(counted(store)), *map(page.text, notes)]
  if store.manifest["dropped_by_task"]:
    lost = grids.to_html(_lost(store))
    blocks.append(page.folded("Tasks that lost examples", [lost]))
  return page.section("The store", blocks)


def counted(store: store_lib.Store) -> grids.Grid:
  """Counts each split's examples and tokens, and what was cut or dropped."""
  counts = store.manifest["counts"]
  labels = {}
  for split in (suite.TRAIN, *store.manifest["heldout"]):
    labels[split] = split
    labels[choices.split_of(split)] = "its choices"
  splits = [split for split in labels if split in counts]
  columns = [
      name
      for name in _COUNTED
      if name not in _RARE or any(counts[s].get(name) for s in splits)
  ]
  rows = [
      [
          labels[split],
          *(grids.number(counts[split].get(c, 0), 0) for c in columns),
      ]
      for split in splits
  ]
  notes = [
      "Loss tokens: those that the loss covers. Cut: examples longer than"
      " config.data.max_length. Dropped: examples without an answer token,"
      " which are not used.",
      *(_RARE[name] for name in columns if _RARE.get(name)),
      _unknown(store),
  ]
  return grids.Grid(
      f"Examples of the suite {store.suite}",
      ("split", *(_COUNTED[name] for name in columns)),
      rows,
      note=" ".join(filter(None, notes)),
  )


def _unknown(store: store_lib.Store) -> str:
  """What the tokenizer does not know, and how much of the loss that is."""
  characters = store.manifest.get("unknown_characters", {})
  if not characters:
    return ""
  listing = ", ".join(
      f"{char!r} (U+{ord(char):04X}) {count:,}x"
      for char, count in list(characters.items())[:_MAX_LISTED]
  )
  counts = store.manifest["counts"].values()
  unknown = sum(split.get("unknown_loss", 0) for split in counts)
  loss = sum(split.get("loss_tokens", 0) for split in counts)
  share = (
      f" They are {unknown / loss:.2%} of the loss tokens." if unknown else ""
  )
  return f"The tokenizer does not know: {listing}.{share}"


def proof(run: curves.RunRecords) -> str:
  """Builds the section on checking that the run trained on its order."""
  return page.section(
      "Proof",
      [
          page.text(
              "consumed.npy holds the ids that the device program returned at"
              " each step. This compares them with the order, and recomputes"
              " the hashes of order and store:"
          ),
          page.command(f"python -m zsgen.orders verify {run.path}"),
      ],
  )


def _lost(store: store_lib.Store) -> grids.Grid:
  """Dropped examples of each task, the most first."""
  dropped = store.manifest["dropped_by_task"]
  sizes = dict(zip(store.tasks, np.bincount(store.task_index), strict=True))
  rows = [
      [
          task,
          grids.number(count, 0),
          grids.number(count / (count + sizes.get(task, 0))),
      ]
      for task, count in sorted(dropped.items(), key=lambda x: (-x[1], x[0]))
  ]
  header = ("task", "dropped", "share")
  return grids.Grid("", header, rows)


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
  """Returns nested options by their dotted names, such as "data.source"."""
  flat = {}
  for key, value in values.items():
    if isinstance(value, Mapping):
      flat |= flatten(value, f"{prefix}{key}.")
    else:
      flat[f"{prefix}{key}"] = value
  return flat
