"""Small GGUF files, written as llama.cpp's converter writes them.

The layout is stated here on its own: names of tensors, the order of rows of
query and key, norms that carry 1, fields of each architecture.
"""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import json
import pathlib
import re
import tempfile
from typing import Any

import numpy as np
import safetensors.numpy

from tests.helpers import tiny_tokenizers
from zsgen.core import config
from zsgen.models import hugging_face

_LLAMA = config.Model(
    init="new",
    vocab_size=310,
    layers=2,
    width=64,
    heads=4,
    kv_heads=2,
    head_width=16,
    mlp_width=96,
    norm_eps=1e-5,
    max_positions=128,
)
# The width of heads and the caps are those that transformers assumes.
_GEMMA2 = dataclasses.replace(
    _LLAMA,
    layers=3,
    heads=2,
    kv_heads=1,
    head_width=256,
    pattern=("local", "global"),
    window=5,
    activation="gelu_tanh",
    norm_plus_one=True,
    post_norms=True,
    score_cap=50.0,
    logit_cap=30.0,
    embedding_scaled=True,
    norm_eps=1e-6,
)
# By the architecture in the file, and what is special.
ARCHS = {
    "llama": _LLAMA,
    "llama-untied": dataclasses.replace(
        _LLAMA, tied=False, rope_theta=500000.0
    ),
    "llama-biases": dataclasses.replace(
        _LLAMA, qkv_bias=True, out_bias=True, mlp_bias=True
    ),
    "llama-linear": dataclasses.replace(
        _LLAMA, rope_scaling="linear", rope_factor=4.0
    ),
    "llama-scaled": dataclasses.replace(
        _LLAMA,
        head_width=32,
        rope_theta=500000.0,
        rope_scaling="llama3",
        rope_factor=8.0,
        rope_original=8192,
        max_positions=131072,
    ),
    "qwen2": dataclasses.replace(_LLAMA, qkv_bias=True, rope_theta=1e6),
    # transformers takes 128 whatever such a file says.
    "qwen3": dataclasses.replace(_LLAMA, qk_norm=True, head_width=128),
    "gemma2": _GEMMA2,
    "gemma3": dataclasses.replace(
        _GEMMA2,
        layers=8,
        pattern=("local",) * 5 + ("global",),
        qk_norm=True,
        score_cap=0.0,
        logit_cap=0.0,
        rope_theta=1e6,
        rope_local_theta=10000.0,
        rope_scaling="linear",
        rope_factor=8.0,
    ),
}
_TENSORS = (
    (r"model\.embed_tokens", "token_embd"),
    (r"model\.norm", "output_norm"),
    (r"lm_head", "output"),
    (r"model\.layers\.", "blk."),
    (r"self_attn\.(q|k)_norm", r"attn_\1_norm"),
    (r"self_attn\.(q|k|v)_proj", r"attn_\1"),
    (r"self_attn\.o_proj", "attn_output"),
    (r"mlp\.(gate|up|down)_proj", r"ffn_\1"),
    (r"input_layernorm", "attn_norm"),
    (r"pre_feedforward_layernorm", "ffn_norm"),
    (r"post_feedforward_layernorm", "post_ffw_norm"),
)
# SentencePiece's types of pieces.
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)


def save(
    directory: pathlib.Path, arch: config.Model, seed: int = 0
) -> dict[str, np.ndarray]:
  """Writes a Hugging Face directory of random weights; returns the weights."""
  import jax

  from zsgen.models import model as model_lib

  shapes = jax.eval_shape(
      model_lib.Model.from_config(arch).init, jax.random.key(0)
  )
  rng = np.random.default_rng(seed)
  params = jax.tree.map(
      lambda leaf: rng.normal(0, 0.3, leaf.shape).astype(np.float32), shapes
  )
  hugging_face.save(directory, params, arch)
  return safetensors.numpy.load_file(directory / "model.safetensors")


def write(
    path: pathlib.Path,
    name: str,
    weights: Mapping[str, np.ndarray],
    type_of: Callable[[str], str] = lambda tensor: "F32",
    tokenizer: Mapping[str, Any] | None = None,
    **fields: Any,
) -> pathlib.Path:
  """Writes a file.

  Args:
    path: of the file.
    name: a key of `ARCHS`.
    weights: by the names of Hugging Face.
    type_of: the type of a tensor of two axes, by its name in the file.
    tokenizer: fields of the tokenizer; those of `byte_level()` by default.
    **fields: of the architecture, more or other ones; None leaves one out.

  Returns:
    The path.
  """
  import gguf

  arch, kind = ARCHS[name], name.partition("-")[0]
  writer = gguf.GGUFWriter(str(path), kind)
  described = {
      f"{kind}.{key}": value for key, value in _fields(kind, arch).items()
  }
  described |= {
      f"{kind}.{key.replace('__', '.')}": value for key, value in fields.items()
  }
  tokens = byte_level() if tokenizer is None else tokenizer
  described |= _padded(tokens, arch.vocab_size)
  for key, value in described.items():
    if value is not None:
      add_field(writer, key, value)
  for tensor, array in _tensors(kind, arch, weights).items():
    plain = array.ndim == 1
    number = gguf.GGMLQuantizationType["F32" if plain else type_of(tensor)]
    writer.add_tensor(tensor, gguf.quantize(array, number), raw_dtype=number)
  close(writer)
  return path


def _padded(fields: Mapping[str, Any], size: int) -> dict[str, Any]:
  """Returns a tokenizer with a token for each row of the embedding."""
  tokens = fields["tokenizer.ggml.tokens"]
  missing = range(len(tokens), size)
  pads = {
      "tokens": [f"[PAD{i}]" for i in missing],
      "token_type": [UNUSED for _ in missing],
      "scores": [-1000.0 for _ in missing],
  }
  padded = {
      f"tokenizer.ggml.{name}": fields[f"tokenizer.ggml.{name}"] + values
      for name, values in pads.items()
      if f"tokenizer.ggml.{name}" in fields
  }
  return {**fields, **padded}


def close(writer: Any) -> None:
  """Writes all that a writer holds."""
  writer.write_header_to_file()
  writer.write_kv_data_to_file()
  writer.write_tensors_to_file()
  writer.close()


def add_field(writer: Any, key: str, value: Any) -> None:
  """Adds a field of the type that llama.cpp gives it."""
  if isinstance(value, bool):
    writer.add_bool(key, value)
  elif isinstance(value, int):
    writer.add_uint32(key, value)
  elif isinstance(value, float):
    writer.add_float32(key, value)
  elif isinstance(value, str):
    writer.add_string(key, value)
  else:
    writer.add_array(key, value)


def byte_level(pre: str = "gpt-2", **spec: Any) -> dict[str, Any]:
  """Returns the fields of a byte-level tokenizer.

  Args:
    pre: the name of its steps.
    **spec: a tokenizer.json; that of `tiny_tokenizers.gpt2` by default.
  """
  spec = spec or _spec()
  ids = spec["model"]["vocab"] | {
      token["content"]: token["id"] for token in spec["added_tokens"]
  }
  tokens = sorted(ids, key=ids.__getitem__)
  types = {
      token["content"]: CONTROL if token["special"] else USER_DEFINED
      for token in spec["added_tokens"]
  }
  merges = [
      merge if isinstance(merge, str) else " ".join(merge)
      for merge in spec["model"]["merges"]
  ]
  return {
      "tokenizer.ggml.model": "gpt2",
      "tokenizer.ggml.pre": pre,
      "tokenizer.ggml.tokens": tokens,
      "tokenizer.ggml.token_type": [types.get(t, NORMAL) for t in tokens],
      "tokenizer.ggml.merges": merges,
      "tokenizer.ggml.bos_token_id": ids["<|endoftext|>"],
      "tokenizer.ggml.eos_token_id": ids["<|endoftext|>"],
  }


def pieces(
    model: str, user_defined: Sequence[str] = (), **fields: Any
) -> dict[str, Any]:
  """Returns the fields of a SentencePiece model.

  Args:
    model: its file.
    user_defined: the user-defined ones, as in texts; the library has no
      question for them.
    **fields: more fields, or other ones.
  """
  import sentencepiece

  lib = sentencepiece.SentencePieceProcessor(model_file=model)
  size = lib.get_piece_size()
  types = [
      USER_DEFINED
      if lib.id_to_piece(i).replace("▁", " ") in user_defined
      else _type_of_piece(lib, i)
      for i in range(size)
  ]
  return {
      "tokenizer.ggml.model": "llama",
      "tokenizer.ggml.pre": "default",
      "tokenizer.ggml.tokens": [
          # User-defined ones are spelled as in texts.
          lib.id_to_piece(i).replace("▁", " " if kind == USER_DEFINED else "▁")
          for i, kind in enumerate(types)
      ],
      "tokenizer.ggml.scores": [lib.get_score(i) for i in range(size)],
      "tokenizer.ggml.token_type": types,
      "tokenizer.ggml.bos_token_id": lib.bos_id(),
      "tokenizer.ggml.eos_token_id": lib.eos_id(),
      "tokenizer.ggml.unknown_token_id": lib.unk_id(),
      **{f"tokenizer.ggml.{name}": value for name, value in fields.items()},
  }


def _type_of_piece(lib: Any, i: int) -> int:
  if lib.is_unknown(i):
    return UNKNOWN
  if lib.is_control(i):
    return CONTROL
  return BYTE if lib.is_byte(i) else NORMAL


def _spec() -> dict[str, Any]:
  with tempfile.TemporaryDirectory() as directory:
    tiny_tokenizers.gpt2(pathlib.Path(directory))
    return json.loads((pathlib.Path(directory) / "tokenizer.json").read_text())


def _fields(kind: str, arch: config.Model) -> dict[str, Any]:
  """Returns the fields of an architecture."""
  fields = {
      "block_count": arch.layers,
      "context_length": arch.max_positions,
      "embedding_length": arch.width,
      "feed_forward_length": arch.mlp_width,
      "attention.head_count": arch.heads,
      "attention.head_count_kv": arch.kv_heads,
      "attention.key_length": arch.head_width,
      "attention.value_length": arch.head_width,
      "attention.layer_norm_rms_epsilon": arch.norm_eps,
      "rope.freq_base": arch.rope_theta,
  }
  if kind == "llama":
    fields |= {"vocab_size": arch.vocab_size}
    fields |= {"rope.dimension_count": arch.head_width}
  if kind.startswith("gemma"):
    fields["attention.sliding_window"] = arch.window
  if kind == "gemma2":
    fields["attn_logit_softcapping"] = arch.score_cap
    fields["final_logit_softcapping"] = arch.logit_cap
  if arch.rope_scaling == "linear":
    fields["rope.scaling.type"] = "linear"
    fields["rope.scaling.factor"] = arch.rope_factor
  return fields


def _tensors(
    kind: str, arch: config.Model, weights: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
  """Returns the tensors of a file."""
  is_gemma = kind.startswith("gemma")
  tensors = {}
  for weight, array in weights.items():
    name = _name(weight, is_gemma)
    tensor = array
    if kind == "llama" and re.search(r"attn_[qk]\.", name):
      tensor = _permute(array, arch.heads if "_q" in name else arch.kv_heads)
    if is_gemma and name.endswith("norm.weight"):
      tensor = array + np.float32(1)
    tensors[name] = np.ascontiguousarray(tensor)
  if arch.rope_scaling == "llama3":
    tensors["rope_freqs.weight"] = _divisors(arch)
  return tensors


def _name(weight: str, is_gemma: bool) -> str:
  """Returns the name of a tensor."""
  name = weight
  for pattern, replacement in _TENSORS:
    name = re.sub(pattern, replacement, name)
  norm = "post_attention_norm" if is_gemma else "ffn_norm"
  return name.replace("post_attention_layernorm", norm)


def _permute(array: np.ndarray, heads: int) -> np.ndarray:
  """Interleaves the two halves of each head, as Meta's code has them."""
  halves = array.reshape(heads, 2, array.shape[0] // heads // 2, -1)
  return halves.swapaxes(1, 2).reshape(array.shape)


def _divisors(arch: config.Model) -> np.ndarray:
  """Returns what frequencies are divided by, computed by wave lengths."""
  divisors = []
  for i in range(0, arch.head_width, 2):
    wave = 2 * np.pi * arch.rope_theta ** (i / arch.head_width)
    if wave < arch.rope_original / arch.rope_high:
      divisors.append(1.0)
    elif wave > arch.rope_original / arch.rope_low:
      divisors.append(arch.rope_factor)
    else:
      smooth = arch.rope_original / wave - arch.rope_low
      smooth /= arch.rope_high - arch.rope_low
      divisors.append(1 / ((1 - smooth) / arch.rope_factor + smooth))
  return np.array(divisors, np.float32)
