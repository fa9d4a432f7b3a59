"""Generates answers greedily, in zsgen and in transformers."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks import generation
from benchmarks.parts import models
from benchmarks.parts import task as task_lib
from zsgen.core import config

# In the scratch directory: the weights of the small model, and zsgen's answers.
_WEIGHTS, _ANSWERS = "generation", "answers.npy"
_SMALL, _LARGE = "10M, float32", "1B, bfloat16"


def zsgen(task: task_lib.Task) -> Iterator[task_lib.Row]:
  """Yields new tokens per second of the large and of a small model."""
  batch, length, new = task.sizes.prompts
  arch = models.model_config(task.sizes.large, "bfloat16")
  result = generation.zsgen_model(arch, _prompts(task, arch), new)
  yield {"model": _LARGE, "case": f"{_LARGE}: zsgen", "rate": result["rate"]}
  directory = task.scratch / _WEIGHTS
  generation.write(directory)
  result = generation.zsgen(directory, batch, length, new)
  np.save(task.scratch / _ANSWERS, np.array(result["answers"]))
  yield {"model": _SMALL, "case": f"{_SMALL}: zsgen", "rate": result["rate"]}


def torch(task: task_lib.Task) -> Iterator[task_lib.Row]:
  """Yields the same of transformers, and how many tokens are equal.

  The large models have different random weights.
  """
  import torch as library
  import transformers

  batch, length, new = task.sizes.prompts
  arch = models.model_config(task.sizes.large, "bfloat16")
  model: Any = models.torch_model(arch, "bfloat16")
  result = generation.torch_model(model, _prompts(task, arch), new)
  case = f"{_LARGE}: transformers"
  yield {"model": _LARGE, "case": case, "rate": result["rate"]}
  model = transformers.AutoModelForCausalLM.from_pretrained(
      task.scratch / _WEIGHTS, dtype=library.float32
  )
  if library.cuda.is_available():
    model = model.cuda()
  tokens = generation.prompts(batch, length)
  result = generation.torch_model(model, tokens, new)
  own_answers = np.load(task.scratch / _ANSWERS)
  equal = float((own_answers == np.array(result["answers"])).mean())
  yield {
      "model": _SMALL,
      "case": f"{_SMALL}: transformers",
      "rate": result["rate"],
      "figures": {"equal tokens": f"{equal:.1%}"},
  }


def _prompts(task: task_lib.Task, arch: config.Model) -> np.ndarray:
  batch, length, _ = task.sizes.prompts
  return generation.prompts(batch, length) % arch.vocab_size
