"""Adapters as PEFT's files hold them, in and out, without torch.

Of a matrix there are A [rank, inputs] and B [outputs, rank], each layer's a
tensor; `names` says which matrix a projection is. Where one matrix holds
several projections (GPT-2's query, key and value), its A is read as that of
each of them, and its B is cut.
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
from zsgen.models.hugging_face import families, files
from zsgen.models.hugging_face import names as names_lib

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_DTYPES = {"bfloat16": jnp.bfloat16, "float32": np.float32}
_PREFIX, _A, _B = "base_model.model.", ".lora_A.weight", ".lora_B.weight"
# What stands before a matrix' name in its layer.
_IN_LAYER = re.compile(r".*\.\d+\.")
# What adapter_config.json may not say otherwise. 1 is not True, nor 0 False.
_MUST: dict[str, tuple] = {
    "peft_type": ("LORA",),
    "bias": ("none", None),
    # Others change the base.
    "init_lora_weights": (True, False, None, "gaussian", "orthogonal", "eva"),
}
# What a field that is not known says where it asks for nothing. A number does
# not: `layers_to_transform` 0 is the first layer.
_NOTHING = (None, False, {}, [])
# What changes no result, or is read from the tensors.
_NO_MATTER = (
    *("auto_mapping", "base_model_name_or_path", "inference_mode"),
    *("peft_version", "revision", "task_type", "megatron_core"),
    *("r", "lora_alpha", "use_rslora", "lora_dropout", "fan_in_fan_out"),
    *("target_modules", "exclude_modules", "layers_pattern"),
    *("qalora_group_size", "eva_config", "ensure_weight_tying"),
)


class _Piece(NamedTuple):
  """One layer of a projection's adapter.

  Attributes:
    path: of the projection in the parameters.
    place: in a stack of layers; None where there is none.
    source: of the matrix that is adapted.
  """

  path: str
  place: int | None
  source: names_lib.Source

  @property
  def key(self) -> str:
    """The matrix, as PEFT calls it."""
    return _PREFIX + self.source.name.removesuffix(".weight")

  def of(self, leaf: Any) -> Any:
    """This layer of a parameter."""
    return leaf[... if self.place is None else self.place]


def adapters_of(
    directory: pathlib.Path, arch: config.Model, asked: config.Lora
) -> config.Lora:
  """The adapters that a directory holds.

  Args:
    directory: of PEFT's files.
    arch: of the base.
    asked: the section `config.lora`; rank, alpha and targets come from the
      files and may be left at their defaults.

  Raises:
    InputError: files that are missing or damaged, adapters that are not
      computed or are of another base, or fields that say otherwise.
  """
  said = _said(directory)
  rank, alpha = said.get("r"), said.get("lora_alpha")
  if type(rank) is not int or rank < 1 or type(alpha) not in (int, float):
    raise errors.InputError(
        f"{directory / CONFIG}: r is {rank!r} and lora_alpha {alpha!r}; they"
        " must be numbers. Save the adapter again."
    )
  if said.get("use_rslora"):
    alpha *= math.sqrt(rank)  # It divides by the square root of the rank.
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
      base=asked.base,
      init=asked.init,
  )
  _check_fits(directory, tensors, _wanted(arch, lora), said)
  _check_asked(asked, lora, {layers.projection(each.path) for each in pieces})
  return lora


def load_adapters(
    directory: pathlib.Path,
    arch: config.Model,
    lora: config.Lora,
    shardings: Mapping[str, Any],
) -> dict[str, Any]:
  """Reads adapters onto the mesh.

  Args:
    directory: of PEFT's files.
    arch: of the base.
    lora: as `adapters_of` says.
    shardings: of each of the adapters' parameters, as nested dictionaries.

  Returns:
    Nested dictionaries of float32 arrays with those shardings.
  """
  shapes, tensors = _shapes(arch, lora), _tensors(directory)
  places = _flat(shardings)
  found = {path: np.zeros(shapes[path].shape, np.float32) for path in places}
  for piece in _pieces(arch, lora):
    a = piece.of(found[f"{piece.path}/lora_a"])
    b = piece.of(found[f"{piece.path}/lora_b"])
    a[...] = tensors[piece.key + _A].T.reshape(a.shape)
    rows = b.reshape(lora.rank, -1)  # A view: padding of the head stays 0.
    first = piece.source.part * rows.shape[1]
    cut = tensors[piece.key + _B].T[:, first : first + rows.shape[1]]
    rows[:, : cut.shape[1]] = cut
  return traverse_util.unflatten_dict(
      {
          path: jax.make_array_from_callback(
              array.shape, places[path], array.__getitem__
          )
          for path, array in found.items()
      },
      sep="/",
  )


def adapters_digest(directory: pathlib.Path) -> str:
  """SHA-256 over the files that decide the adapters.

  Raises:
    InputError: zsgen exported them, and they are not what it wrote.
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
    directory: is made where it is absent.
    params: the adapters alone, as nested dictionaries of arrays.
    arch: of the base.
    lora: of the adapters.
    dtype: element type of the file: "float32" or "bfloat16".
    base: name of the base or its directory, for PEFT; None if it has none.

  Raises:
    InputError: no Hugging Face family has such an architecture, or one matrix
      of its files holds several projections.
  """
  pieces = _pieces(arch, lora)
  shared = sorted(each.key for each in pieces if each.source.parts > 1)
  if shared:
    raise errors.InputError(
        f"{shared[0]} is one matrix in Hugging Face's files, with one adapter;"
        " here query, key and value have their own, which PEFT's files cannot"
        " hold. Export them merged into the base:"
        " config.machine.export='merged'."
    )
  flat, tensors = _flat(params), {}
  for piece in pieces:
    a = np.asarray(piece.of(flat[f"{piece.path}/lora_a"]))
    b = np.asarray(piece.of(flat[f"{piece.path}/lora_b"]))
    known = arch.vocab_size if piece.path == "head" else None
    for name, matrix in (
        (_A, a.reshape(-1, lora.rank)),
        (_B, b.reshape(lora.rank, -1)[:, :known]),
    ):
      transposed = np.ascontiguousarray(matrix.T.astype(_DTYPES[dtype]))
      tensors[piece.key + name] = transposed
  directory.mkdir(parents=True, exist_ok=True)
  artifacts.write_json(directory / CONFIG, _described(lora, pieces, base))
  files.write_tensors(directory / WEIGHTS, tensors)


def _said(directory: pathlib.Path) -> dict[str, Any]:
  """adapter_config.json, of adapters that are computed."""
  path = directory / CONFIG
  if not path.is_file():
    raise errors.InputError(
        f"config.lora.init: {path} is not there. An adapter's directory holds"
        f" {CONFIG} and {WEIGHTS}, as PEFT's save_pretrained writes them."
    )
  said = files.read_json(path)
  for field, value in said.items():
    allowed = _MUST.get(field, _NOTHING)
    fine = any(type(value) is type(one) and value == one for one in allowed)
    if field not in _NO_MATTER and not fine:
      raise errors.InputError(
          f"{path}: {field} is {value!r}, which is not computed here; only"
          f" {allowed[0]!r} is. Merge the adapter into its base by PEFT, and"
          " give that: config.model.init='hf:DIRECTORY'."
      )
  return said


def _tensors(directory: pathlib.Path) -> dict[str, np.ndarray]:
  """The tensors of a directory, by PEFT's names."""
  path = directory / WEIGHTS
  if not path.is_file():
    raise errors.InputError(
        f"config.lora.init: {path} is not there; pickles (.bin) can run code"
        " and are never read. Save the adapter by PEFT as safetensors."
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
    wanted: Mapping[str, tuple[int, ...]],
    said: Mapping[str, Any],
) -> None:
  """Raises listing every tensor that is not the base's."""
  wrong = [f"{name} is missing" for name in sorted({*wanted} - {*tensors})]
  wrong += [
      f"{name} {list(tensors[name].shape)} has no place"
      for name in sorted({*tensors} - {*wanted})
  ]
  wrong += [
      f"{name} is {list(tensors[name].shape)}, not {list(wanted[name])}"
      for name in sorted({*tensors} & {*wanted})
      if tensors[name].shape != wanted[name]
  ]
  wrong += [
      f"{name} is of {tensor.dtype}, no floating point"
      for name, tensor in sorted(tensors.items())
      if not jnp.issubdtype(tensor.dtype, jnp.floating)
  ]
  if any(".base_layer." in name for name in {*tensors} - {*wanted}):
    wrong.append("those of a base_layer are the base's own, which PEFT leaves")
    wrong[-1] += " out by save_pretrained(…, save_embedding_layers=False)"
  if wrong:
    base = said.get("base_model_name_or_path")
    raise errors.InputError(
        f"{directory / WEIGHTS}: {len(wrong)} tensors do not fit the base:"
        f" {'; '.join(wrong)}. They were trained on {base!r}: give that in"
        " config.model.init."
    )


def _check_asked(
    asked: config.Lora, found: config.Lora, known: Iterable[str]
) -> None:
  """Raises for a field that is set and says otherwise than the files."""
  default = config.NO_LORA

  def matched(pattern: str) -> list[str]:
    return sorted(name for name in known if re.fullmatch(pattern, name))

  for field in ("rank", "alpha", "targets"):
    value, there = getattr(asked, field), getattr(found, field)
    same = value in (getattr(default, field), there)
    if field == "targets" and not same:
      same = matched(value) == matched(there)
    if not same:
      raise errors.InputError(
          f"config.lora.{field} is {value!r}, but the adapters of"
          f" {asked.init} have {there!r}: leave it away, the files decide."
      )


def _described(
    lora: config.Lora, pieces: Iterable[_Piece], base: str | None
) -> dict[str, Any]:
  """The content of adapter_config.json."""
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
  """The end of a matrix' name that all layers share."""
  return _IN_LAYER.sub("", piece.key.removeprefix(_PREFIX))


def _pieces(
    arch: config.Model, lora: config.Lora | None = None
) -> list[_Piece]:
  """Every projection, layer by layer; those with adapters, given `lora`."""
  kind, _ = families.family_of(arch)
  names = families.known()[kind].names
  found = []
  for path in _shapes(arch, lora or config.NO_LORA):
    place, _, leaf = path.rpartition("/")
    if leaf == ("lora_a" if lora else "kernel"):
      sources = names_lib.sources(f"{place}/kernel", arch, names)
      stacked = path.startswith("blocks/")
      found += [
          _Piece(place, number if stacked else None, source)
          for number, source in enumerate(sources)
      ]
  return found


def _wanted(
    arch: config.Model, lora: config.Lora
) -> dict[str, tuple[int, ...]]:
  """Names and shapes that the tensors must have."""
  shapes, wanted = _shapes(arch, lora), {}
  for piece in _pieces(arch, lora):
    lead = int(piece.place is not None)
    a = shapes[f"{piece.path}/lora_a"].shape[lead:]
    b = shapes[f"{piece.path}/lora_b"].shape[lead:]
    outputs = math.prod(b[1:]) * piece.source.parts
    if piece.path == "head":
      outputs = arch.vocab_size
    wanted[piece.key + _A] = (lora.rank, math.prod(a[:-1]))
    wanted[piece.key + _B] = (outputs, lora.rank)
  return wanted


@functools.cache
def _shapes(arch: config.Model, lora: config.Lora) -> dict[str, Any]:
  init = model.Model(arch, lora).init
  return _flat(jax.eval_shape(init, jax.random.key(0)))


def _flat(tree: Mapping[str, Any]) -> dict[str, Any]:
  return traverse_util.flatten_dict(tree, sep="/")
