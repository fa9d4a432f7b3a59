"""Reads and writes adapters in PEFT's files, without torch.

A matrix has A [rank, inputs] and B [outputs, rank], one tensor per layer;
`names` maps projections to matrices. If one matrix holds several projections
(GPT-2's query, key and value), they share its A, and its B is cut.
"""

from collections.abc import Iterable, Mapping
import functools
import math
import pathlib
import re
from typing import Any, NamedTuple

from flax import traverse_util
import jax
from jax import numpy as jnp
import numpy as np
import safetensors
import safetensors.numpy

from zsgen.core import artifacts, config, errors
from zsgen.models import layers, model
from zsgen.models.hugging_face import containers, families, files
from zsgen.models.hugging_face import names as names_lib

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_DTYPES = {"bfloat16": jnp.bfloat16, "float32": np.float32}
_PREFIX, _A, _B = "base_model.model.", ".lora_A.weight", ".lora_B.weight"
# The part of a key before a matrix's name in its layer.
_IN_LAYER = re.compile(r".*\.\d+\.")
# Values that adapter_config.json must have if it has the field. 1 is not True
# and 0 is not False.
_ALLOWED: dict[str, tuple] = {
    "peft_type": ("LORA",),
    "bias": ("none", None),
    # Other values change the base.
    "init_lora_weights": (True, False, None, "gaussian", "orthogonal", "eva"),
}
# Values of unknown fields that request nothing. Numbers are not among them:
# `layers_to_transform` 0 is the first layer.
_EMPTY = (None, False, {}, [])
# Fields that change no result, or that follow from the tensors.
_IRRELEVANT = (
    *("auto_mapping", "base_model_name_or_path", "inference_mode"),
    *("peft_version", "revision", "task_type", "megatron_core"),
    *("r", "lora_alpha", "use_rslora", "lora_dropout", "fan_in_fan_out"),
    *("target_modules", "exclude_modules", "layers_pattern"),
    *("qalora_group_size", "eva_config", "ensure_weight_tying"),
)


class _Piece(NamedTuple):
  """One layer of a projection's adapter.

  Attributes:
    path: path of the projection in the parameters.
    layer: index into the stack of layers; None if the parameter is not stacked.
    source: the source of the adapted matrix.
  """

  path: str
  layer: int | None
  source: names_lib.Source

  @property
  def key(self) -> str:
    """The name of the matrix in PEFT's files."""
    return _PREFIX + self.source.name.removesuffix(".weight")

  def select(self, leaf: Any) -> Any:
    """Selects this layer of a parameter."""
    return leaf[... if self.layer is None else self.layer]


def adapters_of(
    directory: pathlib.Path, arch: config.Model, requested: config.Lora
) -> config.Lora:
  """Returns the settings of the adapters that a directory holds.

  Args:
    directory: the directory of PEFT's files.
    arch: the architecture of the base.
    requested: the section `config.lora`; rank, alpha and targets come from the
      files and may be left at their defaults.

  Raises:
    InputError: files are missing or damaged, the adapters are not supported or
      belong to another base, or fields contradict the files.
  """
  settings = _read_settings(directory)
  rank, alpha = settings.get("r"), settings.get("lora_alpha")
  if type(rank) is not int or rank < 1 or type(alpha) not in (int, float):
    raise errors.InputError(
        f"{directory / CONFIG}: r is {rank!r} and lora_alpha {alpha!r}; both"
        " must be numbers. Save the adapter again."
    )
  assert alpha is not None, "it is a number"
  if settings.get("use_rslora"):
    alpha *= math.sqrt(rank)  # rsLoRA divides by the square root of the rank.
  tensors = _tensors(directory)
  pieces = _pieces(arch)
  targets = {
      layers.projection(piece.path)
      for piece in pieces
      if f"{piece.key}{_A}" in tensors
  }
  lora = config.Lora(
      rank=rank,
      alpha=float(alpha),
      targets="|".join(sorted(targets)),
      base=requested.base,
      init=requested.init,
  )
  _check_fits(directory, tensors, _expected_shapes(arch, lora), settings)
  _check_requested(
      requested, lora, {layers.projection(piece.path) for piece in pieces}
  )
  return lora


def load_adapters(
    directory: pathlib.Path,
    arch: config.Model,
    lora: config.Lora,
    shardings: Mapping[str, Any],
) -> dict[str, Any]:
  """Reads adapters onto the mesh.

  Args:
    directory: the directory of PEFT's files.
    arch: the architecture of the base.
    lora: the result of `adapters_of`.
    shardings: shardings of the adapters' parameters, as nested dictionaries.

  Returns:
    Nested dictionaries of float32 arrays with those shardings.
  """
  shapes, tensors = _shapes(arch, lora), _tensors(directory)
  flat_shardings = _flat(shardings)
  arrays = {
      path: np.zeros(shapes[path].shape, np.float32) for path in flat_shardings
  }
  for piece in _pieces(arch, lora):
    a = piece.select(arrays[f"{piece.path}/lora_a"])
    b = piece.select(arrays[f"{piece.path}/lora_b"])
    a[...] = tensors[piece.key + _A].T.reshape(a.shape)
    rows = b.reshape(lora.rank, -1)  # A view: padding of the head stays 0.
    first = piece.source.part * rows.shape[1]
    cut = tensors[piece.key + _B].T[:, first : first + rows.shape[1]]
    rows[:, : cut.shape[1]] = cut
  return traverse_util.unflatten_dict(
      {
          path: jax.make_array_from_callback(
              array.shape, flat_shardings[path], array.__getitem__
          )
          for path, array in arrays.items()
      },
      sep="/",
  )


def adapters_digest(directory: pathlib.Path) -> str:
  """Returns the SHA-256 over the files that define the adapters.

  Raises:
    InputError: zsgen exported the files, and they have changed since.
  """
  return artifacts.digest(artifacts.digest_used(directory, (CONFIG, WEIGHTS)))


def save_adapters(
    directory: pathlib.Path,
    params: Mapping[str, Any],
    arch: config.Model,
    lora: config.Lora,
    dtype: str = "float32",
    base: str | None = None,
) -> None:
  """Writes adapter_config.json and adapter_model.safetensors.

  Args:
    directory: the directory, which is created if needed.
    params: the adapters without the base, as nested dictionaries of arrays.
    arch: the architecture of the base.
    lora: the settings of the adapters.
    dtype: element type of the file: "float32" or "bfloat16".
    base: name or directory of the base, for PEFT; None if it has none.

  Raises:
    InputError: no Hugging Face family has this architecture, or one matrix of
      its files holds several projections.
  """
  pieces = _pieces(arch, lora)
  shared = sorted(piece.key for piece in pieces if piece.source.parts > 1)
  if shared:
    raise errors.InputError(
        f"{shared[0]} is one matrix in Hugging Face's files, with one adapter,"
        " but query, key and value have an adapter each, which PEFT's files"
        " cannot hold. Export them merged into the base:"
        " config.machine.export='merged'."
    )
  flat, tensors = _flat(params), {}
  for piece in pieces:
    a = np.asarray(piece.select(flat[f"{piece.path}/lora_a"]))
    b = np.asarray(piece.select(flat[f"{piece.path}/lora_b"]))
    size = arch.vocab_size if piece.path == "head" else None
    for name, matrix in (
        (_A, a.reshape(-1, lora.rank)),
        (_B, b.reshape(lora.rank, -1)[:, :size]),
    ):
      tensors[piece.key + name] = matrix.T
  directory.mkdir(parents=True, exist_ok=True)
  artifacts.write_json(directory / CONFIG, _settings(lora, pieces, base))
  containers.write(
      directory / WEIGHTS,
      {name: tensor.shape for name, tensor in tensors.items()},
      np.dtype(_DTYPES[dtype]),
      tensors.__getitem__,
  )


def _read_settings(directory: pathlib.Path) -> dict[str, Any]:
  """Returns adapter_config.json if its adapters are supported."""
  path = directory / CONFIG
  if not path.is_file():
    raise errors.InputError(
        f"config.lora.init: {path} does not exist. An adapter's directory holds"
        f" {CONFIG} and {WEIGHTS}, as PEFT's save_pretrained writes them."
    )
  settings = files.read_json(path)
  for field, value in settings.items():
    allowed = _ALLOWED.get(field, _EMPTY)
    is_allowed = any(
        type(value) is type(choice) and value == choice for choice in allowed
    )
    if field not in _IRRELEVANT and not is_allowed:
      raise errors.InputError(
          f"{path}: {field} is {value!r}, which is not supported; only"
          f" {allowed[0]!r} is. Merge the adapter into its base with PEFT and"
          " use the result: config.model.init='hf:DIRECTORY'."
      )
  return settings


def _tensors(directory: pathlib.Path) -> dict[str, np.ndarray]:
  """Returns the tensors of a directory, by PEFT's names."""
  path = directory / WEIGHTS
  if not path.is_file():
    raise errors.InputError(
        f"config.lora.init: {path} does not exist; pickles (.bin) can run"
        " code and are never read. Save the adapter as safetensors with PEFT."
    )
  try:
    return safetensors.numpy.load_file(path)
  except (
      safetensors.SafetensorError,
      OSError,
      ValueError,
      KeyError,
      TypeError,
  ) as error:
    raise errors.InputError(
        f"{path} is not a safetensors file ({error}). Download it again."
    ) from error


def _check_fits(
    directory: pathlib.Path,
    tensors: Mapping[str, np.ndarray],
    expected: Mapping[str, tuple[int, ...]],
    settings: Mapping[str, Any],
) -> None:
  """Raises InputError that lists every tensor that does not fit the base."""
  problems = [f"{name} is missing" for name in sorted({*expected} - {*tensors})]
  problems += [
      f"{name} {list(tensors[name].shape)} does not belong to it"
      for name in sorted({*tensors} - {*expected})
  ]
  problems += [
      f"{name} is {list(tensors[name].shape)}, not {list(expected[name])}"
      for name in sorted({*tensors} & {*expected})
      if tensors[name].shape != expected[name]
  ]
  problems += [
      f"{name} is {tensor.dtype}, not a floating-point type"
      for name, tensor in sorted(tensors.items())
      if not jnp.issubdtype(tensor.dtype, jnp.floating)
  ]
  if any(".base_layer." in name for name in {*tensors} - {*expected}):
    problems.append(
        "tensors of a base_layer belong to the base; PEFT leaves them"
    )
    problems[-1] += " out with save_pretrained(…, save_embedding_layers=False)"
  if problems:
    base = settings.get("base_model_name_or_path")
    raise errors.InputError(
        f"{directory / WEIGHTS}: {len(problems)} tensors do not fit the base:"
        f" {'; '.join(problems)}. They were trained on {base!r}: set"
        " config.model.init to it."
    )


def _check_requested(
    requested: config.Lora, actual: config.Lora, projections: Iterable[str]
) -> None:
  """Raises InputError for a setting that contradicts the files."""
  default = config.NO_LORA

  def match(pattern: str) -> list[str]:
    """Returns the names of the projections that a pattern matches, sorted."""
    return sorted(name for name in projections if re.fullmatch(pattern, name))

  for field in ("rank", "alpha", "targets"):
    value, file_value = getattr(requested, field), getattr(actual, field)
    is_same = value in (getattr(default, field), file_value)
    if field == "targets" and not is_same:
      is_same = match(value) == match(file_value)
    if not is_same:
      raise errors.InputError(
          f"config.lora.{field} is {value!r}, but the adapters of"
          f" {requested.init} have {file_value!r}. Leave it out; the files define it."
      )


def _settings(
    lora: config.Lora, pieces: Iterable[_Piece], base: str | None
) -> dict[str, Any]:
  """Returns the content of adapter_config.json."""
  alpha = lora.alpha
  return {
      "peft_type": "LORA",
      "task_type": "CAUSAL_LM",
      "base_model_name_or_path": base,
      "r": lora.rank,
      "lora_alpha": int(alpha) if alpha.is_integer() else alpha,
      "lora_dropout": 0.0,
      "target_modules": sorted({_module(piece) for piece in pieces}),
      "bias": "none",
      "fan_in_fan_out": not all(piece.source.flipped for piece in pieces),
      "inference_mode": True,
  }


def _module(piece: _Piece) -> str:
  """Returns the end of a matrix's name that all layers share."""
  return _IN_LAYER.sub("", piece.key.removeprefix(_PREFIX))


def _pieces(
    arch: config.Model, lora: config.Lora | None = None
) -> list[_Piece]:
  """Returns all projections by layer; only those with adapters, given `lora`."""
  kind, _ = families.family_of(arch)
  names = families.known()[kind].names
  pieces = []
  for path in _shapes(arch, lora or config.NO_LORA):
    projection, _, leaf = path.rpartition("/")
    if leaf == ("lora_a" if lora else "kernel"):
      sources = names_lib.sources(f"{projection}/kernel", arch, names)
      is_stacked = path.startswith("blocks/")
      pieces += [
          _Piece(projection, number if is_stacked else None, source)
          for number, source in enumerate(sources)
      ]
  return pieces


def _expected_shapes(
    arch: config.Model, lora: config.Lora
) -> dict[str, tuple[int, ...]]:
  """Returns the names and shapes that the tensors must have."""
  shapes, expected = _shapes(arch, lora), {}
  for piece in _pieces(arch, lora):
    lead = int(piece.layer is not None)
    a = shapes[f"{piece.path}/lora_a"].shape[lead:]
    b = shapes[f"{piece.path}/lora_b"].shape[lead:]
    outputs = math.prod(b[1:]) * piece.source.parts
    if piece.path == "head":
      outputs = arch.vocab_size
    expected[piece.key + _A] = (lora.rank, math.prod(a[:-1]))
    expected[piece.key + _B] = (outputs, lora.rank)
  return expected


@functools.cache
def _shapes(arch: config.Model, lora: config.Lora) -> dict[str, Any]:
  init = model.Model(arch, lora).init
  return _flat(jax.eval_shape(init, jax.random.key(0)))


def _flat(tree: Mapping[str, Any]) -> dict[str, Any]:
  return traverse_util.flatten_dict(tree, sep="/")
