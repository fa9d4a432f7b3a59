"""Which positions of a batch have their logits computed.

Most tokens of instruction data are prompts, which carry no loss. The head runs
only where the next token does: at a fixed number of loss slots in each row
group, which belongs to the shape (`layouts.Shape`).
"""

import numpy as np

from zsgen.core import errors

# The content of an empty slot: the first position of a row group is the first
# of a segment, whose token has no loss.
EMPTY = 0


def fill(
    slots: np.ndarray,
    mask: np.ndarray,
    positions: np.ndarray,
    shards: int,
    context: int = 1,
) -> None:
  """Writes the positions of the tokens with loss into the slots, ascending.

  A position is numbered along the rows of its row group. The first token of a
  segment is left out: nothing precedes it. If the positions of rows are split,
  each device of a row group has a share of its loss positions; all shares but
  the last ones have the same number.

  Args:
    slots: int32 [shards x context x parts, K], EMPTY; see `layouts.Split`.
    mask: 1 on loss tokens, [R, T].
    positions: of each token in its segment, [R, T].
    shards: groups of devices that rows are split over.
    context: devices that the positions of a row are split over.

  Raises:
    InputError: a row group has more than K x context such positions.
  """
  groups, room = slots.shape
  parts = groups // (shards * context)
  shares = slots.reshape(shards, context, parts, room)
  has_loss = (mask > 0) & (positions > 0)
  # Rows r, r + parts, … of a shard are those of a row group.
  lines = has_loss.reshape(shards, -1, parts, mask.shape[1]).swapaxes(1, 2)
  for shard, part in np.ndindex(shards, parts):
    indices = np.flatnonzero(lines[shard, part])
    if len(indices) > room * context:
      raise errors.InputError(
          f"a row group has {len(indices)} positions with loss, more than the"
          f" {room * context} of its shape: the order and the store do not"
          " belong together."
      )
    size = -(-len(indices) // context)
    for share in range(context):
      own = indices[share * size : (share + 1) * size]
      shares[shard, share, part, : len(own)] = own
