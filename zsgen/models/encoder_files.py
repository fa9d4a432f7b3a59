"""Reads sentence encoders from Hugging Face directories.

config.json, model.safetensors and tokenizer.json are required. The files that
sentence-transformers adds are optional: modules.json (pooling, normalisation),
sentence_bert_config.json (longest text), config_sentence_transformers.json (the
prompt that precedes each text). Nothing is guessed: settings that this
project's encoder does not support are errors.
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
# Fields of Arch and their names in config.json.
_FIELDS = {
    "vocab_size": "vocab_size",
    "width": "hidden_size",
    "layers": "num_hidden_layers",
    "heads": "num_attention_heads",
    "mlp_width": "intermediate_size",
    "max_positions": "max_position_embeddings",
    "types": "type_vocab_size",
}
# Values that config.json must have if it has the field.
_REQUIRED = {
    "model_type": "bert",
    "position_embedding_type": "absolute",
    "is_decoder": False,
}
# Parameters and their names in model.safetensors.
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
  """A directory and the settings of the model in it.

  Attributes:
    directory: the directory of the files.
    arch: the architecture.
    pooling: a name in `encoder.POOLINGS`.
    normalize: whether vectors are scaled to length 1.
    max_length: tokens of the longest text, including [CLS] and [SEP].
    prefix: text that precedes each text.
    lowercase: whether texts are lowercased before the tokenizer sees them.
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
    """SHA-256 over all files that affect a vector."""
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
      Nested dictionaries of float32 arrays with the structure of
      `encoder.shapes`.

    Raises:
      InputError: a weight is missing, unexpected or has another shape.
    """
    path = self.directory / _WEIGHTS
    tensors = _tensors(path)
    shapes: Any = traverse_util.flatten_dict(encoder.shapes(self.arch), sep="/")
    sources = {
        name: _sources(name, leaf.shape, self.arch)
        for name, leaf in shapes.items()
    }
    _check(path, tensors, dict(sum(sources.values(), [])))
    return traverse_util.unflatten_dict(
        {
            name: _gather(name, leaf.shape, sources[name], tensors)
            for name, leaf in shapes.items()
        },
        sep="/",
    )


def read(directory: pathlib.Path) -> Files:
  """Reads the settings of a directory; `Files.params` reads the weights.

  Args:
    directory: a directory in Hugging Face's layout.

  Raises:
    InputError: a file is missing or damaged, or `encoder` does not
      support the model.
  """
  for name in (_CONFIG, _WEIGHTS, TOKENIZER):
    if not (directory / name).is_file():
      raise errors.InputError(
          f"{directory / name} does not exist. An encoder's directory holds"
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
  """Reads the architecture of an encoder.

  Raises:
    InputError: it is not supported, or the file is damaged.
  """
  config = _json(path, {})
  for field, expected in _REQUIRED.items():
    if config.get(field, expected) != expected:
      raise errors.InputError(
          f"{path}: {field} is {config[field]!r}, but only encoders with"
          f" {expected!r} are supported (BERT: MiniLM, bge, e5). Use one of"
          " them, or order by vectors from a file."
      )
  activation = config.get("hidden_act", "gelu")
  errors.choose(encoder.ACTIVATIONS, activation, f"{path}: hidden_act")
  sizes = {name: _size(path, config, key) for name, key in _FIELDS.items()}
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
  """Returns a field, a positive whole number.

  Raises:
    InputError: it is something else.
  """
  value = config.get(field)
  if not isinstance(value, int) or value < 1:
    raise errors.InputError(
        f"{path}: {field} is {value!r}, not a positive whole number. The file"
        " is damaged or not from a BERT model; download it again."
    )
  return value


def _max_length(directory: pathlib.Path, arch: encoder.Arch) -> int:
  """Returns the tokens after which texts are cut."""
  limit = _json(directory / _TEXTS, {}).get("max_seq_length")
  if limit is None:
    limit = _json(directory / _TOKENIZER_CONFIG, {}).get("model_max_length")
  if limit is None:
    return arch.max_positions
  if not isinstance(limit, int | float) or limit < 3:
    raise errors.InputError(
        f"{directory}: texts are cut to {limit!r} tokens, but [CLS] and [SEP]"
        f" already take two. Check {_TEXTS} and {_TOKENIZER_CONFIG}."
    )
  # Tokenizers without a limit have 1e30.
  return int(min(limit, arch.max_positions))


def _prefix(path: pathlib.Path) -> str:
  """Returns the text before each text; "" without a default prompt."""
  settings = _json(path, {})
  name, prompts = (
      settings.get("default_prompt_name"),
      settings.get("prompts") or {},
  )
  return errors.choose(prompts, name, f"{path}: prompts") if name else ""


def _modules(path: pathlib.Path) -> list[tuple[str, str]]:
  """Returns the class and directory of each module.

  Raises:
    InputError: a module is unknown or malformed.
  """
  modules = _json(path, [])
  try:
    classes = [(item["type"].split(".")[-1], item["path"]) for item in modules]
  except (AttributeError, LookupError, TypeError) as error:
    raise errors.InputError(
        f"{path}: a module has no type or path. Download it again."
    ) from error
  for name, _ in classes:
    if name not in ("Transformer", "Pooling", "Normalize"):
      raise errors.InputError(
          f"{path}: module {name} is not supported, only Transformer, Pooling"
          " and Normalize are. Use another encoder."
      )
  return classes


def _normalize(path: pathlib.Path) -> bool:
  """Returns whether vectors are scaled to length 1."""
  modules = _modules(path)
  return not modules or "Normalize" in [name for name, _ in modules]


def _pooling_path(directory: pathlib.Path) -> str:
  return dict(_modules(directory / _MODULES)).get("Pooling", _POOLING)


def _pooling(directory: pathlib.Path, prefix: str) -> str:
  """Returns how token vectors are pooled.

  Raises:
    InputError: the pooling is not supported.
  """
  option = f"{directory / _MODULES}: path of Pooling"
  path = paths.resolve_inside(directory, _pooling_path(directory), option)
  path /= _CONFIG
  settings = _json(path, {})
  modes = settings.get("pooling_mode") or [
      mode for field, mode in _MODES.items() if settings.get(field)
  ]
  modes = [modes] if isinstance(modes, str) else modes or ["mean"]
  if len(modes) > 1 or modes[0] not in encoder.POOLINGS:
    raise errors.InputError(
        f"{path}: pools by {' and '.join(modes)}, but only one of"
        f" {', '.join(encoder.POOLINGS)} is supported. Use another encoder."
    )
  if prefix and not settings.get("include_prompt", True):
    raise errors.InputError(
        f"{path}: include_prompt is false, but {_PROMPTS} has a prompt, and"
        " zsgen always includes it in the pooling. Use another encoder."
    )
  return modes[0]


def _json(path: pathlib.Path, default: T) -> T:
  """Returns the content of a JSON file, or `default` if there is no file.

  Raises:
    InputError: the content is not of the type of `default`.
  """
  if not path.is_file():
    return default
  content = strict_json.read(path, "Download it again.", unique=False)
  if not isinstance(content, type(default)):
    raise errors.InputError(
        f"{path} is not a JSON {type(default).__name__}. Download it again."
    )
  return content


def _tensors(path: pathlib.Path) -> dict[str, np.ndarray]:
  """Returns the weights of a file, without the prefix of models with a head."""
  try:
    tensors = safetensors.numpy.load_file(path)
  except (safetensors.SafetensorError, ValueError) as error:
    raise errors.InputError(
        f"{path} is not a safetensors file ({error}). Download it again."
    ) from error
  return {name.removeprefix("bert."): array for name, array in tensors.items()}


def _sources(
    name: str, shape: tuple[int, ...], arch: encoder.Arch
) -> list[tuple[str, tuple[int, ...]]]:
  """Returns the name and shape of each weight that a parameter is made of."""
  if name in _EMBEDDINGS:
    return [(_EMBEDDINGS[name], shape)]
  part, leaf = name.removeprefix("blocks/").rsplit("/", 1)
  size = math.prod(shape[1:])
  inputs = arch.mlp_width if part == "down" else arch.width
  file_shape = (size // inputs, inputs) if leaf == "kernel" else (size,)
  weight = f"{_LAYER[part]}.{'bias' if leaf == 'bias' else 'weight'}"
  layers = range(arch.layers)
  return [(f"encoder.layer.{layer}.{weight}", file_shape) for layer in layers]


def _gather(
    name: str,
    shape: tuple[int, ...],
    sources: list[tuple[str, tuple[int, ...]]],
    tensors: Mapping[str, np.ndarray],
) -> np.ndarray:
  """Builds a parameter from its weights; kernels are [out, in] in the file."""
  arrays = [tensors[source] for source, _ in sources]
  if name.endswith("kernel"):
    arrays = [array.T for array in arrays]
  return np.stack(arrays).astype(np.float32).reshape(shape)


def _check(
    path: pathlib.Path,
    tensors: Mapping[str, np.ndarray],
    expected: Mapping[str, tuple[int, ...]],
) -> None:
  """Raises InputError that lists every weight that does not fit config.json."""
  used = {name for name in tensors if not name.startswith(_UNUSED)}
  problems = [f"{name} is missing" for name in sorted({*expected} - used)]
  problems += [f"{name} is left over" for name in sorted(used - {*expected})]
  problems += [
      f"{name} is {tensors[name].shape}, not {expected[name]}"
      for name in sorted(used & {*expected})
      if tensors[name].shape != expected[name]
  ]
  if problems:
    raise errors.InputError(
        f"{path} does not match {_CONFIG} next to it: {'; '.join(problems)}. Download"
        " both again."
    )
