"""Rotary positions (2104.09864) and the scalings of model families.

Axes: B rows, T positions, H heads, d width of a head.
"""

import math

from jax import numpy as jnp
from jaxtyping import Float, Int
import numpy as np

from zsgen.core import config
from zsgen.models.arrays import Array

# Sine and cosine of the angles of all positions, float32 [B, T, 1, d/2].
Rotation = tuple[Array, Array]


def rotation(
    positions: Int[Array, "B T"], arch: config.Model, kind: str
) -> Rotation:
  """Returns the sine and cosine of the angles of positions.

  Args:
    positions: positions, starting at 0 within each segment.
    arch: the architecture, which defines the wavelengths; `head_width` must be
      even.
    kind: the kind of block, "global" or "local".
  """
  theta, scaling = arch.rope_theta, arch.rope_scaling
  if kind == "local" and arch.rope_local_theta:
    theta, scaling = arch.rope_local_theta, "none"
  speeds = speeds_of_pairs(arch, theta, scaling)
  angles = positions[..., None, None].astype(jnp.float32) * speeds
  factor = _yarn_factor(arch) if scaling == "yarn" else 1.0
  return jnp.sin(angles) * factor, jnp.cos(angles) * factor


def speeds_of_pairs(
    arch: config.Model, theta: float, scaling: str
) -> np.ndarray:
  """Returns the radians per position of each pair of a head, float32 [d/2].

  Args:
    arch: the architecture: the width of its heads, and how it is scaled.
    theta: the base wave length.
    scaling: "none", or a scaling that `config.model.rope_scaling` names.
  """
  speeds = _speeds(theta, arch.head_width)
  return speeds if scaling == "none" else _STRETCHED[scaling](speeds, arch)


def rotate(
    x: Float[Array, "B T H d"], rotation: Rotation
) -> Float[Array, "B T H d"]:
  """Rotates the pairs (i, i + d/2) of each head, the layout of Llama."""
  sine, cosine = rotation
  first, second = jnp.split(x.astype(jnp.float32), 2, axis=-1)
  pairs = [first * cosine - second * sine, second * cosine + first * sine]
  return jnp.concatenate(pairs, axis=-1).astype(x.dtype)


def _speeds(theta: float, width: int) -> np.ndarray:
  """Returns the radians per position of each pair before any scaling.

  Uses float32 throughout, like other implementations: at position 100,000 the
  last digit of a speed is a hundredth of a radian.
  """
  exponents = np.arange(0, width, 2, dtype=np.float32) / np.float32(width)
  return np.float32(1) / np.float32(theta) ** exponents


def _linear(speeds: np.ndarray, arch: config.Model) -> np.ndarray:
  """Divides positions by the factor (2306.15595)."""
  return speeds / np.float32(arch.rope_factor)


def _llama3(speeds: np.ndarray, arch: config.Model) -> np.ndarray:
  """Stretches slow pairs, keeps fast ones and blends in between (Llama 3.1)."""
  turns = arch.rope_original * speeds / np.float32(2 * math.pi)
  span = np.float32(arch.rope_high - arch.rope_low)
  share = np.clip((turns - np.float32(arch.rope_low)) / span, 0, 1)
  return share * speeds + (1 - share) * _linear(speeds, arch)


def _yarn(speeds: np.ndarray, arch: config.Model) -> np.ndarray:
  """Blends linearly in the number of the pair (2309.00071)."""

  def pair_of(turns: float) -> float:
    """Returns the pair that makes this many turns over the original positions."""
    wave = arch.rope_original / (turns * 2 * math.pi)
    return arch.head_width * math.log(wave) / (2 * math.log(arch.rope_theta))

  first = max(math.floor(pair_of(arch.rope_high)), 0)
  last = min(math.ceil(pair_of(arch.rope_low)), arch.head_width - 1)
  pairs = np.arange(len(speeds), dtype=np.float32) - np.float32(first)
  slow = np.clip(pairs / np.float32(max(last - first, 1e-3)), 0, 1)
  return slow * _linear(speeds, arch) + (1 - slow) * speeds


def _yarn_factor(arch: config.Model) -> float:
  """Returns the factor of queries and keys (2309.00071, eq. 22)."""
  return 0.1 * math.log(arch.rope_factor) + 1.0


_STRETCHED = {"linear": _linear, "llama3": _llama3, "yarn": _yarn}
