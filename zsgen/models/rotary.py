"""Rotary positions (2104.09864), and how families stretch them.

Letters: B rows, T positions, H heads, d width of a head.
"""

import math

from jax import numpy as jnp
from jaxtyping import Array, Float, Int
import numpy as np

from zsgen.core import config

# Sine and cosine of each position's angles, float32, each [B, T, 1, d/2].
Rotation = tuple[Array, Array]


def rotation(
    positions: Int[Array, "B T"], arch: config.Model, kind: str
) -> Rotation:
  """Sine and cosine of the angles of positions.

  Args:
    positions: from 0 within each segment.
    arch: says the wave lengths; `head_width` must be even.
    kind: of the block, "global" or "local".
  """
  theta, scaling = arch.rope_theta, arch.rope_scaling
  if kind == "local" and arch.rope_local_theta:
    theta, scaling = arch.rope_local_theta, "none"
  speeds = _speeds(theta, arch.head_width)
  if scaling != "none":
    speeds = _STRETCHED[scaling](speeds, arch)
  turned = positions[..., None, None].astype(jnp.float32) * speeds
  size = _yarn_size(arch) if scaling == "yarn" else 1.0
  return jnp.sin(turned) * size, jnp.cos(turned) * size


def rotate(
    x: Float[Array, "B T H d"], turn: Rotation
) -> Float[Array, "B T H d"]:
  """Turns the pairs (i, i + d/2) of each head, the layout of Llama."""
  sine, cosine = turn
  a, b = jnp.split(x.astype(jnp.float32), 2, axis=-1)
  turned = [a * cosine - b * sine, b * cosine + a * sine]
  return jnp.concatenate(turned, axis=-1).astype(x.dtype)


def _speeds(theta: float, width: int) -> np.ndarray:
  """Radians a position of each pair, float32 [d/2].

  In float32 throughout, as everybody does: at position 100,000 a last digit
  of a speed is a hundredth of a radian.
  """
  exponents = np.arange(0, width, 2, dtype=np.float32) / np.float32(width)
  return np.float32(1) / np.float32(theta) ** exponents


def _linear(speeds: np.ndarray, arch: config.Model) -> np.ndarray:
  """Positions divided by the factor (2306.15595)."""
  return speeds / np.float32(arch.rope_factor)


def _llama3(speeds: np.ndarray, arch: config.Model) -> np.ndarray:
  """Slow pairs stretched, quick ones kept, between them a blend (Llama 3.1)."""
  turns = arch.rope_original * speeds / np.float32(2 * math.pi)
  span = np.float32(arch.rope_high - arch.rope_low)
  kept = np.clip((turns - np.float32(arch.rope_low)) / span, 0, 1)
  return kept * speeds + (1 - kept) * _linear(speeds, arch)


def _yarn(speeds: np.ndarray, arch: config.Model) -> np.ndarray:
  """As llama3, with a blend that is linear in the pair's number (2309.00071)."""

  def pair_of(turns: float) -> float:
    """The pair that makes so many turns over the original positions."""
    wave = arch.rope_original / (turns * 2 * math.pi)
    return arch.head_width * math.log(wave) / (2 * math.log(arch.rope_theta))

  first = max(math.floor(pair_of(arch.rope_high)), 0)
  last = min(math.ceil(pair_of(arch.rope_low)), arch.head_width - 1)
  pairs = np.arange(len(speeds), dtype=np.float32) - np.float32(first)
  slow = np.clip(pairs / np.float32(max(last - first, 1e-3)), 0, 1)
  return slow * _linear(speeds, arch) + (1 - slow) * speeds


def _yarn_size(arch: config.Model) -> float:
  """What queries and keys are multiplied by, each (2309.00071, eq. 22)."""
  return 0.1 * math.log(arch.rope_factor) + 1.0


_STRETCHED = {"linear": _linear, "llama3": _llama3, "yarn": _yarn}
