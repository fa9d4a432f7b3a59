"""What an option may be: its type and range, checked for every section.

Sections are frozen dataclasses whose fields are made by `option` and
`section`; `zsgen.core.config` lists them all.
"""

from collections.abc import Mapping
import dataclasses
import math
import re
import struct
import types
import typing
from typing import Any

from zsgen.core import errors

# Integers are int64 wherever they are stored.
_INT64 = 2**63
# The smallest positive float32 that devices do not flush to zero.
_TINY = 2.0**-126
# Characters of a text, at most: no path or pattern is longer.
_LONGEST = 4096
# Characters of a value that a message shows.
_SHOWN = 80


def option(
    default: Any = dataclasses.MISSING,
    *,
    low: float | None = None,
    high: float | None = None,
    above: float | None = None,
    below: float | None = None,
    why: str = "",
    choices: tuple = (),
    kind: str = "",
    machine: bool = False,
    per_process: bool = False,
    newer: bool = False,
    **kwargs: Any,
) -> Any:
  """Returns a dataclass field for an option, with its range.

  Args:
    default: the value if a config does not set the option.
    low: the smallest value.
    high: the largest value.
    above: an exclusive lower bound, which holds as a float32 too.
    below: an exclusive upper bound, which holds as a float32 too.
    why: the reason for the range; it ends the error message.
    choices: all valid values; () for any.
    kind: the kind of a text: "local" for a path that cannot be a URL, "regex"
      for a regular expression; "" for any text.
    machine: whether the option never changes a result.
    per_process: whether the processes of a run may have different values.
    newer: whether the option was added after artifacts were named. At its
      default it is not hashed, so that existing names do not change.
    **kwargs: of `dataclasses.field`.
  """
  metadata = dict(
      low=low,
      high=high,
      above=above,
      below=below,
      why=why,
      choices=choices,
      kind=kind,
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
    value: a section, or the value of one of its fields.
    where: its dotted name, such as "config".

  Returns:
    Plain values by dotted name, without the options that are `per_process`.
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
    raise errors.InputError(f"{where} must be a section, not {show(values)}.")
  known = {field.name: field for field in dataclasses.fields(kind)}
  hints = typing.get_type_hints(kind)
  for key in values:
    if key not in known:
      raise errors.InputError(
          f"{where}.{_key(key)} is not an option."
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
  for key in values:
    if not key or len(key) > _LONGEST or not key.isprintable():
      raise errors.InputError(
          f"{where} has a section named {show(key)}; a name is 1 to"
          f" {_LONGEST:,} printable characters."
      )
  return {
      key: check_section(kind, each, f"{where}.{key}")
      for key, each in values.items()
  }


def _values(
    kind: Any, limits: Mapping[str, Any], values: Any, where: str
) -> tuple:
  """Builds a tuple of sections or of values."""
  if not isinstance(values, list | tuple):
    raise errors.InputError(f"{where} must be a tuple, not {show(values)}.")
  each: Any = typing.get_args(kind)[0]
  places = [f"{where}[{i}]" for i in range(len(values))]
  if dataclasses.is_dataclass(each):
    return tuple(
        check_section(typing.get_args(kind)[0], value, place)
        for value, place in zip(values, places, strict=True)
    )
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
    value = _float(value)
  if type(value) is not kind:
    raise errors.InputError(
        f"{where} must be of type {kind.__name__}, not {show(value)}."
    )
  if limits["choices"] and value not in limits["choices"]:
    raise errors.InputError(
        f"{where} is {show(value)}; it must be one of:"
        f" {', '.join(map(str, limits['choices']))}."
    )
  if kind is str:
    _check_text(limits["kind"], value, where)
  elif kind is not bool:
    _check_number(limits, value, where)
  return value


def _check_text(kind: str, value: str, where: str) -> None:
  """Raises InputError for a text that is not of its kind."""
  if len(value) > _LONGEST:
    raise errors.InputError(
        f"{where} is {show(value)}; it must have at most {_LONGEST:,}"
        " characters."
    )
  if "\0" in value:
    raise errors.InputError(
        f"{where} is {show(value)}; it must not contain a NUL character."
    )
  try:
    value.encode("utf-8", "surrogateescape")  # Paths are any bytes.
  except UnicodeEncodeError as error:
    raise errors.InputError(f"{where} is not Unicode: {error}.") from error
  if kind == "local":
    check_local(value, where)
  if kind == "regex":
    _check_regex(value, where)


def check_local(path: str, where: str) -> None:
  """Raises InputError if a path is a URL."""
  if re.match("[A-Za-z][A-Za-z0-9+.-]+:/", path):
    raise errors.InputError(
        f"{where} is {show(path)}, which is a URL; it must be a local path."
        " Mount the bucket, or copy its contents to a local directory, and"
        " give that directory."
    )


def _check_regex(pattern: str, where: str) -> None:
  try:
    re.compile(pattern)
  except (re.error, OverflowError, RecursionError) as error:
    raise errors.InputError(
        f"{where} is {show(pattern)}, which is not a regular expression:"
        f" {error}."
    ) from error


def _check_number(limits: Mapping[str, Any], value: Any, where: str) -> None:
  """Raises InputError for a number outside of its range."""
  low, high = limits["low"], limits["high"]
  above, below = limits["above"], limits["below"]
  single = value
  if isinstance(value, float):
    if not math.isfinite(value):
      raise errors.InputError(f"{where} is {value}; it must be finite.")
    single = _as_float32(value)
    if not math.isfinite(single):
      raise errors.InputError(
          f"{where} is {value}, which is not finite as a float32; it must be"
          " below 3.4e38."
      )
  if (
      (low is not None and value < low)
      or (high is not None and value > high)
      or (above is not None and not single > above)
      or (below is not None and not single < below)
  ):
    why = f": {limits['why']}" if limits["why"] else ""
    raise errors.InputError(
        f"{where} is {show(value)}; it must be {_range(limits)}{why}."
    )
  if isinstance(value, int) and not -_INT64 <= value < _INT64:
    raise errors.InputError(
        f"{where} is {show(value)}; it must fit into 64 bits."
    )


def _range(limits: Mapping[str, Any]) -> str:
  """Returns a range in words, such as "at least 0 and below 1"."""
  words = {
      "at least": limits["low"],
      "above": limits["above"],
      "at most": limits["high"],
      "below": limits["below"],
  }
  return " and ".join(
      f"{word} {_number(end)}" for word, end in words.items() if end is not None
  )


def _number(value: float) -> str:
  return f"{value:,}" if isinstance(value, int) else f"{value:g}"


def _float(value: int) -> float:
  """Returns an integer as a float; infinite if it is too large."""
  try:
    return float(value)
  except OverflowError:
    return math.inf if value > 0 else -math.inf


def _as_float32(value: float) -> float:
  """Returns the value that devices compute with."""
  try:
    (single,) = struct.unpack("f", struct.pack("f", value))
  except OverflowError:
    return math.copysign(math.inf, value)
  return single if abs(single) >= _TINY else 0.0


def show(value: Any) -> str:
  """Returns a value for a message: on one line, and not too long."""
  if type(value) is int and value.bit_length() > 128:
    return f"an integer of {value.bit_length():,} bits"
  text = repr(value)
  if len(text) <= _SHOWN:
    return text
  return f"{text[:_SHOWN]}… ({len(text):,} characters)"


def _key(key: Any) -> str:
  """Returns the name of an unknown option for a message."""
  text = str(key)
  plain = text.isprintable() and len(text) <= _SHOWN
  return text if plain else show(text)
