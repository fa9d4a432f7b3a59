"""Tasks of lm-evaluation-harness."""

import dataclasses
import hashlib
import importlib.metadata
import json
import math
import pathlib
import random
from typing import Any

import numpy as np

from zsgen.core import config, errors, registry, schema
from zsgen.core.schema import option
from zsgen.data import store as store_lib
from zsgen.data import tokenizers
from zsgen.evals import api, harness_model

# The harness's own seeds.
_SEED, _NUMPY_SEED, _FEW_SHOT_SEED = 0, 1234, 1234
# Options of evaluations on a held-out set.
_UNREAD = ("split", "max_examples", "draw")
# What of a sample is kept: not the document and the requests made of it.
_LEFT_OUT = ("doc", "arguments", "resps")


@dataclasses.dataclass(frozen=True)
class HarnessOptions:
  """The options of `harness`."""

  # Names of tasks, or of groups of tasks.
  tasks: tuple[str, ...] = option(())
  # A directory of tasks (YAML files) in addition to the harness's own; "":
  # none.
  task_files: str = option("", kind="local", machine=True)
  # Number of solved examples in a prompt; -1: as each task defines, or none.
  few_shot: int = option(-1, low=-1)
  # Whether prompts are formatted as turns of the tokenizer's chat template.
  chat_template: bool = option(False)
  # Whether BOS is put before a text that does not begin with it. tokenizer: if
  # the tokenizer puts it there; always; never.
  bos: str = option("tokenizer", choices=harness_model.BOS)

  def check(self, location: str) -> None:
    """Raises InputError if there is no task."""
    if not self.tasks:
      raise errors.InputError(
          f"{location}.tasks is empty: name tasks of lm-evaluation-harness, such"
          " as ('arc_easy',)."
      )


@registry.evaluator("harness", options=HarnessOptions)
class Harness(api.Evaluator):
  """Metrics of tasks of lm-evaluation-harness, in their own units.

  The headline is the mean of the first metric of each task, over examples and
  over tasks. The harness's results, with its settings, are the details.

  Raises:
    InputError: an option has no effect.
  """

  declaration = api.Declaration(
      api.Metric("first_metric", "", "higher"),
      figures=(),
      in_training=False,
  )

  def __init__(self, name: str, spec: config.Eval, context: api.Context):
    default = config.Eval()
    for field in _UNREAD:
      if getattr(spec, field) != getattr(default, field):
        raise errors.InputError(
            f"config.evals.{name}.{field} has no effect: tasks of the harness"
            " have their own examples. Leave it out; per_task limits them."
        )
    self.name, self.store = name, context.store
    self.every_steps = spec.every_steps
    self.ids = self.examples = np.zeros(0, np.int64)  # None of the store.
    self.split_size = 0
    self._context = context
    self._options = schema.options_of(spec, HarnessOptions)
    self._limit = spec.per_task if spec.per_task >= 0 else None

  def __call__(self, params: Any) -> api.Evaluation:
    """Evaluates parameters on all tasks."""
    tokenizer = tokenizers.load(self.store.path / store_lib.TOKENIZER)
    options = self._options
    requests = harness_model.Requests(
        params,
        self._context,
        tokenizer,
        harness_model.Settings(options.bos, options.chat_template),
    )
    results = _evaluate(requests, options, self._limit)
    results["settings"] = {
        "lm_eval": _version(),
        "bos": requests.adds_bos,
        "prefix_token_id": requests.prefix_token_id,
        "chat_template": requests.chat_template() or None,
        "max_length": requests.max_length,
        "limit": self._limit,
        "seeds": [_SEED, _NUMPY_SEED, _FEW_SHOT_SEED],
    }
    metrics = self._metrics(results)
    sizes = [size["effective"] for size in results["n-samples"].values()]
    counts = {"tasks": len(sizes), "examples": sum(sizes), "of": sum(sizes)}
    table = _table(self.name, results)
    details = {**results, "counts": counts, "table": table}
    return api.Evaluation(metrics, np.zeros(0, np.float32), details=details)

  @classmethod
  def identity(cls, spec: config.Eval) -> dict[str, Any]:
    """Returns the harness's version, and a digest of the directory of tasks."""
    directory = schema.options_of(spec, HarnessOptions).task_files
    return {
        "lm_eval": _version(),
        **({"task_files": _digest(directory)} if directory else {}),
    }

  def _metrics(self, results: dict[str, Any]) -> dict[str, float]:
    """Returns all metrics by path; the headline first."""
    by_task = {
        task: values
        for task in results["results"]
        if (values := _numbers(results["results"][task]))
    }
    measured = {**by_task}
    for group, values in results.get("groups", {}).items():
      measured[group] = _numbers(values)
    tasks = [task for task in by_task if task in results["n-samples"]]
    scores = [next(iter(by_task[task].values())) for task in tasks]
    sizes = [results["n-samples"][task]["effective"] for task in tasks]
    return {
        f"{self.name}/first_metric": float(np.average(scores, weights=sizes)),
        f"{self.name}/task_mean_first_metric": float(np.mean(scores)),
        **{
            f"{self.name}/{task}/first_metric": float(score)
            for task, score in zip(tasks, scores, strict=True)
        },
        **{
            f"{self.name}/{task}/{metric}": value
            for task, values in measured.items()
            for metric, value in values.items()
        },
    }


def _evaluate(
    requests: harness_model.Requests, options: HarnessOptions, limit: int | None
) -> dict[str, Any]:
  """Runs the harness; returns its results as JSON values.

  Raises:
    InputError: the harness is missing, or does not know or cannot load a task.
  """
  try:
    from lm_eval import evaluator  # pyright: ignore[reportMissingImports]
    from lm_eval import tasks as tasks_lib  # pyright: ignore[reportMissingImports]
    from lm_eval.api import model  # pyright: ignore[reportMissingImports]
  except ImportError as error:
    raise errors.InputError(
        "type='harness' needs lm-evaluation-harness: pip install"
        " 'zsgen[harness]'."
    ) from error

  class Model(harness_model.Requests, model.LM):
    """The class that the harness asks for."""

    def __init__(self):
      model.LM.__init__(self)
      self.__dict__.update(vars(requests))

  random.seed(_SEED)
  np.random.seed(_NUMPY_SEED)
  try:
    manager = tasks_lib.TaskManager(include_path=options.task_files or None)
    loaded = manager.load(list(options.tasks))
  except Exception as error:  # Of YAML, the hub, or a task's own code.
    raise errors.InputError(
        f"lm-evaluation-harness cannot load {', '.join(options.tasks)}"
        f" ({type(error).__name__}: {error}). Check the names (`lm-eval ls"
        " tasks`), config.evals.NAME.task_files, and that their data is there."
    ) from error
  for task in loaded["tasks"].values():
    if options.few_shot >= 0:
      task.set_config(key="num_fewshot", value=options.few_shot)
    elif task.get_config("num_fewshot") is None:
      task.set_config(key="num_fewshot", value=0)
    task.set_fewshot_seed(seed=_FEW_SHOT_SEED)
  results = evaluator.evaluate(
      lm=Model(),
      task_dict=loaded,
      limit=limit,
      apply_chat_template=options.chat_template,
      fewshot_as_multiturn=options.chat_template,
  )
  for samples in results["samples"].values():
    for sample in samples:
      for key in _LEFT_OUT:
        sample.pop(key, None)
  return _plain(json.loads(json.dumps(results, default=str)))


def _plain(value: Any) -> Any:
  """Returns JSON values in which numbers that are not finite are text."""
  if isinstance(value, dict):
    return {key: _plain(item) for key, item in value.items()}
  if isinstance(value, list):
    return [_plain(item) for item in value]
  if isinstance(value, float) and not math.isfinite(value):
    return str(value)
  return value


def _numbers(values: dict[str, Any]) -> dict[str, float]:
  """Returns metrics without their errors, by name: "acc", "acc,FILTER"."""
  return {
      key.removesuffix(",none"): float(value)
      for key, value in values.items()
      if "," in key
      and "_stderr," not in key
      and isinstance(value, (int, float))
  }


def _table(name: str, results: dict[str, Any]) -> dict[str, Any]:
  """Returns the table of all metrics, as text."""
  rows = []
  for task, values in results["results"].items():
    for metric, value in _numbers(values).items():
      stem, _, kind = metric.partition(",")
      error = values.get(f"{stem}_stderr,{kind or 'none'}")
      is_known = isinstance(error, (int, float))
      samples = results["n-samples"].get(task, {}).get("effective", "")
      shots = results["n-shot"].get(task, "")
      rows.append(
          [
              *(task, metric, f"{value:.4f}"),
              f"{error:.4f}" if is_known else "",
              *map(str, (shots, samples)),
          ]
      )
  settings = results["settings"]
  template = "the tokenizer's" if settings["chat_template"] else "none"
  return {
      "title": f"{name}: lm-evaluation-harness {settings['lm_eval']}",
      "header": ["task", "metric", "value", "stderr", "shots", "examples"],
      "rows": rows,
      "words": 2,
      "note": (
          f"BOS before texts: {'yes' if settings['bos'] else 'no'}; chat"
          f" template: {template}. Units are those of the tasks."
      ),
  }


def _version() -> str:
  """Returns the harness's version, or "missing"."""
  try:
    return importlib.metadata.version("lm_eval")
  except importlib.metadata.PackageNotFoundError:
    return "missing"


def _digest(directory: str) -> str:
  """Returns the SHA-256 of all files of a directory of tasks."""
  root = pathlib.Path(directory).expanduser()
  if not root.is_dir():
    raise errors.InputError(
        f"config.evals.NAME.task_files: {directory} is not a directory. Give"
        " one with YAML files of tasks."
    )
  sha = hashlib.sha256()
  for path in sorted(item for item in root.rglob("*") if item.is_file()):
    if "__pycache__" in path.parts:
      continue
    content = path.read_bytes()
    sha.update(f"{path.relative_to(root)} {len(content)}\n".encode())
    sha.update(content)
  return sha.hexdigest()
