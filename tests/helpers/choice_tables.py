"""Tables whose held-out rows have answers to choose from."""

import json
import pathlib
from typing import Any

COLOURS = ("red", "blue", "green", "a very dark shade of orange")


def rows(turned: int = 0) -> list[dict[str, Any]]:
  """Returns rows of two training and two held-out tasks, choices rotated."""
  examples = []
  for i in range(24):
    choices = [COLOURS[(i + j + turned) % 4] for j in range(2 + i % 3)]
    right = sorted(choices)[i % len(choices)]
    examples.append(
        {
            "task": ("sing", "draw", "name", "pick")[i % 4],
            "input": f"Colour {i}?",
            "target": [right, "none"],
            "from": choices,
        }
    )
  return examples


def write(path: pathlib.Path, records: list[dict[str, Any]]) -> pathlib.Path:
  """Writes rows as lines of JSON."""
  path.write_text("\n".join(map(json.dumps, records)))
  return path


def use(config: Any, path: pathlib.Path) -> Any:
  """Makes a config read such a table, and choose."""
  config.data.source = "table"
  config.data.path = str(path)
  config.data.draw = "first"
  config.data.fields.choices = "from"
  config.data.heldout = {"heldout": {"tasks": ("name", "pick")}}
  config.data.heldout_instances = 100
  config.order.arrangement = "random"
  config.order.budget = 8
  config.evals.choosing = {"type": "choice", "every_steps": 1}
  return config
