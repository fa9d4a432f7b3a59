"""The decoder said again, plainly: one example, one head at a time, float64.

Nothing here comes from zsgen.models. Call it under `jax.enable_x64(True)`.
"""

import math

import jax
from jax import numpy as jnp
from jax.scipy import special


def example_nll(params, arch, tokens):
  """Loss of each token of one example but the first, float64 [T - 1]."""
  x = params["embedding"][tokens]
  if arch.positions == "learned":
    x = x + params["positions"][: len(tokens)]
  for layer in range(arch.layers):
    x = _block(_of_layer(params["blocks"], layer), arch, x)
  x = _norm(params["final_norm"], arch, x)
  table = params["embedding"].T if arch.tied else params["head"]["kernel"]
  logits = (x @ table)[:-1]
  taken = logits[jnp.arange(len(tokens) - 1), tokens[1:]]
  return special.logsumexp(logits, axis=-1) - taken


def _of_layer(stacked, layer):
  return jax.tree.map(lambda array: array[layer], stacked)


def _block(params, arch, x):
  x = x + _attention(
      params["attention"], arch, _norm(params["attention_norm"], arch, x)
  )
  return x + _mlp(params["mlp"], arch, _norm(params["mlp_norm"], arch, x))


def _norm(params, arch, x):
  if arch.norm == "rms":
    mean_square = jnp.mean(x**2, -1, keepdims=True)
    return x / jnp.sqrt(mean_square + arch.norm_eps) * params["scale"]
  centred = x - jnp.mean(x, -1, keepdims=True)
  spread = jnp.sqrt(jnp.var(x, -1, keepdims=True) + arch.norm_eps)
  return centred / spread * params["scale"] + params["bias"]


def _attention(params, arch, x):
  result = 0.0
  for head in range(arch.heads):
    shared = head // (arch.heads // arch.kv_heads)
    query = _turn(arch, x @ params["query"]["kernel"][:, head])
    key = _turn(arch, x @ params["key"]["kernel"][:, shared])
    value = x @ params["value"]["kernel"][:, shared]
    scores = jnp.exp(query @ key.T / math.sqrt(arch.head_width))
    earlier = jnp.tril(scores)
    weights = earlier / earlier.sum(-1, keepdims=True)
    result = result + weights @ value @ params["out"]["kernel"][head]
  return result


def _turn(arch, x):
  """Pair (j, j + d/2) as a complex number, turned by t · theta^(-2j/d)."""
  if arch.positions == "learned":
    return x
  half = arch.head_width // 2
  speed = arch.rope_theta ** (-2 * jnp.arange(half) / arch.head_width)
  angle = jnp.arange(len(x))[:, None] * speed
  turned = (x[:, :half] + 1j * x[:, half:]) * jnp.exp(1j * angle)
  return jnp.concatenate([turned.real, turned.imag], -1)


def _mlp(params, arch, x):
  hidden = x @ params["up"]["kernel"]
  if arch.gated:
    hidden = _activation(arch, x @ params["gate"]["kernel"]) * hidden
  else:
    hidden = _activation(arch, hidden)
  return hidden @ params["down"]["kernel"]


def _activation(arch, x):
  if arch.activation == "silu":
    return x / (1 + jnp.exp(-x))
  if arch.activation == "gelu":
    return x * (1 + special.erf(x / math.sqrt(2))) / 2
  if arch.activation == "gelu_tanh":
    inner = math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)
    return x * (1 + jnp.tanh(inner)) / 2
  return jnp.maximum(x, 0)
