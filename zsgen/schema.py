"""What an option may be: its type and range, checked for every section.

Sections are frozen dataclasses whose fields are made by `option` and
`section`; `zsgen.config` lists them all.
"""

from collections.abc import Mapping
import dataclasses
import itertools
import math
import types
import typing
from typing import Any

from zsgen import errors


def option(
    default: Any = dataclasses.MISSING,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: tuple = (),
    machine: bool = False,
    per_process: bool = False,
    newer: bool = False,
    **kwargs: Any,
) -> Any:
  """A field with its range, and whether it is the machine's.

  Processes of one run must have the same value, unless it is `per_process`. A
  field that is `newer` than names of artifacts is not hashed at its default, so
  that these names stay.
  """
  metadata = dict(
      low=low,
      high=high,
      choices=choices,
      machine=machine,
      per_process=per_process,
      newer=newer,
  )
  return dataclasses.field(default=default, metadata=metadata, **kwargs)


def section(kind: type, machine: bool = False) -> Any:
  """A field that is a section of its own."""
  metadata = dict(machine=machine)
  return dataclasses.field(default_factory=kind, metadata=metadata)


def shared_fields(value: Any, where: str) -> dict[str, Any]:
  """Flattens a section into the values that all processes must share.

  Args:
    value: a section, or what a field of one holds.
    where: its dotted name, such as "config".

  Returns:
    Plain values by dotted name; options that are `per_process` are left out.
  """
  if dataclasses.is_dataclass(value):
    parts = {
        f"{where}.{field.name}": getattr(value, field.name)
        for field in dataclasses.fields(value)
        if not field.metadata.get("per_process")
    }
  elif isinstance(value, Mapping):
    parts = {f"{where}.{key}": part for key, part in value.items()}
  elif isinstance(value, tuple) and any(map(dataclasses.is_dataclass, value)):
    parts = {f"{where}[{i}]": part for i, part in enumerate(value)}
  else:
    return {where: value}
  flat = {}
  for name, part in parts.items():
    flat |= shared_fields(part, name)
  return flat


def check_section(kind: type, values: Any, where: str) -> Any:
  """Builds the dataclass `kind` from nested dictionaries."""
  if not isinstance(values, Mapping):
    raise errors.InputError(f"{where} must be a section, not {values!r}.")
  known = {field.name: field for field in dataclasses.fields(kind)}
  hints = typing.get_type_hints(kind)
  for key in values:
    if key not in known:
      raise errors.InputError(
          f"{where}.{key} is not an option."
          f"{errors.did_you_mean(str(key), known)} {where} has:"
          f" {', '.join(known)}."
      )
  checked = {}
  for key, value in values.items():
    place = f"{where}.{key}"
    if dataclasses.is_dataclass(hints[key]):
      checked[key] = check_section(hints[key], value, place)
    elif "of" in known[key].metadata:
      checked[key] = _sections(known[key].metadata["of"], value, place)
    elif typing.get_origin(hints[key]) is tuple:
      checked[key] = _values(hints[key], known[key].metadata, value, place)
    else:
      checked[key] = _value(hints[key], known[key].metadata, value, place)
  return kind(**checked)


def _sections(kind: type, values: Any, where: str) -> Mapping[str, Any]:
  """Builds a dictionary of sections of one kind."""
  if not isinstance(values, Mapping) or not all(
      isinstance(key, str) for key in values
  ):
    raise errors.InputError(f"{where} must be sections by name.")
  return {
      key: check_section(kind, each, f"{where}.{key}")
      for key, each in values.items()
  }


def _values(
    kind: Any, limits: Mapping[str, Any], values: Any, where: str
) -> tuple:
  """Builds a tuple of sections or of values."""
  if not isinstance(values, list | tuple):
    raise errors.InputError(f"{where} must be a tuple, not {values!r}.")
  each = typing.get_args(kind)[0]
  places = [f"{where}[{i}]" for i in range(len(values))]
  if dataclasses.is_dataclass(each):
    return tuple(map(check_section, itertools.repeat(each), values, places))
  return tuple(
      _value(each, limits, value, place)
      for value, place in zip(values, places, strict=True)
  )


def _value(
    kind: type, limits: Mapping[str, Any], value: Any, where: str
) -> Any:
  """Checks one value's type and range."""
  if isinstance(kind, types.UnionType):  # One that may be left out.
    if value is None:
      return None
    kind, _ = typing.get_args(kind)
  if kind is float and type(value) is int:
    value = float(value)
  if type(value) is not kind:
    raise errors.InputError(
        f"{where} must be of type {kind.__name__}, not {value!r}."
    )
  if limits["choices"] and value not in limits["choices"]:
    raise errors.InputError(
        f"{where} is {value!r}; it must be one of:"
        f" {', '.join(map(str, limits['choices']))}."
    )
  low, high = limits["low"], limits["high"]
  if kind is float and not math.isfinite(value):
    raise errors.InputError(f"{where} is {value}; it must be finite.")
  if low is not None and value < low:
    raise errors.InputError(f"{where} is {value}; it must be {low} or more.")
  if high is not None and value > high:
    raise errors.InputError(f"{where} is {value}; it must be {high} or less.")
  return value
