"""The tiny models of transformers that are stored, as the decoder has them."""

import functools
import pathlib

import jax
import numpy as np
import small

from zsgen.core import config
from zsgen.core import mesh as mesh_lib
from zsgen.models import hugging_face
from zsgen.models import model as model_lib

FAMILIES = pathlib.Path(__file__).with_name("families")
CASES = sorted(path.parent.name for path in FAMILIES.glob("*/logits.npz"))


def load(directory, arch, shape=None):
  """Loads the parameters of a directory on a mesh, by default of one device."""
  init = model_lib.Model.from_config(arch).init
  shapes = jax.eval_shape(init, jax.random.key(0))
  devices = jax.devices() if shape else jax.devices()[:1]
  mesh = mesh_lib.make(shape or config.Mesh(), devices)
  return hugging_face.load(directory, arch, mesh_lib.shardings(shapes, mesh))


@functools.cache
def model(case):
  """Returns the architecture and the parameters of a case."""
  arch = hugging_face.arch_of(FAMILIES / case)
  return arch, load(FAMILIES / case, arch)


@functools.cache
def stored(case):
  """Returns the inputs of a case, and the logits of transformers."""
  with np.load(FAMILIES / case / "logits.npz") as arrays:
    return dict(arrays)


def examples(case):
  """Returns tokens, positions and logits of each row without its padding."""
  arrays = stored(case)
  names = ("tokens", "positions", "logits")
  return [
      tuple(arrays[name][row, :length] for name in names)
      for row, length in enumerate(arrays["mask"].sum(axis=1))
  ]


def batch(packed, length):
  """Returns rows of examples: row i holds those of packed[i] in turn."""
  rows = small.rows([[tokens for tokens, *_ in row] for row in packed], length)
  for row, members in enumerate(packed):
    positions = np.concatenate([[], *(example[1] for example in members)])
    rows.positions[row, : len(positions)] = positions
  return rows


@functools.cache
def _applied(arch):
  return jax.jit(model_lib.Model(arch).logits)


def logits(arch, params, rows):
  """Returns the logits of rows, float32 [B, T, V]."""
  return np.asarray(
      _applied(arch)(params, rows.tokens, rows.positions, rows.segments)
  )


def error(actual, expected):
  """Returns the largest difference, relative to the largest logit."""
  assert actual.shape == expected.shape
  assert actual.dtype == expected.dtype == np.float32
  return float(np.abs(actual - expected).max() / np.abs(expected).max())
