"""Weights as safetensors: written once, and checked whole when read.

A directory holds `model.safetensors` (each parameter under its path, such as
"blocks/mlp/up/kernel"), `config.json` (the architecture) and `SHA256` (of the
safetensors file, in hex).
"""

from collections.abc import Mapping
import dataclasses
import pathlib
from typing import Any

from flax import traverse_util
import jax
from jax import numpy as jnp
import numpy as np
import safetensors
import safetensors.numpy

from zsgen import artifacts, config, errors
from zsgen.models import model

# Bases that are shipped, by the name that config.model.init gives them.
EMBEDDED = {"tiny": pathlib.Path(__file__).parents[1] / "assets" / "tiny"}

_FILE, _CONFIG, _SHA256 = "model.safetensors", "config.json", "SHA256"
_DTYPES = {"bfloat16": jnp.bfloat16, "float32": np.float32}
# Fields that do not change what the weights mean. Rows of learned positions
# are compared as a shape.
_FREE = ("init", "dtype", "max_positions")


def save(
    directory: pathlib.Path,
    params: Mapping[str, Any],
    arch: config.Model,
    dtype: str = "bfloat16",
    extra: Mapping[str, Any] | None = None,
) -> None:
  """Writes weights to a new directory: whole, or not at all.

  Args:
    directory: must not hold anything yet.
    params: nested dictionaries of arrays.
    arch: the architecture that they are of.
    dtype: element type of the file: "bfloat16" or "float32".
    extra: what else config.json should say, such as where they come from.

  Raises:
    InputError: the directory is there and is not empty.
  """
  if directory.exists() and any(directory.iterdir()):
    raise errors.InputError(
        f"{directory} is there and not empty: weights are never written over."
        " Give another directory, or delete this one."
    )
  tensors = {
      name: np.ascontiguousarray(np.asarray(value).astype(_DTYPES[dtype]))
      for name, value in sorted(_flat(params).items())
  }
  described = {"arch": dataclasses.asdict(arch), "dtype": dtype}
  with artifacts.writing(directory) as beside:
    safetensors.numpy.save_file(tensors, beside / _FILE)
    digest = artifacts.file_digest(beside / _FILE)
    (beside / _SHA256).write_text(digest + "\n", "utf-8")
    artifacts.write_json(
        beside / _CONFIG, {**described, "extra": dict(extra or {})}
    )


def load(
    directory: pathlib.Path, arch: config.Model, shapes: Mapping[str, Any]
) -> dict[str, Any]:
  """Reads weights: all of them, or none.

  Args:
    directory: written by `save`.
    arch: the architecture that they must be of.
    shapes: the parameters that there must be: nested dictionaries of what has
      a `shape`.

  Returns:
    Nested dictionaries of numpy arrays, float32.

  Raises:
    InputError: a file that is missing or damaged, another architecture, or
      parameters that are missing, left over or of another shape.
  """
  _check_files(directory)
  _check_arch(directory / _CONFIG, arch)
  tensors = _read(directory / _FILE)
  _check_shapes(directory / _FILE, tensors, _flat(shapes))
  return traverse_util.unflatten_dict(
      {name: value.astype(np.float32) for name, value in tensors.items()},
      sep="/",
  )


def initial(arch: config.Model, key: jax.Array) -> dict[str, Any]:
  """Parameters before training, as `arch.init` says.

  Args:
    arch: the architecture; `init` is "new", a name of `EMBEDDED`, or a
      directory written by `save`.
    key: draws new parameters.

  Returns:
    Nested dictionaries of float32 arrays.

  Raises:
    InputError: see `load`.
  """
  new = model.Model.from_config(arch).init
  if arch.init == "new":
    return jax.jit(new)(key)
  return load(_directory(arch.init), arch, jax.eval_shape(new, key))


def fingerprint(init: str) -> str:
  """What the parameters before training are made of.

  Args:
    init: as `config.Model.init`.

  Returns:
    "new", or the SHA-256 that the weights must have; `load` compares it with
    the file.

  Raises:
    InputError: the directory or its files are not there.
  """
  if init == "new":
    return init
  directory = _directory(init)
  _check_there(directory)
  return (directory / _SHA256).read_text("utf-8").strip()


def _directory(init: str) -> pathlib.Path:
  return EMBEDDED.get(init) or pathlib.Path(init).expanduser()


def _flat(tree: Mapping[str, Any]) -> dict[str, Any]:
  return traverse_util.flatten_dict(tree, sep="/")


def _check_there(directory: pathlib.Path) -> None:
  for name in (_FILE, _CONFIG, _SHA256):
    if not (directory / name).is_file():
      raise errors.InputError(
          f"{directory / name} is not there. config.model.init must be 'new',"
          f" {', '.join(map(repr, EMBEDDED))}, or a directory written by"
          " --stage=export."
      )


def _check_files(directory: pathlib.Path) -> None:
  _check_there(directory)
  wanted = (directory / _SHA256).read_text("utf-8").strip()
  found = artifacts.file_digest(directory / _FILE)
  if found != wanted:
    raise errors.InputError(
        f"{directory / _FILE} is damaged: its SHA-256 is {found}, but"
        f" {_SHA256} says {wanted}. Get the weights again."
    )


def _check_arch(path: pathlib.Path, arch: config.Model) -> None:
  described = artifacts.read_json(path)
  saved = described.get("arch") if isinstance(described, dict) else None
  if not isinstance(saved, dict):
    raise errors.InputError(
        f"{path}: the field arch is missing; the file is damaged or not one"
        " of zsgen's. Get the weights again."
    )
  for field, value in dataclasses.asdict(arch).items():
    if field not in _FREE and saved.get(field) != value:
      raise errors.InputError(
          f"config.model.{field} is {value!r}, but the weights of {path} are"
          f" of a model with {saved.get(field)!r}: make the config agree, or"
          " use other weights."
      )


def _read(path: pathlib.Path) -> dict[str, np.ndarray]:
  try:
    return safetensors.numpy.load_file(path)
  except (safetensors.SafetensorError, ValueError) as error:
    raise errors.InputError(
        f"{path} is not a safetensors file ({error}). Get the weights again."
    ) from error


def _check_shapes(
    path: pathlib.Path,
    found: Mapping[str, np.ndarray],
    wanted: Mapping[str, Any],
) -> None:
  """Raises listing every parameter that is not as it must be."""
  wrong = [f"{name} is missing" for name in sorted({*wanted} - {*found})]
  wrong += [f"{name} is left over" for name in sorted({*found} - {*wanted})]
  wrong += [
      f"{name} is {found[name].shape}, not {tuple(wanted[name].shape)}"
      for name in sorted({*found} & {*wanted})
      if found[name].shape != tuple(wanted[name].shape)
  ]
  if wrong:
    raise errors.InputError(
        f"{path} does not fit config.model: {'; '.join(wrong)}. Use the config"
        " that the weights were made with."
    )
