"""The decoder said again, plainly: one example, loops, float64.

Nothing here comes from zsgen.models. Call it under `jax.enable_x64(True)`.
"""

import math

import jax
from jax import numpy as jnp
from jax.scipy import special


def example_nll(params, arch, tokens) -> list:
  """Loss of each token of one example but the first; scalars, float64."""
  states = [params["embedding"][token] for token in tokens]
  if arch.positions == "learned":
    states = [x + params["positions"][i] for i, x in enumerate(states)]
  for layer in range(arch.layers):
    states = _block(
        jax.tree.map(lambda p: p[layer], params["blocks"]), arch, states
    )
  table = params["embedding"].T if arch.tied else params["head"]["kernel"]
  losses = []
  for state, following in zip(states[:-1], tokens[1:], strict=True):
    logits = _norm(params["final_norm"], arch, state) @ table
    losses.append(special.logsumexp(logits) - logits[following])
  return losses


def _block(params, arch, states):
  normed = [_norm(params["attention_norm"], arch, x) for x in states]
  attended = _attention(params["attention"], arch, normed)
  states = [x + a for x, a in zip(states, attended, strict=True)]
  return [
      x + _mlp(params["mlp"], arch, _norm(params["mlp_norm"], arch, x))
      for x in states
  ]


def _norm(params, arch, x):
  if arch.norm == "rms":
    return x / jnp.sqrt(jnp.mean(x**2) + arch.norm_eps) * params["scale"]
  centred = x - jnp.mean(x)
  scaled = centred / jnp.sqrt(jnp.var(x) + arch.norm_eps)
  return scaled * params["scale"] + params["bias"]


def _attention(params, arch, states):
  results = [0.0] * len(states)
  for head in range(arch.heads):
    shared = head // (arch.heads // arch.kv_heads)
    queries, keys, values = [], [], []
    for i, x in enumerate(states):
      queries.append(_turn(arch, i, x @ params["query"]["kernel"][:, head]))
      keys.append(_turn(arch, i, x @ params["key"]["kernel"][:, shared]))
      values.append(x @ params["value"]["kernel"][:, shared])
    for i, query in enumerate(queries):
      scores = jnp.stack([query @ key for key in keys[: i + 1]])
      weights = jnp.exp(scores / math.sqrt(arch.head_width))
      weights = weights / weights.sum()
      mean = sum(w * v for w, v in zip(weights, values, strict=False))
      results[i] += mean @ params["out"]["kernel"][head]
  return results


def _turn(arch, position, x):
  """Pair (j, j + d/2) turned by position · theta^(-2j/d)."""
  if arch.positions == "learned":
    return x
  half = arch.head_width // 2
  turned = [0.0] * arch.head_width
  for j in range(half):
    angle = position * arch.rope_theta ** (-2 * j / arch.head_width)
    turned[j] = x[j] * math.cos(angle) - x[j + half] * math.sin(angle)
    turned[j + half] = x[j + half] * math.cos(angle) + x[j] * math.sin(angle)
  return jnp.stack(turned)


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
