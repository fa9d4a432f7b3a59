"""Training steps of zsgen, and of transformers and torch, on the same examples.

The benchmarks of training share them.
"""

from collections.abc import Callable, Mapping, Sequence
import contextlib
import pathlib
import time
from typing import Any, NamedTuple

import jax
import numpy as np

from zsgen.core import config as config_lib
from zsgen.core import mesh as mesh_lib
from zsgen.data import store as store_lib
from zsgen.orders import order as order_lib
from zsgen.train import (
    batches,
    flops,
    layout_plan,
    layouts,
    memory,
    optimizer,
    population,
    program,
    starts,
)

# Given the number of a step, trains it and returns its loss.
Step = Callable[[int], float]
# The arrays of a step that torch takes.
Rows = Mapping[str, np.ndarray]


class Steps(NamedTuple):
  """The first steps of an order.

  Attributes:
    examples: what they consume.
    packed: the same, packed as in the training loop.
  """

  examples: list[batches.Examples]
  packed: list[batches.Batch]

  @property
  def lengths(self) -> list[np.ndarray]:
    """The tokens of the examples of each step, without padding."""
    return [
        np.array([len(row.tokens) for row in examples.rows])
        for examples in self.examples
    ]

  def flops_per_token(self, counted: flops.Flops) -> float:
    """Returns the model FLOPs per real token, the mean over all steps."""
    total = sum(
        counted.step(lengths, np.count_nonzero(batch.loss_positions))
        for lengths, batch in zip(self.lengths, self.packed, strict=True)
    )
    return total / sum(int(lengths.sum()) for lengths in self.lengths)


def load(paths: Mapping[str, str], batch_size: int, count: int) -> Steps:
  """Returns the first steps of an order, in the shapes of the whole order.

  Args:
    paths: directories of the `store` and of the `order`.
    batch_size: examples of a step.
    count: the number of steps.
  """
  store = store_lib.open_store(pathlib.Path(paths["store"]))
  ids = order_lib.Order.load(pathlib.Path(paths["order"]), store).ids
  lengths = layouts.Lengths(store.lengths[ids], store.loss_lengths[ids])
  planned = layout_plan.plan([lengths], batch_size, layouts.Split(), limit=2)
  feed = batches.store_feed(store, ids, batch_size)
  examples = [feed(step) for step in range(count)]
  packed = [
      population.lay_out([members], planned, step)
      for step, members in enumerate(examples)
  ]
  return Steps(examples, packed)


class OwnStep:
  """Steps of the program that the training loop runs.

  Every shape is compiled before the first step.

  Args:
    config: model, adapters, optimizer and machine.
    steps: the steps to train.
    device: where to train; by default the first device.
    params: parameters before the first step, on any device; by default those
      that the config asks for.

  Raises:
    InputError: parameters and moments do not fit into the device's memory.
  """

  def __init__(
      self,
      config: config_lib.Config,
      steps: Steps,
      device: Any = None,
      params: Any = None,
  ):
    self._config, self._steps = config, steps
    mesh = mesh_lib.make(config_lib.Mesh(), [device or jax.devices()[0]])
    start = starts.make(config.model, config.seed, config.lora)
    self.program = program.make(config, start, mesh)
    memory.check_room(mesh, self.program.state_bytes)
    shardings = self.program.shardings.params
    if params is None:
      params = start.load(shardings)
    self.state = self.program.init(jax.device_put(params, shardings))
    self.frozen = start.load_frozen(self.program.frozen_shardings)
    self.flops = flops.count_flops(
        start.arch, start.shapes, start.frozen_shapes
    )
    self.peak = flops.peak(mesh.devices)
    self.compiled = [self._compile(number) for number in self._first_steps()]

  def __call__(self, number: int) -> float:
    """Trains a step and returns its loss."""
    self.state, metrics = self.program.step(
        self.state, self.frozen, *self._arguments(number)
    )
    return float(metrics.loss)

  def _arguments(self, number: int) -> tuple[batches.Batch, optimizer.Hyper]:
    train, count = self._config.train, len(self._steps.packed)
    batch = self._steps.packed[number]
    return batch, optimizer.hyper_at(train, number, count)

  def _compile(self, number: int) -> jax.stages.Compiled:
    arguments = self.state, self.frozen, *self._arguments(number)
    return self.program.step.lower(*arguments).compile()

  def _first_steps(self) -> list[int]:
    """Returns the first step of every shape."""
    firsts: dict[Any, int] = {}
    for number, batch in enumerate(self._steps.packed):
      shapes = tuple(array.shape for array in jax.tree.leaves(batch))
      firsts.setdefault(shapes, number)
    return list(firsts.values())


def padded_rows(steps: Steps, length: int, has_mask: bool = True) -> list[Rows]:
  """Returns rows of one example each, padded to `length` tokens.

  Args:
    steps: the steps.
    length: tokens of a row.
    has_mask: whether padding is masked, as in the released code. Padding is at
      the end, where no real token sees it: without a mask, torch can choose a
      faster attention.
  """
  padded = []
  for examples in steps.examples:
    shape = (len(examples.rows), length)
    tokens, real, mask = np.zeros((3, *shape), np.int64)
    for index, row in enumerate(examples.rows):
      size = len(row.tokens)
      tokens[index, :size], mask[index, :size] = row.tokens, row.mask
      real[index, :size] = 1
    arrays = dict(input_ids=tokens, mask=mask)
    padded.append({**arrays, "attention_mask": real} if has_mask else arrays)
  return padded


def packed_rows(steps: Steps) -> list[Rows]:
  """Returns zsgen's rows, with a mask of segments."""
  rows = []
  for batch in steps.packed:
    is_same_segment = batch.segments[:, :, None] == batch.segments[:, None, :]
    is_visible = is_same_segment & np.tri(batch.tokens.shape[1], dtype=bool)
    arrays = dict(
        input_ids=batch.tokens.astype(np.int64),
        position_ids=batch.positions.astype(np.int64),
        attention_mask=is_visible[:, None],
        mask=batch.mask.astype(np.int64),
    )
    rows.append(arrays)
  return rows


class TorchStep:
  """Steps of a model of transformers: AdamW as in `optimizer`, and torch.

  If a GPU is out of memory, the rows of a step are computed in more parts, one
  after the other.

  Args:
    model: float32 parameters on their device.
    rows: the arrays of each step.
    train: the optimizer's options.
    dtype: "bfloat16" computes with autocast.

  Attributes:
    parts: the number of parts.
  """

  def __init__(
      self,
      model: Any,
      rows: Sequence[Rows],
      train: config_lib.Train,
      dtype: str,
  ):
    import torch

    self._model, self._rows, self._clip = model.train(), rows, train.clip
    self._device = next(model.parameters()).device
    self._adam = torch.optim.AdamW(
        model.parameters(),
        lr=train.learning_rate,
        betas=(train.b1, train.b2),
        eps=train.eps,
        weight_decay=0.0,
        fused=True,
    )
    self._dtype = dtype
    self.parts = 1

  def __call__(self, number: int) -> float:
    """Trains a step and returns its loss."""
    import torch

    arrays = {
        name: torch.from_numpy(array).to(self._device)
        for name, array in self._rows[number].items()
    }
    while True:
      try:
        return self._update(arrays)
      except torch.cuda.OutOfMemoryError:
        if self.parts >= len(arrays["input_ids"]):
          raise
      # After the exception has released what it refers to.
      self._adam.zero_grad()
      torch.cuda.empty_cache()
      self.parts *= 2

  def _update(self, arrays: dict[str, Any]) -> float:
    """Updates the parameters, in parts; returns the loss, in nats."""
    import torch

    total = arrays["mask"][:, 1:].sum()
    loss = 0.0
    chunks = [array.chunk(self.parts) for array in arrays.values()]
    for part in zip(*chunks, strict=True):
      part_loss = self._loss(dict(zip(arrays, part, strict=True))) / total
      part_loss.backward()
      loss += part_loss.item()
    torch.nn.utils.clip_grad_norm_(self._model.parameters(), self._clip)
    self._adam.step()
    self._adam.zero_grad()
    return loss

  def _loss(self, batch: dict[str, Any]) -> Any:
    """Returns the sum of the losses of the answers' tokens."""
    import torch

    mask = batch.pop("mask")
    labels = batch["input_ids"].masked_fill(mask == 0, -100)[:, 1:]
    cast: Any = contextlib.nullcontext()
    if self._dtype == "bfloat16":
      cast = torch.autocast(self._device.type, dtype=torch.bfloat16)
    with cast:
      logits = self._model(**batch, use_cache=False).logits
    return torch.nn.functional.cross_entropy(
        logits[:, :-1].float().flatten(0, 1),
        labels.flatten(),
        reduction="sum",
    )


def timed(step: Step, steps: Steps, first: int) -> dict[str, Any]:
  """Trains the steps, one after the other.

  Args:
    step: trains a step.
    steps: the steps.
    first: the number of first steps that are not counted.

  Returns:
    `rate`, the median of the real tokens per second; `seconds`, the median per
    step; `losses`.
  """
  seconds, losses = [], []
  for number in range(len(steps.examples)):
    began = time.perf_counter()
    losses.append(step(number))
    seconds.append(time.perf_counter() - began)
  tokens = np.array([lengths.sum() for lengths in steps.lengths])
  rates = tokens / seconds
  return {
      "rate": float(np.median(rates[first:])),
      "seconds": float(np.median(seconds[first:])),
      "losses": losses,
  }
