"""The decoder said again, plainly: one example, one head at a time, float64.

Nothing here comes from zsgen.models. Call it under `jax.enable_x64(True)`.
Rotary positions that are stretched are not said again: transformers' logits
are the measure of those.
"""

import math

import jax
from jax import numpy as jnp
from jax.scipy import special


def example_nll(params, arch, tokens):
  """Returns the loss of each token but the first, float64 [T - 1]."""
  x = params["embedding"][tokens]
  if arch.positions == "learned":
    x = x + params["positions"][: len(tokens)]
  if arch.embedding_scaled:
    x = x * math.sqrt(arch.width)
  for layer in range(arch.layers):
    kind = arch.pattern[layer % len(arch.pattern)]
    x = _block(_of_layer(params, arch, layer), arch, kind, x)
  x = _norm(params["final_norm"], arch, arch.norm, x)
  table = params["embedding"].T if arch.tied else params["head"]["kernel"]
  logits = _cap(arch.logit_cap, x @ table[:, : arch.vocab_size])[:-1]
  target_logits = logits[jnp.arange(len(tokens) - 1), tokens[1:]]
  return special.logsumexp(logits, axis=-1) - target_logits


def _of_layer(params, arch, layer):
  repeat, position = divmod(layer, len(arch.pattern))
  if repeat == arch.layers // len(arch.pattern):
    return params[f"rest_{position}"]
  stacked = params["blocks"][str(position)]
  return jax.tree.map(lambda array: array[repeat], stacked)


def _block(params, arch, kind, x):
  normed = _norm(params["attention_norm"], arch, arch.norm, x)
  inputs = _attention(params["attention"], arch, kind, normed)
  if arch.post_norms:
    inputs = _norm(params["attention_post_norm"], arch, arch.norm, inputs)
  x = x + inputs
  normed = _norm(params["mlp_norm"], arch, arch.norm, x)
  inputs = _mlp(params["mlp"], arch, normed)
  if arch.post_norms:
    inputs = _norm(params["mlp_post_norm"], arch, arch.norm, inputs)
  return x + inputs


def _norm(params, arch, kind, x):
  scale = params["scale"] + 1 if arch.norm_plus_one else params["scale"]
  if kind == "rms":
    mean_square = jnp.mean(x**2, -1, keepdims=True)
    return x / jnp.sqrt(mean_square + arch.norm_eps) * scale
  centred = x - jnp.mean(x, -1, keepdims=True)
  spread = jnp.sqrt(jnp.var(x, -1, keepdims=True) + arch.norm_eps)
  return centred / spread * scale + params["bias"]


def _attention(params, arch, kind, x):
  visible = jnp.tril(jnp.ones((len(x), len(x))))
  if kind == "local":
    visible = jnp.triu(visible, 1 - arch.window)
  theta = arch.rope_theta
  if kind == "local" and arch.rope_local_theta:
    theta = arch.rope_local_theta
  result = 0.0
  for head in range(arch.heads):
    shared = head // (arch.heads // arch.kv_heads)
    query, key, value = (
        _head(params[name], x, number)
        for name, number in (
            ("query", head),
            ("key", shared),
            ("value", shared),
        )
    )
    if arch.qk_norm:
      query = _norm(params["query_norm"], arch, "rms", query)
      key = _norm(params["key_norm"], arch, "rms", key)
    query, key = _turn(arch, theta, query), _turn(arch, theta, key)
    scores = query @ key.T / math.sqrt(arch.query_width or arch.head_width)
    exponentials = jnp.exp(_cap(arch.score_cap, scores)) * visible
    weights = exponentials / exponentials.sum(-1, keepdims=True)
    result = result + weights @ value @ params["out"]["kernel"][head]
  return result + params["out"].get("bias", 0.0)


def _head(params, x, number):
  x = x @ params["kernel"][:, number]
  return x + params["bias"][number] if "bias" in params else x


def _cap(cap, x):
  return jnp.tanh(x / cap) * cap if cap else x


def _turn(arch, theta, x):
  """Pair (j, j + d/2) as a complex number, turned by t · theta^(-2j/d)."""
  if arch.positions == "learned":
    return x
  half = arch.head_width // 2
  speed = theta ** (-2 * jnp.arange(half) / arch.head_width)
  angle = jnp.arange(len(x))[:, None] * speed
  turned = (x[:, :half] + 1j * x[:, half:]) * jnp.exp(1j * angle)
  return jnp.concatenate([turned.real, turned.imag], -1)


def _mlp(params, arch, x):
  hidden = _linear(params["up"], x)
  if arch.gated:
    hidden = _activation(arch, _linear(params["gate"], x)) * hidden
  else:
    hidden = _activation(arch, hidden)
  return _linear(params["down"], hidden)


def _linear(params, x):
  return x @ params["kernel"] + params.get("bias", 0.0)


def _activation(arch, x):
  if arch.activation == "silu":
    return x / (1 + jnp.exp(-x))
  if arch.activation == "gelu":
    return x * (1 + special.erf(x / math.sqrt(2))) / 2
  if arch.activation == "gelu_tanh":
    inner = math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)
    return x * (1 + jnp.tanh(inner)) / 2
  return jnp.maximum(x, 0)
