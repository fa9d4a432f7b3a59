"""Examples as tokens and as text.

  <bos> x <to> y <in> z <out> target <eos>

in the ids of the tokenizer `rewrites`. As text the rule is the instruction,
`x -> y`, and z the input.
"""

import numpy as np

from zsgen.rewrites import tokenizer as ids
from zsgen.rewrites.source import examples


def tokens(block: examples.Block) -> tuple[np.ndarray, np.ndarray]:
  """Builds the rows of a block, as `prepare` writes them.

  Returns:
    uint8 [n, 5 + |x| + |y| + |z| + longest target], padded with `ids.PAD`,
    and the tokens of each row, int64 [n].
  """
  count, longest = block.target.shape
  inside = np.arange(longest + 1)
  lengths = block.lengths[:, None]
  ended = np.pad(block.target + np.uint8(ids.FIRST), ((0, 0), (0, 1)))
  ended = np.where(inside < lengths, ended, np.uint8(ids.PAD))
  ended[np.arange(count), block.lengths] = ids.EOS

  def mark(token: int) -> np.ndarray:
    """Returns a column of a token, uint8 [n, 1]."""
    return np.full((count, 1), token, np.uint8)

  x, y, z = (part + np.uint8(ids.FIRST) for part in (block.x, block.y, block.z))
  parts = [mark(ids.BOS), x, mark(ids.TO), y, mark(ids.IN), z, mark(ids.OUT)]
  prompt = sum(part.shape[1] for part in parts)
  return np.concatenate([*parts, ended], axis=1), prompt + block.lengths + 1


def texts(letters: np.ndarray) -> list[str]:
  """Converts letters 0 … 25, uint8 [n, length], to strings; length >= 1."""
  written = np.ascontiguousarray(letters + np.uint8(ord("a")))
  return written.view(f"S{letters.shape[1]}")[:, 0].astype(str).tolist()


def targets(block: examples.Block) -> list[str]:
  """Returns the targets of a block, as strings."""
  padded = texts(block.target)
  return [
      text[:length]
      for text, length in zip(padded, block.lengths.tolist(), strict=True)
  ]
