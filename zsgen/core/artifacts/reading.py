"""Reads files that this project wrote; a damaged one is an InputError."""

import json
import pathlib
from typing import Any

import numpy as np

from zsgen.core import errors
from zsgen.core.artifacts import naming


def read_json(path: pathlib.Path) -> Any:
  """Reads JSON that this project wrote; a damaged file is an InputError."""
  return parse_json(path, "delete its directory, and it is made again")


def parse_json(path: pathlib.Path, advice: str) -> Any:
  """Reads JSON; if that fails, raises an InputError that ends in advice."""
  try:
    return json.loads(path.read_text("utf-8"))
  except (OSError, ValueError, RecursionError) as error:
    raise errors.InputError(
        f"{path}: cannot be read as JSON ({error}). The artifact is damaged or"
        f" was not made by zsgen; {advice}."
    ) from error


def load_array(path: pathlib.Path, mmap_mode: Any = None) -> np.ndarray:
  """Reads a NumPy file that this project wrote.

  Args:
    path: the file.
    mmap_mode: as `numpy.load` takes it.

  Raises:
    InputError: the file is missing or damaged.
  """
  try:
    return np.load(path, mmap_mode, allow_pickle=False)
  except Exception as error:  # A damaged header raises a dozen kinds.
    raise errors.InputError(
        f"{path}: cannot be read as an array ({error}). It is damaged or"
        f" missing; {naming.advise(path.parent)}."
    ) from error
