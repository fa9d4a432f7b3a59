"""Rooflines of meshes: the least time of a step, by what it is spent on.

They are computed from sizes alone, so that meshes can be compared before
anything is compiled. `FORMULA` is what they count.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from zsgen.core import chips
from zsgen.core import config as config_lib
from zsgen.train import flops, layouts

FORMULA = (
    "seconds: the largest of FLOPs, HBM and links. n: fsdp x context; passes: "
    "3 with remat 'full', otherwise 2; w: bytes of the weights of a tensor "
    "shard in the type of activations, g: of those that are trained; kv: bytes"
    " of keys and values of the whole rows of a chip, x: of its residual "
    "stream, in all blocks; h: of the last hidden states of its rows. FLOPs: "
    "those of all slots (forward, backward, what remat repeats) / chips / "
    "peak. HBM: (2 x (weights + moments) of a chip + passes x w) / bandwidth. "
    "Links: ((passes x w + g) x (n - 1) / n + ((passes + 1) x kv + 2 x h) x "
    "(context - 1) / context + 4 x passes x x x (tensor - 1) / tensor + 2 x "
    "gradients of a chip x (data - 1) / data) / bandwidth"
)


class Work(NamedTuple):
  """What the steps of a config need on any mesh.

  Attributes:
    counted: FLOPs of the model.
    arch: the architecture.
    remat: `config.machine.remat`.
    trained: the number of parameters that are trained.
    frozen: the number of those that stay.
    state_bytes: bytes of parameters and moments that a step replaces.
  """

  counted: flops.Flops
  arch: config_lib.Model
  remat: str
  trained: int
  frozen: int
  state_bytes: int

  @property
  def passes(self) -> int:
    """How often a step passes through the blocks."""
    return 3 if self.remat == "full" else 2

  @property
  def item(self) -> int:
    """Bytes of an activation."""
    return 2 if self.arch.dtype == "bfloat16" else 4


class Roofline(NamedTuple):
  """The least seconds of a step on a mesh.

  Attributes:
    mesh: devices of each axis.
    slots: slots of a step, padding among them.
    tokens: tokens of a step; 0 if they are not known.
    products: seconds of FLOPs.
    memory: seconds of HBM.
    links: seconds of communication.
  """

  mesh: Mapping[str, int]
  slots: float
  tokens: float
  products: float
  memory: float
  links: float

  @property
  def seconds(self) -> float:
    """The least time of a step."""
    return max(self.products, self.memory, self.links)


def estimate(
    work: Work,
    mesh: Mapping[str, int],
    chip: chips.Chip,
    planned: layouts.Layouts,
) -> Roofline:
  """Returns the roofline of the mean step of an order.

  Args:
    work: what steps need.
    mesh: devices of each axis.
    chip: each of the devices.
    planned: the layouts of all steps on this mesh.
  """
  steps = [planned.shapes[index] for index in planned.steps]
  groups = planned.split.groups
  slots = float(np.mean([shape.rows * shape.length for shape in steps]))
  devices = int(np.prod(list(mesh.values())))
  products = np.mean([_flops(work, shape, groups) for shape in steps])
  return Roofline(
      mesh=mesh,
      slots=slots,
      tokens=slots * (1 - planned.padding),
      products=float(products) / devices / chip.flops,
      memory=_memory(work, mesh) / chip.bandwidth,
      links=_received(work, mesh, slots) / chip.links,
  )


def single_shape(shape: layouts.Shape, split: layouts.Split) -> layouts.Layouts:
  """Returns layouts of one step of full rows, for an order that is unknown."""
  rows = np.zeros((1, 1, 1), np.int32)
  return layouts.Layouts((shape,), np.zeros(1, np.int64), rows, split, 0.0)


def _flops(work: Work, shape: layouts.Shape, groups: int) -> float:
  """Returns the FLOPs of a step, over all devices."""
  loss_slots = groups * shape.loss_slots
  lengths = np.full(shape.rows, shape.length)
  head = work.counted.head * loss_slots
  blocks = work.counted.step(lengths, loss_slots) - head
  # Of three equal parts, the forward pass is one.
  return blocks * (4 / 3 if work.remat == "full" else 1) + head


def _memory(work: Work, mesh: Mapping[str, int]) -> float:
  """Returns the bytes that a device reads and writes, at the least."""
  shards = mesh["fsdp"] * mesh["context"] * mesh["tensor"]
  weights = work.item * (work.trained + work.frozen) / mesh["tensor"]
  return 2 * work.state_bytes / shards + work.passes * weights


def _received(work: Work, mesh: Mapping[str, int], slots: float) -> float:
  """Returns the bytes that a device receives, at the least."""
  arch, item, passes = work.arch, work.item, work.passes
  context, tensor, data = mesh["context"], mesh["tensor"], mesh["data"]
  shards = mesh["fsdp"] * context
  trained = item * work.trained / tensor
  weights = trained + item * work.frozen / tensor
  row_slots = slots / (data * mesh["fsdp"])
  key_values = 2 * item * arch.kv_heads * arch.head_width * row_slots / tensor
  # From these, the devices of a row compute equal shares of its logits.
  hidden = item * arch.width * row_slots
  residual = hidden / context
  gradients = 4 * work.trained / shards / tensor
  return (
      (passes * weights + trained) * _remaining(shards)
      + ((passes + 1) * arch.layers * key_values + 2 * hidden)
      * _remaining(context)
      + 4 * arch.layers * passes * residual * _remaining(tensor)
      + 2 * gradients * _remaining(data)
  )


def _remaining(parts: int) -> float:
  """Returns the share of an array that is on the other devices of a group."""
  return (parts - 1) / parts
