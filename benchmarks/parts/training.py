"""Trains models of 1 and 7 billion parameters, and the first one in torch."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks import limits
from benchmarks import steps as steps_lib
from benchmarks.parts import breakdown, models
from benchmarks.parts import task as task_lib
from zsgen.core import chips
from zsgen.core import config as config_lib
from zsgen.train import flops, memory, starts, tracing

_GIB = 2**30
_TRAIN = config_lib.Train(learning_rate=1e-5, final_share=1.0)
_TRACED = 2
# The largest model's: the least memory.
_SAVING = config_lib.Machine(remat="full", logits_chunk=256)


def large(task: task_lib.Task) -> Iterator[task_lib.Row]:
  """Yields steps of full fine-tuning in bfloat16, and where their time goes."""
  for remat in task.sizes.remats:
    config = _config(task.sizes.large, machine=config_lib.Machine(remat=remat))
    case = f"zsgen, remat {remat}"
    try:
      yield from _measure(
          task, case, config, trace=remat == task.sizes.remats[0]
      )
    except Exception as error:  # Such as no memory: the next one may fit.
      yield {"case": case, "failed": limits.describe(error)}


def largest_lora(task: task_lib.Task) -> Iterator[task_lib.Row]:
  """Yields steps of the largest model with adapters on a bfloat16 base."""
  lora = config_lib.Lora(rank=16, base="bfloat16")
  config = _config(task.sizes.largest, lora=lora, machine=_SAVING)
  yield from _measure(task, "zsgen, LoRA of rank 16, remat full", config)


def largest_full(task: task_lib.Task) -> Iterator[task_lib.Row]:
  """Yields steps of full fine-tuning of the largest model."""
  train = config_lib.Train(learning_rate=1e-5, first_moment="bfloat16")
  config = _config(task.sizes.largest, train=train, machine=_SAVING)
  yield from _measure(task, "zsgen, full, bfloat16 moment, remat full", config)


def torch_packed(task: task_lib.Task) -> Iterator[task_lib.Row]:
  """Yields steps of torch on zsgen's rows."""
  steps = _load(task)
  rows = steps_lib.packed_rows(steps)
  yield _torch(task, "torch, zsgen's rows", steps, rows)


def torch_padded(task: task_lib.Task) -> Iterator[task_lib.Row]:
  """Yields steps of torch on rows that are padded to the longest example."""
  steps = _load(task)
  longest = max(int(lengths.max()) for lengths in steps.lengths)
  rows = steps_lib.padded_rows(steps, longest, has_mask=False)
  yield _torch(task, f"torch, padded to {longest:,}", steps, rows)


def _config(fields: task_lib.Fields, **sections: Any) -> config_lib.Config:
  model = models.model_config(fields, "bfloat16")
  return config_lib.Config(model=model, **{"train": _TRAIN, **sections})


def _load(task: task_lib.Task) -> steps_lib.Steps:
  return steps_lib.load(task.paths, task.sizes.batch, task.sizes.steps)


def _measure(
    task: task_lib.Task,
    case: str,
    config: config_lib.Config,
    trace: bool = False,
) -> Iterator[task_lib.Row]:
  """Times steps; yields their row and, with `trace`, that of a trace."""
  steps = _load(task)
  step = steps_lib.OwnStep(config, steps)
  result = steps_lib.timed(step, steps, task.sizes.first)
  batches = steps.packed
  slots = sum(batch.tokens.size for batch in batches) / len(batches)
  used = next(v for k, v in memory.used().items() if k.endswith("peak_bytes"))
  yield {
      "case": case,
      "rate": result["rate"],
      "figures": {
          **_figures(result, steps, step.flops, step.peak),
          "slots": slots,
          "peak GiB": used / _GIB,
      },
  }
  if trace:
    yield {
        "case": f"{case}: ms of a step",
        "figures": _trace(task, step, len(batches)),
    }


def _trace(
    task: task_lib.Task, step: steps_lib.OwnStep, count: int
) -> dict[str, float]:
  """Trains the last steps again; returns the milliseconds per step by group."""
  directory = task.scratch / "traced"
  count = min(_TRACED, count)
  trace = tracing.Trace(directory, (0, count), print)
  trace.begin(0, step.state)
  for number in range(count):
    step(number)
  trace.end(count, step.state)
  programs = [compiled.as_text() or "" for compiled in step.compiled]
  milliseconds = breakdown.summarize(directory / tracing.NAME, programs)
  return {group: value / count for group, value in milliseconds.items()}


def _torch(
    task: task_lib.Task,
    case: str,
    steps: steps_lib.Steps,
    rows: list[steps_lib.Rows],
) -> task_lib.Row:
  """Times the same steps in PyTorch, with autocast to bfloat16."""
  import torch

  config = _config(task.sizes.large)
  model = models.torch_model(config.model, "float32")
  step = steps_lib.TorchStep(model, rows, config.train, "bfloat16")
  result = steps_lib.timed(step, steps, task.sizes.first)
  start = starts.make(config.model, config.seed)
  counted = flops.count_flops(start.arch, start.shapes, {})
  figures = {"parts": step.parts}
  kind = "cpu"
  if torch.cuda.is_available():
    kind = torch.cuda.get_device_name()
    figures["peak GiB"] = torch.cuda.max_memory_allocated() / _GIB
  peak = flops.Peak(chips.find_chip(kind), kind, 1)
  return {
      "case": case,
      "rate": result["rate"],
      "figures": {**_figures(result, steps, counted, peak), **figures},
  }


def _figures(
    result: dict[str, Any],
    steps: steps_lib.Steps,
    counted: flops.Flops,
    peak: flops.Peak,
) -> dict[str, Any]:
  """Returns what zsgen and torch have in common.

  MFU counts the model FLOPs per real token over all steps.
  """
  mfu = peak.mfu(result["rate"] * steps.flops_per_token(counted))
  values = result["losses"]
  return {
      "ms": 1000 * result["seconds"],
      "MFU": "unknown" if mfu is None else f"{mfu:.1%}",
      "MFU formula": peak.describe(counted),
      "real tokens": float(np.mean([x.sum() for x in steps.lengths])),
      "losses": f"{values[0]:.4f} to {values[-1]:.4f}",
  }
