"""Model FLOPs: what a step needs by the model's mathematics, and no more.

A product of [n, a] and [a, b] is 2·n·a·b FLOPs. A step over N real tokens in
segments of l tokens is

  trained kernels   2·N·P forward, 2·N·P for the gradient of what enters and
                    2·N·P for that of the kernel: 6·N·P
  frozen kernels    no gradient of the kernel: 4·N·P
  head              the same, with the number of tokens that carry loss for N
  attention         scores and weighted values are 2·d each for every head and
                    every pair of a query and a key that it sees: 4·H·d forward
                    and twice that backward, as both factors need a gradient:
                    12·H·d a pair, in each block

A segment of l tokens has l·(l + 1) / 2 pairs; where a position sees w tokens,
itself counted, w·(w + 1) / 2 + (l - w)·w if l > w. The head (tied or not, the
vocabulary without its padding) counts only where it is needed: for tokens that
carry loss, a few percent in instruction data. The look-up of embeddings does
not count. Not counted are norms, activations, rotations, softmax and the
optimizer, padding, pairs that are masked, and what remat computes again: this
is the MFU of PaLM (2204.02311, appendix B) with pairs and the head's tokens
counted exactly. With adapters, gradients of what enters the first block's
kernels are counted though nothing below is trained: less than one block's part.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from flax import traverse_util
import numpy as np

from zsgen.core import chips, config

_KERNELS = ("kernel", "lora_a", "lora_b")


class Flops(NamedTuple):
  """What the model FLOPs of a step are counted from.

  Attributes:
    trained: matmul parameters that are trained, without the head's.
    frozen: matmul parameters that stay, without the head's.
    head: FLOPs of the head for a token that carries loss.
    width: H·d, query heads by their width.
    blocks: number of blocks of each window; 0: they see all tokens before.
  """

  trained: int
  frozen: int
  head: int
  width: int
  blocks: Mapping[int, int]

  def step(self, lengths: np.ndarray, loss_tokens: int) -> int:
    """Returns the model FLOPs of an update.

    Args:
      lengths: tokens of each segment, [B]; 0 where there is none.
      loss_tokens: how many of them carry loss.
    """
    lengths = lengths.astype(np.int64)
    kernels = (6 * self.trained + 4 * self.frozen) * int(lengths.sum())
    pair_count = sum(
        count * pairs(lengths, window) for window, count in self.blocks.items()
    )
    return kernels + self.head * loss_tokens + 12 * self.width * pair_count

  def describe(self) -> str:
    """Describes the formula, for messages."""
    weights = f"6 x {self.trained:,} weights"
    if self.frozen:
      weights = f"({weights} + 4 x {self.frozen:,} frozen weights)"
    total = sum(self.blocks.values())
    local = sum(count for window, count in self.blocks.items() if window)
    windows = f" ({local} of them in windows)" if local else ""
    return (
        f"{weights} x real tokens + {self.head:,} x tokens with loss (the head)"
        f" + 12 x {self.width:,} x {total} blocks{windows} x causal pairs"
        " within segments, without recomputation"
    )


def count_flops(
    arch: config.Model, shapes: Mapping[str, Any], frozen: Mapping[str, Any]
) -> Flops:
  """Counts the FLOPs of a model.

  Args:
    arch: its architecture.
    shapes: of the parameters that are trained.
    frozen: of those that are not; {} without adapters.
  """
  blocks: dict[int, int] = {}
  for i in range(arch.layers):
    kind = arch.pattern[i % len(arch.pattern)]
    window = arch.window if kind == "local" else 0
    blocks[window] = blocks.get(window, 0) + 1
  trained, frozen_weights = _weights(shapes, arch), _weights(frozen, arch)
  return Flops(
      trained.body,
      frozen_weights.body,
      6 * trained.head + 4 * frozen_weights.head,
      arch.heads * arch.head_width,
      blocks,
  )


def pairs(lengths: np.ndarray, window: int) -> int:
  """Counts the pairs of a query and a key that it attends to.

  Args:
    lengths: tokens of each segment, int64 [B].
    window: tokens that a position sees, itself counted; 0: all before.
  """
  if window:  # Without those that are further away.
    return pairs(lengths, 0) - pairs(np.maximum(lengths - window, 0), 0)
  return int(lengths @ lengths + lengths.sum()) // 2


class Peak(NamedTuple):
  """What MFU is a share of.

  Attributes:
    chip: of each device; None where the table has none.
    kind: what jax calls the device.
    devices: how many compute a step.
  """

  chip: chips.Chip | None
  kind: str
  devices: int

  def mfu(self, rate: float) -> float | None:
    """Returns a rate, in FLOP/s, as a share of the peak; None if unknown."""
    if self.chip is None:
      return None
    return rate / (self.devices * self.chip.flops)

  def describe(self, counted: Flops) -> str:
    """Describes what MFU means here, or why there is none."""
    if self.chip is None:
      return (
          f"not shown, because the peak FLOP/s of {self.kind!r} is not in"
          " zsgen/core/chips.py"
      )
    return (
        f"({counted.describe()}) / seconds / ({self.devices} x {self.chip.name}"
        f" of {self.chip.flops / 1e12:,.1f} bfloat16 TFLOP/s)"
    )


def peak(devices: np.ndarray) -> Peak:
  """Returns the peak of a mesh's devices, all of one kind."""
  kind = devices.flat[0].device_kind
  return Peak(chips.find_chip(kind), kind, devices.size)


class _Weights(NamedTuple):
  """Numbers of matmul parameters."""

  body: int
  head: int


def _weights(tree: Mapping[str, Any], arch: config.Model) -> _Weights:
  """Counts the matmul parameters of a tree; the head's without padding."""
  body = head = 0
  flat: dict[str, Any] = dict(traverse_util.flatten_dict(dict(tree), sep="/"))
  for path, leaf in flat.items():
    if path == "head/kernel" or (path == "embedding" and arch.tied):
      head += arch.width * arch.vocab_size
    elif path.startswith("head/") and path.endswith(_KERNELS):
      head += leaf.size
    elif path.endswith(_KERNELS):
      body += leaf.size
  return _Weights(body, head)
