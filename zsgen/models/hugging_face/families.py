"""Families of models: config.json in fields of the one decoder, and back.

A family is what config.json calls the decoder's fields and what goes without
saying. No architecture belongs to a family: on export the first one that says
the same is taken.
"""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import os
import pathlib
from typing import Any

from zsgen.core import config, errors, registry, schema, texts
from zsgen.models.hugging_face import files, names, rope

# Fields of config.Model that are no part of an architecture.
OWN = ("init", "dtype", "vocab_multiple", "init_std")
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
_GEMMA_IS = {
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
_GPT2_IS = {
    "norm": "layer",
    "gated": False,
    "positions": "learned",
    "qkv_bias": True,
    "out_bias": True,
    "mlp_bias": True,
}
# What config.json may not say otherwise.
_MUST: dict[str, tuple] = {
    "quantization_config": (None,),
    "use_bidirectional_attention": (None, False),
    "add_cross_attention": (None, False),
    "scale_attn_weights": (None, True),
    "scale_attn_by_inverse_layer_idx": (None, False),
}
# Bounds of sizes.
_MOST, _LARGEST = {"layers": 10_000}, 2**31
_ACTIVATIONS = {
    "silu": "silu",
    "swish": "silu",
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "relu": "relu",
}
_WRITTEN = {"gelu_tanh": "gelu_pytorch_tanh"}
_KINDS = {"full_attention": "global", "sliding_attention": "local"}


@dataclasses.dataclass(frozen=True)
class Family:
  """What a family's config.json says.

  Attributes:
    architecture: transformers' class.
    fields: of `config.Model`, as config.json calls them.
    names: what its weights are called.
    is_: fields of `config.Model` that go without saying.
    windows: "none": no block has one; "all": all have it or none;
      "layers": each layer's kind is listed; "switched": so, and a switch.
    must: what config.json may not say otherwise, beside `_MUST`.
  """

  architecture: str
  fields: Mapping[str, str]
  names: names.Names
  is_: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  windows: str = "none"
  must: Mapping[str, tuple] = dataclasses.field(default_factory=dict)


# By model_type. The first that fits an architecture is the one exported.
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
        "Gemma2ForCausalLM", _GEMMA, names.GEMMA, _GEMMA_IS, windows="layers"
    ),
    "gemma3_text": Family(
        "Gemma3ForCausalLM",
        {mine: _GEMMA[mine] for mine in _GEMMA if mine != "score_cap"},
        names.GEMMA,
        {**_GEMMA_IS, "qk_norm": True},
        windows="layers",
        # transformers reads it, and leaves it out of what it computes.
        must={"attn_logit_softcapping": (None,)},
    ),
    "gpt2": Family("GPT2LMHeadModel", _GPT2, names.GPT2, _GPT2_IS),
}


def _register(name: str, family: Family) -> None:
  """Registers a family of this file."""

  @registry.model_family(name)
  def build() -> Family:
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
  """The architecture that a directory's config.json describes.

  Args:
    directory: in Hugging Face's layout.

  Returns:
    An architecture with `init` "new".

  Raises:
    InputError: no config.json, or a model that the decoder does not compute.
  """
  kind = kind_of(directory)
  path = directory / files.CONFIG
  said = files.read_json(path)
  _check_sizes(said, kind, path)
  try:
    # Fills in what older files leave out or call otherwise.
    filled = _config_class(kind).from_dict(said).to_dict()
  except Exception as error:  # transformers raises many kinds.
    reason = " ".join(str(error).split())
    raise errors.InputError(
        f"{path}: transformers cannot read it ({reason}). Download it again."
    ) from error
  try:
    return _arch(filled, known()[kind], str(path))
  except (ArithmeticError, LookupError, TypeError, ValueError) as error:
    raise errors.InputError(
        f"{path}: a field is missing or is not a valid number"
        f" ({type(error).__name__}: {error}). Download it again."
    ) from error


def _check_sizes(
    said: Mapping[str, Any], kind: str, path: pathlib.Path
) -> None:
  """Raises InputError for sizes that no model has; layers are made lists of."""
  fields = known()[kind].fields
  for mine, theirs in fields.items():
    value, most = said.get(theirs), _MOST.get(mine, _LARGEST)
    if isinstance(value, int) and abs(value) > most:
      raise errors.InputError(
          f"{path}: {theirs} is {texts.short(str(value), 40)}, more than any"
          f" model has ({most:,}). The file is damaged; download it again."
      )


def kind_of(directory: pathlib.Path) -> str:
  """The model_type of a directory: a name of `known`.

  Raises:
    InputError: no config.json, or another model.
  """
  path = directory / files.CONFIG
  said = files.read_json(path)
  kind = said.get("model_type")
  if kind not in known():
    raise errors.InputError(
        f"{path}: model_type {kind!r} is not computed here. There are:"
        f" {', '.join(known())}.{_instead(said)}"
    )
  return kind


def family_of(
    arch: config.Model, base: Mapping[str, Any] | None = None
) -> tuple[str, dict[str, Any]]:
  """The family that says what an architecture is.

  Args:
    arch: the architecture.
    base: a config.json that is taken, with all that it says, if it is of this
      architecture.

  Returns:
    Its model_type, and the content of config.json.

  Raises:
    InputError: no family has such an architecture.
  """
  bare = _bare(arch)
  if base is not None and (said := _moved(base, bare)):
    return said["model_type"], said
  refusals = []
  for kind, family in known().items():
    try:
      said = _said(bare, family)
      filled = _config_class(kind)(**said).to_dict()
      found = _arch(filled, family, kind)
    except Exception as error:  # transformers raises many kinds.
      refusals.append(f"{kind}: {' '.join(str(error).split())}")
      continue
    differing = _differing(found, bare)
    if not differing:
      named = dict(model_type=kind, architectures=[family.architecture])
      return kind, {**said, **named}
    refusals.append(f"{kind}: {', '.join(differing)}")
  raise errors.InputError(
      "No Hugging Face family has the architecture of config.model; what"
      f" each says otherwise: {'; '.join(refusals)}. The run's checkpoints"
      " hold the parameters all the same: config.model.init='run:DIRECTORY'."
  )


def _moved(said: Mapping[str, Any], arch: config.Model) -> dict[str, Any]:
  """A config.json with the positions of `arch`; {} if it is another's."""
  family = known()[said["model_type"]]
  found = dict(said)
  positions = family.fields["max_positions"]
  if found.get(positions, arch.max_positions) != arch.max_positions:
    found[positions] = arch.max_positions
  filled = _config_class(said["model_type"]).from_dict(found).to_dict()
  if _differing(_arch(filled, family, files.CONFIG), arch):
    return {}
  return {**found, "architectures": [family.architecture]}


def _config_class(kind: str) -> Callable[..., Any]:
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


def _instead(said: Mapping[str, Any]) -> str:
  """What to do with a model that is more than its text."""
  text = said.get("text_config")
  if isinstance(text, Mapping) and text.get("model_type") in known():
    return (
        " Its text_config is: save the language model alone, by transformers'"
        " Auto class for causal models, and give that directory."
    )
  return ""


def _bare(arch: config.Model) -> config.Model:
  """The architecture without what is no part of it."""
  defaults = config.Model()
  own = {name: getattr(defaults, name) for name in OWN}
  return dataclasses.replace(arch, **{**own, "init": "new"})


def _differing(found: config.Model, wanted: config.Model) -> list[str]:
  return [
      f"{field.name} {getattr(found, field.name)!r}"
      for field in dataclasses.fields(config.Model)
      if getattr(found, field.name) != getattr(wanted, field.name)
  ]


def _arch(said: Mapping[str, Any], family: Family, where: str) -> config.Model:
  """Fields of the decoder from a config.json that is filled in."""
  for field, allowed in {**_MUST, **family.must}.items():
    if said.get(field) not in allowed:
      raise errors.InputError(
          f"{where}: {field} is {said[field]!r}, which is not computed here;"
          f" only {allowed[-1]!r} is. Use another model."
      )
  fields = {**family.is_, "init": "new"}
  for mine, theirs in family.fields.items():
    fields[mine] = said.get(theirs)
  fields["activation"] = errors.choose(
      _ACTIVATIONS, fields["activation"], f"{where}: activation"
  )
  width, heads = fields["width"], fields["heads"]
  if fields.get("kv_heads") is None:
    fields["kv_heads"] = heads
  if fields.get("head_width") is None:
    fields["head_width"] = width // heads
  if fields["mlp_width"] is None:
    fields["mlp_width"] = 4 * width
  if family.is_.get("positions") != "learned":
    fields |= rope.fields(said["rope_parameters"], where)
  fields |= _windows(said, family, where)
  for name in {"query_width", "score_cap", "logit_cap"} & fields.keys():
    fields[name] = fields[name] or 0.0
  if fields.get("query_width") == fields["head_width"]:
    fields["query_width"] = 0.0
  # Checks types and ranges: what a damaged file says is told by its field.
  return schema.check_section(config.Model, fields, where)


def _windows(
    said: Mapping[str, Any], family: Family, where: str
) -> dict[str, Any]:
  """The fields `pattern` and `window`."""
  window = said.get("sliding_window")
  if family.windows == "none" or not window:
    return {}
  if family.windows == "all":
    return {"pattern": ("local",), "window": window}
  kinds = [
      errors.choose(_KINDS, kind, f"{where}: layer_types")
      for kind in said["layer_types"]
  ]
  if "local" not in kinds:
    return {}
  return {"pattern": _repeating(kinds), "window": window}


def _repeating(kinds: Sequence[str]) -> tuple[str, ...]:
  """The shortest pattern whose repeats begin with all the kinds."""
  for size in range(1, len(kinds) + 1):
    if all(kind == kinds[i % size] for i, kind in enumerate(kinds)):
      return tuple(kinds[:size])
  raise AssertionError("A list repeats itself.")


def _said(arch: config.Model, family: Family) -> dict[str, Any]:
  """What config.json says of an architecture; what it cannot say is lost."""
  said = {theirs: getattr(arch, mine) for mine, theirs in family.fields.items()}
  activation = family.fields["activation"]
  said[activation] = _WRITTEN.get(said[activation], said[activation])
  if family.names is names.GPT2 and arch.activation == "gelu_tanh":
    said[activation] = "gelu_new"
  for field in ("attn_logit_softcapping", "final_logit_softcapping"):
    if field in said:
      said[field] = said[field] or None
  if "query_pre_attn_scalar" in said:
    said["query_pre_attn_scalar"] = round(arch.query_width) or arch.head_width
  if family.is_.get("positions") != "learned":
    said["rope_parameters"] = rope.described(arch)
  local = "local" in arch.pattern
  if family.windows != "none":
    said["sliding_window"] = arch.window if local else None
  if family.windows == "switched":
    said["use_sliding_window"] = local
  if family.windows in ("layers", "switched"):
    written = {mine: theirs for theirs, mine in _KINDS.items()}
    repeats = -(-arch.layers // len(arch.pattern))
    kinds = (arch.pattern * repeats)[: arch.layers]
    said["layer_types"] = [written[kind] for kind in kinds]
  return said
