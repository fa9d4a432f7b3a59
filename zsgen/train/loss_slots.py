"""Which positions of a batch have their logits computed.

Most tokens of instruction data are prompts, which carry no loss. The head runs
only where the next token does: at a fixed number of loss slots in each row
group, which belongs to the shape (`layouts.Shape`).
"""

import numpy as np

from zsgen.core import errors

# The content of an empty slot: the first position of a row group is the first of
# a segment, whose token has no loss.
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
  segment is left out: nothing precedes it. If the positions of a row are split,
  a token counts to the group of the token before it, as the position after that.

  Args:
    slots: int32 [shards x context x parts, K], EMPTY; see `layouts.Split`.
    mask: 1 on loss tokens, [R, T].
    positions: of each token in its segment, [R, T].
    shards: groups of devices that rows are split over.
    context: devices that the positions of a row are split over.

  Raises:
    InputError: a row group has more than K such positions.
  """
  groups, room = slots.shape
  _, length = mask.shape
  parts = groups // (shards * context)
  # Whether the logits of a position are needed.
  lines = np.roll((mask > 0) & (positions > 0), -1, axis=1)
  # Rows r, r + parts, … of a shard are those of a row group.
  lines = lines.reshape(shards, -1, parts, context, length // context)
  lines = lines.transpose(0, 3, 2, 1, 4)
  for row, line in zip(slots, lines.reshape(groups, -1), strict=True):
    indices = np.flatnonzero(line) + 1
    if len(indices) > room:
      raise errors.InputError(
          f"a row group has {len(indices)} positions with loss, more than the"
          f" {room} of its shape: the order and the store do not belong"
          " together."
      )
    row[: len(indices)] = indices
