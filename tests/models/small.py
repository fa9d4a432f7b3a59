"""Small architectures and batches for the tests of models."""

import dataclasses
import functools
from typing import NamedTuple

import jax
import numpy as np

from tests.helpers import losses
from zsgen.core import config
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
# As GPT-2: biases everywhere, one table of tokens for input and output.
GPT2 = dataclasses.replace(
    LAYER,
    qkv_bias=True,
    out_bias=True,
    mlp_bias=True,
    activation="gelu_tanh",
    tied=True,
)
# As Gemma, with what 2 and 3 have of their own; a block is left over, local
# ones see less than there is, and the vocabulary is padded to 32.
GEMMA = dataclasses.replace(
    RMS,
    layers=3,
    pattern=("local", "global"),
    window=3,
    activation="gelu_tanh",
    norm_plus_one=True,
    qk_norm=True,
    post_norms=True,
    query_width=6.0,
    score_cap=5.0,
    logit_cap=8.0,
    rope_local_theta=100.0,
    embedding_scaled=True,
    vocab_multiple=16,
)
ALL = {"rms": RMS, "layer": LAYER, "gpt2": GPT2, "gemma": GEMMA}


class Rows(NamedTuple):
  """A batch of one row group, as `token_nll` reads it: all tokens count."""

  tokens: np.ndarray
  positions: np.ndarray
  segments: np.ndarray
  loss_positions: np.ndarray


@functools.cache
def shapes(arch: config.Model) -> dict:
  """Returns the shapes of the parameters."""
  init = model_lib.Model.from_config(arch).init
  return jax.eval_shape(init, jax.random.key(0))


@functools.cache
def loud(arch: config.Model) -> dict:
  """Returns parameters that are far from small: no term vanishes."""
  rng = np.random.default_rng(0)
  return jax.tree.map(
      lambda p: rng.normal(0, 0.4, p.shape).astype(np.float32), shapes(arch)
  )


def examples(vocab_size: int, lengths: list[int], seed: int = 0) -> list:
  """Returns random token ids of examples."""
  rng = np.random.default_rng(seed)
  return [rng.integers(0, vocab_size, n).astype(np.int32) for n in lengths]


def rows(packed: list[list[np.ndarray]], length: int) -> Rows:
  """Returns a batch whose row i holds the examples packed[i]."""
  shape = (len(packed), length)
  tokens, positions, segments = np.zeros((3, *shape), np.int32)
  number = 0
  for row, members in enumerate(packed):
    begin = 0
    for example in members:
      number += 1
      span = (row, slice(begin, begin + len(example)))
      tokens[span] = example
      positions[span] = np.arange(len(example))
      segments[span] = number
      begin += len(example)
  return Rows(tokens, positions, segments, losses.every_position(positions))
