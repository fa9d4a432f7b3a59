"""Translates a GGUF file's metadata to the decoder's fields.

The keys of an architecture NAME start with "NAME.". All of them must be known:
another one may change the computation.
"""

from collections.abc import Mapping
import dataclasses
from typing import Any

import numpy as np

from zsgen.core import config, errors, schema
from zsgen.models import rotary
from zsgen.models.gguf import files
from zsgen.models.hugging_face import families

# Fields of config.Model and their keys.
_FIELDS = {
    "layers": "block_count",
    "width": "embedding_length",
    "heads": "attention.head_count",
    "mlp_width": "feed_forward_length",
    "max_positions": "context_length",
    "norm_eps": "attention.layer_norm_rms_epsilon",
}
_GEMMA = {
    "activation": "gelu_tanh",
    "norm_plus_one": True,
    "post_norms": True,
    "embedding_scaled": True,
}
_ARCHITECTURE = "general.architecture"
_EMBEDDING, _HEAD = "token_embd.weight", "output.weight"
# What Llama 3.1 and later divide the frequencies of rotary positions by; the
# numbers that it was computed from are not in the file.
FREQUENCIES = "rope_freqs.weight"
_LLAMA3 = {"rope_low": 1.0, "rope_high": 4.0, "rope_original": 8192}


@dataclasses.dataclass(frozen=True)
class Kind:
  """An architecture of GGUF.

  Attributes:
    implied: fields of `config.Model` that the file does not have.
    optional: fields of `config.Model` and keys that may be missing.
    is_permuted: whether the rows of query and key heads alternate between the
      halves that rotary positions pair.
    largest: number of layers of the one model whose scores are divided by the
      square root of width / heads.
  """

  implied: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  optional: Mapping[str, str] = dataclasses.field(default_factory=dict)
  is_permuted: bool = False
  largest: int = 0


KINDS = {
    "llama": Kind(is_permuted=True),
    "qwen2": Kind({"qkv_bias": True}),
    "qwen3": Kind({"qk_norm": True}),
    "gemma2": Kind(
        {**_GEMMA, "pattern": ("local", "global"), "window": 4096},
        {
            "window": "attention.sliding_window",
            "score_cap": "attn_logit_softcapping",
            "logit_cap": "final_logit_softcapping",
        },
        largest=46,
    ),
    "gemma3": Kind(
        {
            **_GEMMA,
            "qk_norm": True,
            "pattern": ("local",) * 5 + ("global",),
            "window": 1024,
            "rope_local_theta": 10000.0,
        },
        {
            "window": "attention.sliding_window",
            "rope_local_theta": "rope.freq_base_swa",
            "logit_cap": "final_logit_softcapping",
        },
        largest=62,
    ),
}


def kind_of(file: files.File) -> Kind:
  """Returns the architecture of a file.

  Raises:
    InputError: it is not supported.
  """
  name = file.fields.get(_ARCHITECTURE)
  if name not in KINDS:
    raise errors.InputError(
        f"{file.path}: the architecture {name!r} is not supported. Supported"
        f" are {', '.join(KINDS)}."
    )
  return KINDS[name]


def arch_of(file: files.File) -> config.Model:
  """Returns the architecture that a file describes, with `init` "new".

  Raises:
    InputError: it is not supported, or a field is missing, unknown or damaged.
  """
  kind, keys = kind_of(file), _Keys(file)
  fields = {"init": "new", **kind.implied, "tied": _HEAD not in file.tensors}
  for name, key in _FIELDS.items():
    fields[name] = keys.number(key)
  _check_blocks(file, fields["layers"])
  for name, key in kind.optional.items():
    fields[name] = keys.number(key, fields.get(name, 0.0))
  fields |= _heads(keys, fields)
  fields |= _biases(file)
  fields |= _pattern(keys, fields)
  fields |= _rotary(file, keys, fields["head_width"])
  fields["vocab_size"] = _vocab_size(file, keys)
  if kind.largest and kind.largest == fields["layers"]:
    fields["query_width"] = fields["width"] / fields["heads"]
  keys.check_all_read()
  return schema.check_section(config.Model, fields, str(file.path))


def _check_blocks(file: files.File, layers: int) -> None:
  """Raises InputError if the file has another number of blocks."""
  numbers = {
      name.split(".")[1] for name in file.tensors if name.startswith("blk.")
  }
  if numbers != {
      str(number) for number in range(min(layers, len(numbers) + 1))
  }:
    raise errors.InputError(
        f"{file.path}: block_count is {layers}, but there are tensors of"
        f" {len(numbers)} blocks. The file is damaged; download it again."
    )


class _Keys:
  """The keys of the file's architecture."""

  def __init__(self, file: files.File):
    self._path = file.path
    prefix = f"{file.fields[_ARCHITECTURE]}."
    self._values = {
        key.removeprefix(prefix): value
        for key, value in file.fields.items()
        if key.startswith(prefix)
    }
    self._read: set[str] = set()

  def number(self, key: str, default: Any = None) -> Any:
    """Returns a number, or the default; raises InputError without any."""
    value = self.value(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float):
      raise errors.InputError(
          f"{self._path}: {key} is {_short(value)}; it must be a number. The"
          " model is not supported, or the file is damaged."
      )
    return value

  def value(self, key: str, default: Any) -> Any:
    """Returns the value of a key, or the default, and marks it as read."""
    self._read.add(key)
    return self._values.get(key, default)

  def require(self, key: str, expected: Any) -> None:
    """Raises InputError if a key is there with another value."""
    value = self.value(key, expected)
    if isinstance(value, np.ndarray) or value != expected:
      raise errors.InputError(
          f"{self._path}: {key} is {_short(value)}, which is not supported;"
          f" only {expected!r} is. Use another model."
      )

  def check_all_read(self) -> None:
    """Raises InputError that names the keys that were not read."""
    unknown = sorted(self._values.keys() - self._read)
    if unknown:
      values = [f"{key} ({_short(self._values[key])})" for key in unknown]
      raise errors.InputError(
          f"{self._path}: the fields {', '.join(values)} are not supported;"
          " they may change what the model computes. Use another model."
      )


def _short(value: Any) -> str:
  text = repr(value) if value is not None else "missing"
  return text if len(text) <= 60 else f"{text[:60]}…"


def _heads(keys: _Keys, fields: Mapping[str, Any]) -> dict[str, Any]:
  """Returns number and width of heads."""
  heads = fields["heads"]
  width = fields["width"] // heads if heads else 0
  width = keys.number("attention.key_length", width)
  keys.require("attention.value_length", width)
  keys.require("rope.dimension_count", width)
  kv_heads = keys.number("attention.head_count_kv", heads)
  return {"head_width": width, "kv_heads": kv_heads}


def _biases(file: files.File) -> dict[str, bool]:
  """Returns which projections have biases: those of the first block."""
  projections = {
      "qkv_bias": "attn_q",
      "out_bias": "attn_output",
      "mlp_bias": "ffn_up",
  }
  return {
      name: f"blk.0.{projection}.bias" in file.tensors
      for name, projection in projections.items()
  }


def _pattern(keys: _Keys, fields: Mapping[str, Any]) -> dict[str, Any]:
  """Returns the kinds of blocks; all that see a window are local."""
  if "pattern" not in fields:
    return {}
  layers, pattern = fields["layers"], fields["pattern"]
  kinds = (pattern * (layers // len(pattern) + 1))[:layers]
  is_local = keys.value("attention.sliding_window_pattern", None)
  if isinstance(is_local, int) and is_local > 0:  # Every such block is global.
    is_local = np.arange(1, layers + 1) % is_local != 0
  if isinstance(is_local, np.ndarray) and len(is_local) == layers:
    kinds = ["local" if flag else "global" for flag in is_local]
  elif is_local is not None:
    keys.require("attention.sliding_window_pattern", len(pattern))
  return {"pattern": families.repeating(kinds)}


def _rotary(file: files.File, keys: _Keys, head_width: int) -> dict[str, Any]:
  """Returns the fields of rotary positions."""
  fields = {"rope_theta": float(keys.number("rope.freq_base", 10000.0))}
  scaling = keys.value("rope.scaling.type", "none")
  keys.value("rope.scaling.finetuned", False)  # Changes nothing.
  if scaling == "linear":
    factor = keys.number("rope.scaling.factor")
    return {**fields, "rope_scaling": "linear", "rope_factor": float(factor)}
  keys.require("rope.scaling.type", "none")
  if FREQUENCIES not in file.tensors:
    return fields
  divisors = file.read(FREQUENCIES)
  scaled = {
      **fields,
      **_LLAMA3,
      "rope_scaling": "llama3",
      "rope_factor": round(float(divisors.max()), 3),
  }
  arch = config.build(config.Model, head_width=head_width, **scaled)
  expected = _divisors(arch)
  if divisors.shape != expected.shape or not np.allclose(
      divisors, expected, 1e-3
  ):
    raise errors.InputError(
        f"{file.path}: {FREQUENCIES} does not have the values of Llama 3.1 and"
        " later; other ones are not supported. Use another model."
    )
  return scaled


def _divisors(arch: config.Model) -> np.ndarray:
  """Returns what scaling divides the speeds of pairs by."""
  plain, scaled = (
      rotary.speeds_of_pairs(arch, arch.rope_theta, scaling)
      for scaling in ("none", arch.rope_scaling)
  )
  return plain / scaled


def _vocab_size(file: files.File, keys: _Keys) -> int:
  """Returns the number of rows of the embedding."""
  if _EMBEDDING not in file.tensors:
    raise errors.InputError(
        f"{file.path}: the tensor {_EMBEDDING} is missing. It is not a language"
        " model, or the file is damaged."
    )
  rows = file.tensors[_EMBEDDING].shape[0]
  keys.require("vocab_size", rows)
  return rows
