"""Evaluations that share prompts, compared with packed whole examples.

  python -m benchmarks.evaluation --path=NIV2_CLONE

The data are held-out tasks of Natural Instructions, 5 examples each, with the
definition and two solved examples, in at most 2,048 bytes; the model is the
embedded base.

  loss      the evaluation of the examples
  choice    4 answers to choose from for each example: its own, and three of other
            examples, of the same task if there are enough
  generate  greedy answers of 32 tokens to the prompts of the examples; the
            answers of both forms must be equal

Both forms run in one process and take turns. The first run of each, which
compiles, is not counted; the least of the others is. On a machine that is not
idle, compare the CPU seconds. Slots are tokens with padding.
"""

import argparse
import json
import pathlib
import tempfile
import time
from typing import Any
from unittest import mock

import jax
import numpy as np
import rich.console
import rich.table

from benchmarks import peers as peers_lib
from zsgen import pipeline
from zsgen.core import config as config_lib
from zsgen.core import mesh as mesh_lib
from zsgen.data import store as store_lib
from zsgen.evals import api, choice, generate, loss, packed, subsets
from zsgen.models import model as model_lib
from zsgen.train import starts

_BATCH, _CHOICES, _LENGTH, _NEW = 16, 4, 2048, 32
_HEADER = (
    "evaluation",
    "rows of the store",
    "form",
    "tokens (ratio)",
    "slots (ratio)",
    "seconds (ratio)",
    "CPU seconds (ratio)",
)


def prepare(path: str, workdir: pathlib.Path) -> dict[str, str]:
  """Makes the stores of both evaluations."""
  config = config_lib.defaults()
  config.data.update(
      source="niv2",
      path=path,
      prompt="niv2",
      train_instances=1,
      heldout_instances=5,
      max_length=_LENGTH,
  )
  first = pipeline.run(config, workdir / "loss", ["prepare"]).store
  rows = workdir / "choices.jsonl"
  # One task is to be trained on.
  _, *heldout = _write_choices(store_lib.open_store(first), rows)
  config = config_lib.defaults()
  config.data.update(
      source="table",
      path=str(rows),
      fields={"choices": "from"},
      heldout={"heldout": {"tasks": tuple(heldout)}},
      heldout_instances=5,
      max_length=_LENGTH,
  )
  second = pipeline.run(config, workdir / "choice", ["prepare"]).store
  return {"loss": str(first), "choice": str(second), "generate": str(first)}


def _write_choices(store: store_lib.Store, path: pathlib.Path) -> list[str]:
  """Writes the held-out examples with answers to choose from.

  Returns:
    The names of the tasks.
  """
  ids = store.split_ids("heldout")
  texts = store.texts(ids)
  tasks = store.task_index[ids]
  with path.open("w") as lines:
    for task, (prompt, answer) in zip(tasks, texts, strict=True):
      # Stable: answers of the same task come first.
      nearest = np.argsort(tasks != task, kind="stable")
      answers = dict.fromkeys([answer, *(texts[i][1] for i in nearest)])
      row = {
          "task": store.tasks[task],
          "input": prompt,
          "target": answer,
          "from": list(answers)[:_CHOICES],
      }
      lines.write(json.dumps(row) + "\n")
  return [store.tasks[task] for task in np.unique(tasks)]


def measure(
    paths: dict[str, str], name: str, tasks: int, count: int
) -> dict[str, Any]:
  """Measures `count` runs of each form."""
  store = store_lib.open_store(pathlib.Path(paths[name]))
  start = starts.make(config_lib.Model(), seed=0)
  mesh = mesh_lib.make(config_lib.Mesh())
  model = model_lib.Model.from_config(start.arch)
  replicated = mesh_lib.replicated(mesh)
  params = start.load(jax.tree.map(lambda _: replicated, start.shapes))
  context = api.Context(store, model, mesh, _BATCH)
  if name == "generate":
    return measure_generation(context, params, tasks, count)
  ids, reduce = _rows(store, name, tasks)
  forms = {
      "whole": packed.Packed(ids, reduce, context, share=False),
      "shared": packed.Packed(ids, reduce, context),
  }
  values, times = _take_turns(forms, params, count)
  np.testing.assert_allclose(values["shared"], values["whole"], rtol=1e-5)
  return {
      "rows": len(ids),
      "tokens": {
          form: evaluate.rows.tokens for form, evaluate in forms.items()
      },
      "slots": {form: _slots(evaluate) for form, evaluate in forms.items()},
      **times,
  }


def _take_turns(
    forms: dict[str, Any], params: Any, count: int
) -> tuple[dict[str, Any], dict[str, dict[str, float]]]:
  """Runs both forms in turn; returns their values and their least times."""
  seconds, cpu, values = {}, {}, {}
  for _ in range(count + 1):
    for form, evaluate in forms.items():
      wall, used = time.perf_counter(), time.process_time()
      values[form] = evaluate(params)
      seconds.setdefault(form, []).append(time.perf_counter() - wall)
      cpu.setdefault(form, []).append(time.process_time() - used)
  return values, {
      "seconds": {form: min(times[1:]) for form, times in seconds.items()},
      "cpu": {form: min(times[1:]) for form, times in cpu.items()},
  }


def measure_generation(
    context: api.Context, params: Any, tasks: int, count: int
) -> dict[str, Any]:
  """Measures `count` runs of each form of generation."""
  spec = config_lib.build(config_lib.Eval, type="generate", max_new_tokens=_NEW)
  ids, _ = _rows(context.store, "loss", tasks)
  # Evaluators have no option for tasks.
  with mock.patch.object(subsets, "select", lambda *_: (ids, len(ids))):
    evaluators = {
        form: generate.Generate("generate", spec, context, form == "shared")
        for form in ("whole", "shared")
    }
  values, times = _take_turns(evaluators, params, count)
  answers = {
      form: [item["prediction"] for item in evaluation.predictions]
      for form, evaluation in values.items()
  }
  assert answers["whole"] == answers["shared"]
  counts = {
      form: [_count(arrays[0]) for _, arrays in evaluator._batches]
      for form, evaluator in evaluators.items()
  }
  return {
      "rows": len(evaluators["whole"].ids),
      "tokens": {
          form: sum(n for n, _ in sums) for form, sums in counts.items()
      },
      "slots": {form: sum(n for _, n in sums) for form, sums in counts.items()},
      **times,
  }


def _count(prompts: Any) -> tuple[int, int]:
  """Returns the tokens that are read of a batch of prompts, and the slots."""
  tokens = getattr(prompts, "tokens", prompts)
  return int(np.count_nonzero(tokens)), tokens.size


def _rows(
    store: store_lib.Store, name: str, count: int
) -> tuple[np.ndarray, packed.Reduce]:
  """Returns the rows of some tasks, and what is computed of them."""
  if name == "loss":
    ids, reduce = store.split_ids("heldout"), loss.example_losses
  else:
    ids, reduce = store.choices("heldout").rows, choice.answer_sums
  tasks = store.task_index[ids]
  names = np.unique(tasks)
  picked = names[
      np.linspace(0, len(names) - 1, min(count, len(names))).round().astype(int)
  ]
  return ids[np.isin(tasks, picked)], reduce


def _slots(evaluate: packed.Packed) -> int:
  rows, length = evaluate.rows.size
  return rows * length * len(evaluate.rows.slots(rows, length))


def main() -> None:
  """Measures and prints the table."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--path", required=True, help="Natural Instructions.")
  parser.add_argument("--evaluations", default="loss,choice")
  parser.add_argument("--tasks", type=int, default=119)
  parser.add_argument("--runs", type=int, default=2)
  parser.add_argument(
      "--workdir", default="", help="Directory to keep the files."
  )
  args = parser.parse_args()
  console = rich.console.Console(width=120)
  table = rich.table.Table(*_HEADER)
  with tempfile.TemporaryDirectory() as scratch:
    workdir = pathlib.Path(args.workdir or scratch).absolute()
    paths = prepare(args.path, workdir)
    for name in args.evaluations.split(","):
      result = peers_lib.measure(measure, paths, name, args.tasks, args.runs)
      console.print(result)
      _add_rows(table, name, result)
  console.print(table)


def _add_rows(table: rich.table.Table, name: str, result: dict) -> None:
  """Adds a row for each form."""
  if "failed" in result:
    table.add_row(name, result["failed"])
    return
  for form in result["tokens"]:
    cells = [
        f"{result[key][form]:,.{digits}f}"
        f" ({result[key][form] / result[key]['whole']:.2f})"
        for key, digits in (
            ("tokens", 0),
            ("slots", 0),
            ("seconds", 1),
            ("cpu", 1),
        )
    ]
    table.add_row(name, str(result["rows"]), form, *cells)


if __name__ == "__main__":
  main()
