"""Families of models: translates config.json to the decoder's fields and back.

A family defines the names of the decoder's fields in config.json and the fields
that are implied. An architecture does not belong to a family: an export uses
the first family that describes it.
"""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import os
import pathlib
from typing import Any

from zsgen.core import config, errors, registry, schema, texts
from zsgen.models.hugging_face import files, names, rope

# Fields of config.Model that are not part of an architecture.
NOT_ARCHITECTURE = ("init", "dtype", "vocab_multiple", "init_std")
_COMMON = {
    "vocab_size": "vocab_size",
    "layers": "num_hidden_layers",
    "width": "hidden_size",
    "heads": "num_attention_heads",
    "kv_heads": "num_key_value_heads",
    "head_width": "head_dim",
    "mlp_width": "intermediate_size",
    "activation": "hidden_act",
    "norm_eps": "rms_norm_eps",
    "max_positions": "max_position_embeddings",
    "tied": "tie_word_embeddings",
}
_BIASES = {"qkv_bias": "attention_bias", "out_bias": "attention_bias"}
_GEMMA = {
    **_COMMON,
    **_BIASES,
    "activation": "hidden_activation",
    "query_width": "query_pre_attn_scalar",
    "score_cap": "attn_logit_softcapping",
    "logit_cap": "final_logit_softcapping",
}
_GEMMA_IMPLIED = {
    "norm_plus_one": True,
    "post_norms": True,
    "embedding_scaled": True,
}
_GPT2 = {
    "vocab_size": "vocab_size",
    "layers": "n_layer",
    "width": "n_embd",
    "heads": "n_head",
    "mlp_width": "n_inner",
    "activation": "activation_function",
    "norm_eps": "layer_norm_epsilon",
    "max_positions": "n_positions",
    "tied": "tie_word_embeddings",
}
_GPT2_IMPLIED = {
    "norm": "layer",
    "gated": False,
    "positions": "learned",
    "qkv_bias": True,
    "out_bias": True,
    "mlp_bias": True,
}
# Values that config.json must have if it has the field.
_ALLOWED: dict[str, tuple] = {
    "quantization_config": (None,),
    "use_bidirectional_attention": (None, False),
    "add_cross_attention": (None, False),
    "scale_attn_weights": (None, True),
    "scale_attn_by_inverse_layer_idx": (None, False),
}
# Largest sizes.
_LARGEST_OF, _LARGEST = {"layers": 10_000}, 2**31
_ACTIVATIONS = {
    "silu": "silu",
    "swish": "silu",
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "relu": "relu",
}
_EXPORTED_ACTIVATIONS = {"gelu_tanh": "gelu_pytorch_tanh"}
_KINDS = {"full_attention": "global", "sliding_attention": "local"}


@dataclasses.dataclass(frozen=True)
class Family:
  """A family's config.json.

  Attributes:
    architecture: the class in transformers.
    fields: fields of `config.Model` and their names in config.json.
    names: the names of the weights.
    implied: fields of `config.Model` that config.json does not have.
    windows: "none": no block has a window; "all": all blocks have it or none;
      "layers": the kind of every layer is listed; "switched": the same, with a
      switch.
    allowed: values that config.json must have, in addition to `_ALLOWED`.
  """

  architecture: str
  fields: Mapping[str, str]
  names: names.Names
  implied: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  windows: str = "none"
  allowed: Mapping[str, tuple] = dataclasses.field(default_factory=dict)


# Keyed by model_type. An export uses the first one that fits the architecture.
_FAMILIES = {
    "llama": Family(
        "LlamaForCausalLM",
        {**_COMMON, **_BIASES, "mlp_bias": "mlp_bias"},
        names.LLAMA,
    ),
    "mistral": Family(
        "MistralForCausalLM", _COMMON, names.LLAMA, windows="all"
    ),
    "qwen2": Family(
        "Qwen2ForCausalLM",
        _COMMON,
        names.LLAMA,
        {"qkv_bias": True},
        windows="switched",
    ),
    "qwen3": Family(
        "Qwen3ForCausalLM",
        {**_COMMON, **_BIASES},
        names.LLAMA,
        {"qk_norm": True},
        windows="switched",
    ),
    "gemma2": Family(
        "Gemma2ForCausalLM",
        _GEMMA,
        names.GEMMA,
        _GEMMA_IMPLIED,
        windows="layers",
    ),
    "gemma3_text": Family(
        "Gemma3ForCausalLM",
        {name: _GEMMA[name] for name in _GEMMA if name != "score_cap"},
        names.GEMMA,
        {**_GEMMA_IMPLIED, "qk_norm": True},
        windows="layers",
        # transformers reads the field but ignores it.
        allowed={"attn_logit_softcapping": (None,)},
    ),
    "gpt2": Family("GPT2LMHeadModel", _GPT2, names.GPT2, _GPT2_IMPLIED),
}


def _register(name: str, family: Family) -> None:
  """Registers a family of this file."""

  @registry.model_family(name)
  def build() -> Family:
    """Returns the family, as the registry asks for it."""
    return family


for _name, _family in _FAMILIES.items():
  _register(_name, _family)


def known() -> dict[str, Family]:
  """Returns all families by model_type, those of plug-ins last."""
  registered = {
      component.name: component.build()
      for component in registry.components("model_family")
  }
  return {name: registered.pop(name) for name in _FAMILIES} | registered


def arch_of(directory: pathlib.Path) -> config.Model:
  """Returns the architecture that a directory's config.json describes.

  Args:
    directory: a directory in Hugging Face's layout.

  Returns:
    An architecture with `init` "new".

  Raises:
    InputError: there is no config.json, or the model is not supported.
  """
  kind = kind_of(directory)
  path = directory / files.CONFIG
  settings = files.read_json(path)
  _check_sizes(settings, kind, path)
  try:
    # Completes older files and renames their fields.
    complete = _config_class(kind).from_dict(settings).to_dict()
  except Exception as error:  # transformers raises many types.
    reason = " ".join(str(error).split())
    raise errors.InputError(
        f"{path}: transformers cannot read it ({reason}). Download it again."
    ) from error
  try:
    return _arch(complete, known()[kind], str(path))
  except (ArithmeticError, LookupError, TypeError, ValueError) as error:
    raise errors.InputError(
        f"{path}: a field is missing or is not a valid number"
        f" ({type(error).__name__}: {error}). Download it again."
    ) from error


def _check_sizes(
    settings: Mapping[str, Any], kind: str, path: pathlib.Path
) -> None:
  """Raises InputError for sizes that no model has, before lists are built."""
  fields = known()[kind].fields
  for field, key in fields.items():
    value, largest = settings.get(key), _LARGEST_OF.get(field, _LARGEST)
    if isinstance(value, int) and abs(value) > largest:
      raise errors.InputError(
          f"{path}: {key} is {texts.short(str(value), 40)}, more than any"
          f" model has ({largest:,}). The file is damaged; download it again."
      )


def kind_of(directory: pathlib.Path) -> str:
  """Returns the model_type of a directory: a name in `known`.

  Raises:
    InputError: there is no config.json, or the model is not supported.
  """
  path = directory / files.CONFIG
  settings = files.read_json(path)
  kind = settings.get("model_type")
  if kind not in known():
    raise errors.InputError(
        f"{path}: model_type {kind!r} is not supported. Supported are"
        f" {', '.join(known())}.{_advice(settings)}"
    )
  return kind


def family_of(
    arch: config.Model, base: Mapping[str, Any] | None = None
) -> tuple[str, dict[str, Any]]:
  """Returns the family that can describe an architecture.

  Args:
    arch: the architecture.
    base: a config.json whose other settings are kept if it has this
      architecture.

  Returns:
    The model_type and the content of config.json.

  Raises:
    InputError: no family has this architecture.
  """
  bare = _bare(arch)
  if base is not None and (settings := _update_base(base, bare)):
    return settings["model_type"], settings
  refusals = []
  for kind, family in known().items():
    try:
      settings = _describe(bare, family)
      complete = _config_class(kind)(**settings).to_dict()
      described = _arch(complete, family, kind)
    except Exception as error:  # transformers raises many types.
      refusals.append(f"{kind}: {' '.join(str(error).split())}")
      continue
    differing = _differing(described, bare)
    if not differing:
      identity = dict(model_type=kind, architectures=[family.architecture])
      return kind, {**settings, **identity}
    refusals.append(f"{kind}: {', '.join(differing)}")
  raise errors.InputError(
      "No Hugging Face family has the architecture of config.model; the"
      f" differences are: {'; '.join(refusals)}. The run's checkpoints still"
      " hold the parameters: config.model.init='run:DIRECTORY'."
  )


def _update_base(base: Mapping[str, Any], arch: config.Model) -> dict[str, Any]:
  """Returns a config.json with the positions of `arch`, or {} if it differs."""
  family = known()[base["model_type"]]
  settings = dict(base)
  key = family.fields["max_positions"]
  if settings.get(key, arch.max_positions) != arch.max_positions:
    settings[key] = arch.max_positions
  complete = _config_class(base["model_type"]).from_dict(settings).to_dict()
  if _differing(_arch(complete, family, files.CONFIG), arch):
    return {}
  return {**settings, "architectures": [family.architecture]}


def _config_class(kind: str) -> Callable[..., Any]:
  """Imports transformers; returns the class of a config.json."""
  os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")
  try:
    import transformers  # Heavy and optional: extra hf.
  except ImportError as error:
    raise errors.InputError(
        "Hugging Face models need transformers (for config.json, not torch):"
        " pip install 'zsgen[hf]'."
    ) from error
  transformers.logging.set_verbosity_error()
  return transformers.CONFIG_MAPPING[kind]


def _advice(settings: Mapping[str, Any]) -> str:
  """Returns what to do about a model that is not only a text model."""
  text = settings.get("text_config")
  if isinstance(text, Mapping) and text.get("model_type") in known():
    return (
        " Its text_config is: save the language model on its own with"
        " transformers' Auto class for causal models, and use that directory."
    )
  return ""


def _bare(arch: config.Model) -> config.Model:
  """Returns the architecture without the fields that are not part of it."""
  defaults = config.Model()
  unset = {name: getattr(defaults, name) for name in NOT_ARCHITECTURE}
  return dataclasses.replace(arch, **{**unset, "init": "new"})


def _differing(actual: config.Model, expected: config.Model) -> list[str]:
  """Returns the options that differ from the expected ones."""
  return [
      f"{field.name} {getattr(actual, field.name)!r}"
      for field in dataclasses.fields(config.Model)
      if getattr(actual, field.name) != getattr(expected, field.name)
  ]


def _arch(
    settings: Mapping[str, Any], family: Family, source: str
) -> config.Model:
  """Returns the decoder's fields from a complete config.json."""
  for field, allowed in {**_ALLOWED, **family.allowed}.items():
    if settings.get(field) not in allowed:
      raise errors.InputError(
          f"{source}: {field} is {settings[field]!r}, which is not supported;"
          f" only {allowed[-1]!r} is. Use another model."
      )
  fields = {**family.implied, "init": "new"}
  for name, key in family.fields.items():
    fields[name] = settings.get(key)
  fields["activation"] = errors.choose(
      _ACTIVATIONS, fields["activation"], f"{source}: activation"
  )
  width, heads = fields["width"], fields["heads"]
  if fields.get("kv_heads") is None:
    fields["kv_heads"] = heads
  if fields.get("head_width") is None:
    fields["head_width"] = width // heads
  if fields["mlp_width"] is None:
    fields["mlp_width"] = 4 * width
  if family.implied.get("positions") != "learned":
    fields |= rope.fields(settings["rope_parameters"], source)
  fields |= _windows(settings, family, source)
  for name in {"query_width", "score_cap", "logit_cap"} & fields.keys():
    fields[name] = fields[name] or 0.0
  if fields.get("query_width") == fields["head_width"]:
    fields["query_width"] = 0.0
  # Checks types and ranges, so that errors of damaged files name the field.
  return schema.check_section(config.Model, fields, source)


def _windows(
    settings: Mapping[str, Any], family: Family, source: str
) -> dict[str, Any]:
  """Returns the fields `pattern` and `window`."""
  window = settings.get("sliding_window")
  if family.windows == "none" or not window:
    return {}
  if family.windows == "all":
    return {"pattern": ("local",), "window": window}
  kinds = [
      errors.choose(_KINDS, kind, f"{source}: layer_types")
      for kind in settings["layer_types"]
  ]
  if "local" not in kinds:
    return {}
  return {"pattern": repeating(kinds), "window": window}


def repeating(kinds: Sequence[str]) -> tuple[str, ...]:
  """Returns the shortest pattern that, repeated, starts with all the kinds."""
  for size in range(1, len(kinds) + 1):
    if all(kind == kinds[i % size] for i, kind in enumerate(kinds)):
      return tuple(kinds[:size])
  raise AssertionError("Every list is its own pattern.")


def _describe(arch: config.Model, family: Family) -> dict[str, Any]:
  """Returns config.json for an architecture; unsupported fields are lost."""
  settings = {key: getattr(arch, name) for name, key in family.fields.items()}
  activation = family.fields["activation"]
  settings[activation] = _EXPORTED_ACTIVATIONS.get(
      settings[activation], settings[activation]
  )
  if family.names is names.GPT2 and arch.activation == "gelu_tanh":
    settings[activation] = "gelu_new"
  for field in ("attn_logit_softcapping", "final_logit_softcapping"):
    if field in settings:
      settings[field] = settings[field] or None
  if "query_pre_attn_scalar" in settings:
    settings["query_pre_attn_scalar"] = (
        round(arch.query_width) or arch.head_width
    )
  if family.implied.get("positions") != "learned":
    settings["rope_parameters"] = rope.describe(arch)
  has_window = "local" in arch.pattern
  if family.windows != "none":
    settings["sliding_window"] = arch.window if has_window else None
  if family.windows == "switched":
    settings["use_sliding_window"] = has_window
  if family.windows in ("layers", "switched"):
    layer_names = {kind: name for name, kind in _KINDS.items()}
    repeats = -(-arch.layers // len(arch.pattern))
    kinds = (arch.pattern * repeats)[: arch.layers]
    settings["layer_types"] = [layer_names[kind] for kind in kinds]
  return settings
