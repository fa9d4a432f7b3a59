"""Small architectures and batches for the tests of models."""

import types

import jax
import numpy as np

from zsgen import config
from zsgen.models import model as model_lib

_SIZES = dict(
    init="new",
    vocab_size=24,
    layers=2,
    width=16,
    heads=4,
    kv_heads=2,
    head_width=4,
    mlp_width=24,
    max_positions=16,
)
RMS = config.Model(**_SIZES)
LAYER = config.Model(
    **{**_SIZES, "kv_heads": 4},
    norm="layer",
    norm_eps=1e-5,
    positions="learned",
    gated=False,
    activation="gelu",
    tied=False,
)


def loud(arch: config.Model, seed: int = 0) -> dict:
  """Parameters that are far from small: no term of the model vanishes."""
  params = model_lib.Model.from_config(arch).init(jax.random.key(seed))
  rng = np.random.default_rng(seed)
  return jax.tree.map(
      lambda p: np.asarray(p + rng.normal(0, 0.3, p.shape), np.float32), params
  )


def examples(vocab_size: int, lengths: list[int], seed: int = 0) -> list:
  """Random token ids of examples."""
  rng = np.random.default_rng(seed)
  return [rng.integers(0, vocab_size, n).astype(np.int32) for n in lengths]


def rows(packed: list[list[np.ndarray]], length: int) -> types.SimpleNamespace:
  """A batch whose row i holds the examples packed[i]."""
  shape = (len(packed), length)
  fields = ("tokens", "positions", "segments")
  arrays = {field: np.zeros(shape, np.int32) for field in fields}
  number = 0
  for row, members in enumerate(packed):
    begin = 0
    for tokens in members:
      number += 1
      place = (row, slice(begin, begin + len(tokens)))
      arrays["tokens"][place] = tokens
      arrays["positions"][place] = np.arange(len(tokens))
      arrays["segments"][place] = number
      begin += len(tokens)
  return types.SimpleNamespace(**arrays)
