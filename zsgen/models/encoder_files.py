"""Sentence encoders as Hugging Face directories hold them.

Needed are config.json, model.safetensors and tokenizer.json. What
sentence-transformers writes beside them is followed where it is there:
modules.json (pooling, normalisation), sentence_bert_config.json (longest
text), config_sentence_transformers.json (the prompt put before each text).
Nothing is guessed: what this project's encoder does not compute is an error.
"""

from collections.abc import Mapping
import dataclasses
import functools
import math
import pathlib
from typing import Any, TypeVar

from flax import traverse_util
import numpy as np
import safetensors
import safetensors.numpy

from zsgen.core import artifacts, errors, paths, strict_json
from zsgen.models import encoder

T = TypeVar("T", dict, list)

TOKENIZER = "tokenizer.json"
_CONFIG, _WEIGHTS, _MODULES = "config.json", "model.safetensors", "modules.json"
_TOKENIZER_CONFIG = "tokenizer_config.json"
_TEXTS = "sentence_bert_config.json"
_PROMPTS = "config_sentence_transformers.json"
_POOLING = "1_Pooling"
# Fields of Arch, as config.json calls them.
_FIELDS = {
    "vocab_size": "vocab_size",
    "width": "hidden_size",
    "layers": "num_hidden_layers",
    "heads": "num_attention_heads",
    "mlp_width": "intermediate_size",
    "max_positions": "max_position_embeddings",
    "types": "type_vocab_size",
}
# What config.json may not say otherwise; it says so where it says nothing.
_MUST = {
    "model_type": "bert",
    "position_embedding_type": "absolute",
    "is_decoder": False,
}
# Parameters, as model.safetensors calls them.
_EMBEDDINGS = {
    "tokens": "embeddings.word_embeddings.weight",
    "positions": "embeddings.position_embeddings.weight",
    "types": "embeddings.token_type_embeddings.weight",
    "embedding_norm/scale": "embeddings.LayerNorm.weight",
    "embedding_norm/bias": "embeddings.LayerNorm.bias",
}
_LAYER = {
    "attention/query": "attention.self.query",
    "attention/key": "attention.self.key",
    "attention/value": "attention.self.value",
    "attention/out": "attention.output.dense",
    "attention_norm": "attention.output.LayerNorm",
    "up": "intermediate.dense",
    "down": "output.dense",
    "mlp_norm": "output.LayerNorm",
}
# Weights that no vector depends on.
_UNUSED = ("pooler.", "cls.", "embeddings.position_ids")
_MODES = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}


@dataclasses.dataclass(frozen=True)
class Files:
  """A directory, and what it says of the model in it.

  Attributes:
    directory: where the files are.
    arch: the architecture.
    pooling: a name in `encoder.POOLINGS`.
    normalize: whether vectors are given length 1.
    max_length: tokens of the longest text, [CLS] and [SEP] counted.
    prefix: put before each text.
    lowercase: whether texts are made lowercase, whatever the tokenizer does.
  """

  directory: pathlib.Path
  arch: encoder.Arch
  pooling: str
  normalize: bool
  max_length: int
  prefix: str
  lowercase: bool

  @functools.cached_property
  def digest(self) -> str:
    """SHA-256 over every file that decides a vector."""
    names = (
        *(_CONFIG, _WEIGHTS, TOKENIZER, _TOKENIZER_CONFIG, _MODULES),
        *(_TEXTS, _PROMPTS, f"{_pooling_path(self.directory)}/{_CONFIG}"),
    )
    present = [name for name in names if (self.directory / name).is_file()]
    return artifacts.digest(
        {name: artifacts.file_digest(self.directory / name) for name in present}
    )

  def params(self) -> dict[str, Any]:
    """Reads the weights.

    Returns:
      Nested dictionaries of float32 arrays, as `encoder.shapes` has them.

    Raises:
      InputError: a weight is missing, left over or of another shape.
    """
    path = self.directory / _WEIGHTS
    tensors = _tensors(path)
    shapes = traverse_util.flatten_dict(encoder.shapes(self.arch), sep="/")
    wanted = {
        name: _sources(name, leaf.shape, self.arch)
        for name, leaf in shapes.items()
    }
    _check(path, tensors, dict(sum(wanted.values(), [])))
    return traverse_util.unflatten_dict(
        {
            name: _gather(name, leaf.shape, wanted[name], tensors)
            for name, leaf in shapes.items()
        },
        sep="/",
    )


def read(directory: pathlib.Path) -> Files:
  """What a directory says of its model; the weights are read by `params`.

  Args:
    directory: in Hugging Face's layout.

  Raises:
    InputError: a file is missing or damaged, or the model is none that
      `encoder` computes.
  """
  for name in (_CONFIG, _WEIGHTS, TOKENIZER):
    if not (directory / name).is_file():
      raise errors.InputError(
          f"{directory / name} is not there. An encoder's directory holds"
          f" {_CONFIG}, {_WEIGHTS} and {TOKENIZER}; download all of them."
      )
  arch = _arch(directory / _CONFIG)
  prefix = _prefix(directory / _PROMPTS)
  return Files(
      directory=directory,
      arch=arch,
      pooling=_pooling(directory, prefix),
      normalize=_normalize(directory / _MODULES),
      max_length=_max_length(directory, arch),
      prefix=prefix,
      lowercase=bool(_json(directory / _TEXTS, {}).get("do_lower_case")),
  )


def _arch(path: pathlib.Path) -> encoder.Arch:
  config = _json(path, {})
  for field, wanted in _MUST.items():
    if config.get(field, wanted) != wanted:
      raise errors.InputError(
          f"{path}: {field} is {config[field]!r}, but only encoders with"
          f" {wanted!r} are computed here (BERT: MiniLM, bge, e5). Use one of"
          " them, or order by vectors from a file."
      )
  activation = config.get("hidden_act", "gelu")
  errors.choose(encoder.ACTIVATIONS, activation, f"{path}: hidden_act")
  sizes = {name: _size(path, config, said) for name, said in _FIELDS.items()}
  if sizes["width"] % sizes["heads"]:
    raise errors.InputError(
        f"{path}: num_attention_heads does not divide hidden_size. The file is"
        " damaged; download it again."
    )
  return encoder.Arch(
      **sizes,
      activation=activation,
      norm_eps=float(config.get("layer_norm_eps", 1e-12)),
  )


def _size(path: pathlib.Path, config: Mapping[str, Any], field: str) -> int:
  value = config.get(field)
  if not isinstance(value, int) or value < 1:
    raise errors.InputError(
        f"{path}: {field} is {value!r}, not a positive whole number. The file"
        " is damaged or not one of BERT's; download it again."
    )
  return value


def _max_length(directory: pathlib.Path, arch: encoder.Arch) -> int:
  said = _json(directory / _TEXTS, {}).get("max_seq_length")
  if said is None:
    said = _json(directory / _TOKENIZER_CONFIG, {}).get("model_max_length")
  if said is None:
    return arch.max_positions
  if not isinstance(said, int | float) or said < 3:
    raise errors.InputError(
        f"{directory}: texts are cut at {said!r} tokens, but [CLS] and [SEP]"
        f" alone are two. Look at {_TEXTS} and {_TOKENIZER_CONFIG}."
    )
  # Tokenizers without a limit say 1e30.
  return int(min(said, arch.max_positions))


def _prefix(path: pathlib.Path) -> str:
  said = _json(path, {})
  name, prompts = said.get("default_prompt_name"), said.get("prompts") or {}
  return errors.choose(prompts, name, f"{path}: prompts") if name else ""


def _modules(path: pathlib.Path) -> list[tuple[str, str]]:
  """Class and directory of each module; InputError for one unknown."""
  modules = _json(path, [])
  try:
    found = [(each["type"].split(".")[-1], each["path"]) for each in modules]
  except (AttributeError, LookupError, TypeError) as error:
    raise errors.InputError(
        f"{path}: a module has no type or path. Download it again."
    ) from error
  for name, _ in found:
    if name not in ("Transformer", "Pooling", "Normalize"):
      raise errors.InputError(
          f"{path}: a module {name} is not computed here, only Transformer,"
          " Pooling and Normalize are. Use another encoder."
      )
  return found


def _normalize(path: pathlib.Path) -> bool:
  modules = _modules(path)
  return not modules or "Normalize" in [name for name, _ in modules]


def _pooling_path(directory: pathlib.Path) -> str:
  return dict(_modules(directory / _MODULES)).get("Pooling", _POOLING)


def _pooling(directory: pathlib.Path, prefix: str) -> str:
  where = f"{directory / _MODULES}: path of Pooling"
  path = paths.resolve_inside(directory, _pooling_path(directory), where)
  path /= _CONFIG
  said = _json(path, {})
  modes = said.get("pooling_mode") or [
      mode for field, mode in _MODES.items() if said.get(field)
  ]
  modes = [modes] if isinstance(modes, str) else modes or ["mean"]
  if len(modes) > 1 or modes[0] not in encoder.POOLINGS:
    raise errors.InputError(
        f"{path}: pools by {' and '.join(modes)}, but one of"
        f" {', '.join(encoder.POOLINGS)} is computed here. Use another encoder."
    )
  if prefix and not said.get("include_prompt", True):
    raise errors.InputError(
        f"{path}: include_prompt is false, but {_PROMPTS} has a prompt, which"
        " is always pooled here. Use another encoder."
    )
  return modes[0]


def _json(path: pathlib.Path, absent: T) -> T:
  """Content of a file, of the type of `absent`, which stands for no file."""
  if not path.is_file():
    return absent
  found = strict_json.read(path, "Download it again.", unique=False)
  if not isinstance(found, type(absent)):
    raise errors.InputError(
        f"{path} is not a JSON {type(absent).__name__}. Download it again."
    )
  return found


def _tensors(path: pathlib.Path) -> dict[str, np.ndarray]:
  """The file's weights, without the prefix of a model with a head."""
  try:
    tensors = safetensors.numpy.load_file(path)
  except (safetensors.SafetensorError, ValueError) as error:
    raise errors.InputError(
        f"{path} is not a safetensors file ({error}). Download it again."
    ) from error
  return {name.removeprefix("bert."): each for name, each in tensors.items()}


def _sources(
    name: str, shape: tuple[int, ...], arch: encoder.Arch
) -> list[tuple[str, tuple[int, ...]]]:
  """The weights that make a parameter: name and shape of each in the file."""
  if name in _EMBEDDINGS:
    return [(_EMBEDDINGS[name], shape)]
  part, leaf = name.removeprefix("blocks/").rsplit("/", 1)
  size = math.prod(shape[1:])
  inputs = arch.mlp_width if part == "down" else arch.width
  kept = (size // inputs, inputs) if leaf == "kernel" else (size,)
  said = f"{_LAYER[part]}.{'bias' if leaf == 'bias' else 'weight'}"
  layers = range(arch.layers)
  return [(f"encoder.layer.{layer}.{said}", kept) for layer in layers]


def _gather(
    name: str,
    shape: tuple[int, ...],
    sources: list[tuple[str, tuple[int, ...]]],
    tensors: Mapping[str, np.ndarray],
) -> np.ndarray:
  """A parameter from its weights; kernels lie [out, in] in the file."""
  found = [tensors[source] for source, _ in sources]
  if name.endswith("kernel"):
    found = [each.T for each in found]
  return np.stack(found).astype(np.float32).reshape(shape)


def _check(
    path: pathlib.Path,
    found: Mapping[str, np.ndarray],
    wanted: Mapping[str, tuple[int, ...]],
) -> None:
  """Raises listing every weight that is not as config.json says."""
  used = {name for name in found if not name.startswith(_UNUSED)}
  wrong = [f"{name} is missing" for name in sorted({*wanted} - used)]
  wrong += [f"{name} is left over" for name in sorted(used - {*wanted})]
  wrong += [
      f"{name} is {found[name].shape}, not {wanted[name]}"
      for name in sorted(used & {*wanted})
      if found[name].shape != wanted[name]
  ]
  if wrong:
    raise errors.InputError(
        f"{path} does not fit {_CONFIG} beside it: {'; '.join(wrong)}. Download"
        " both again."
    )
