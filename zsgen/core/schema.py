"""What an option may be: its type and range, checked for every section.

Sections are frozen dataclasses whose fields are made by `option`, `selector`
and `section`; `zsgen.core.config` lists them. A selector names a component of
`zsgen.core.registry`. The section then has the options of that component too:
its class is composed of the section's own and of the component's options.
"""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import functools
import math
import re
import struct
import types
import typing
from typing import Any, TypeVar

from zsgen.core import errors, registry

T = TypeVar("T")

# Integers are int64 wherever they are stored.
_INT64 = 2**63
# The smallest positive float32 that devices do not flush to zero.
_TINY = 2.0**-126
# Characters of a text, at most: no path or pattern is longer.
_LONGEST = 4096
# Components that a message names because they have an option.
_OWNERS = 4
# Characters of a value that a message shows.
_MAX_SHOWN = 80


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
    hashed: Callable[[Any], Any] | None = None,
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
    hashed: what a fingerprint holds instead of the value, such as the digest
      of the file that the value names.
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
      hashed=hashed,
  )
  return dataclasses.field(default=default, metadata=metadata, **kwargs)


def selector(
    default: str, kind: str, optional: bool = False, bare: bool = False
) -> Any:
  """Returns a field that names a component, whose options the section has too.

  Args:
    default: the name of the component if a config does not set the option.
    kind: one of `registry.KINDS`.
    optional: whether "" selects no component.
    bare: whether the default component has no options. Then a section with the
      default does not import the components of this kind.
  """
  field = option(default)
  metadata = {
      **field.metadata,
      "selects": kind,
      "optional": optional,
      "bare": bare,
  }
  return dataclasses.field(default=default, metadata=metadata)


def section(kind: type, machine: bool = False, newer: bool = False) -> Any:
  """Returns a field that is a section of its own.

  Args:
    kind: its dataclass.
    machine: whether no option of it ever changes a result.
    newer: whether it was added after artifacts were named; see `option`.
  """
  metadata = dict(machine=machine, newer=newer)
  build_default = functools.partial(check_section, kind, {}, kind.__name__)
  return dataclasses.field(default_factory=build_default, metadata=metadata)


def selectors(kind: type) -> dict[str, dataclasses.Field]:
  """Returns the fields of a section that select components, by name."""
  return {
      field.name: field
      for field in dataclasses.fields(kind)
      if "selects" in field.metadata
  }


def selected(
    kind: type, values: Mapping[str, Any], location: str
) -> list[registry.Component]:
  """Returns the components that the values of a section select.

  Bare defaults, see `selector`, are not among them.

  Args:
    kind: the section's dataclass.
    values: its options; selectors that are missing have their default.
    location: the section's name.

  Raises:
    InputError: a selector does not name a component.
  """
  components = []
  for name, field in selectors(kind).items():
    value = _value(
        str,
        field.metadata,
        values.get(name, field.default),
        f"{location}.{name}",
    )
    is_bare = field.metadata["bare"] and value == field.default
    if not is_bare and (value or not field.metadata["optional"]):
      components.append(
          registry.component(
              field.metadata["selects"], value, f"{location}.{name}"
          )
      )
  return components


def composed(kind: type, components: Sequence[registry.Component]) -> type:
  """Returns a section's dataclass with the options of components.

  It is a subclass of `kind` and of the options of each component.

  Raises:
    InputError: two of them have an option of the same name.
  """
  options = [component.options for component in components]
  return _composed(kind, tuple(o for o in options if dataclasses.fields(o)))


@functools.cache
def _composed(kind: type, options: tuple[type, ...]) -> type:
  """Returns a section that has the options of components too.

  Raises:
    InputError: two of them have an option of the same name.
  """
  if not options:
    return kind
  owners = {field.name: kind for field in dataclasses.fields(kind)}
  for owner in options:
    for field in own_fields(kind, owner):
      if field.name in owners:
        raise errors.InputError(
            f"{owner.__module__}.{owner.__qualname__}.{field.name}:"
            f" {owners[field.name].__qualname__} has an option of this name"
            " too. Rename one of them."
        )
      owners[field.name] = owner
  # Fields of the last base come first.
  section = type(
      kind.__name__, (*options[::-1], kind), {"__doc__": kind.__doc__}
  )
  section.__module__ = kind.__module__
  return dataclasses.dataclass(frozen=True)(section)


def own_fields(kind: type, options: type) -> list[dataclasses.Field]:
  """Returns the fields that a component's options add to a section.

  Args:
    kind: the section's dataclass.
    options: the options; they may be a subclass of it.
  """
  inherited = dataclasses.fields(kind) if issubclass(options, kind) else ()
  names = {field.name for field in inherited}
  return [f for f in dataclasses.fields(options) if f.name not in names]


def options_of(section: Any, kind: type[T]) -> T:
  """Returns the options of one component of a composed section."""
  options: Any = kind  # A dataclass, which its type does not say.
  names = [field.name for field in dataclasses.fields(options)]
  return kind(**{name: getattr(section, name) for name in names})


def unknown_option(
    kind: type, values: Mapping[str, Any], key: Any, location: str
) -> "UnknownOption":
  """Returns the error for an option that a section does not have.

  Args:
    kind: the section's dataclass.
    values: its options, of which the selectors are read.
    key: the option's name.
    location: the section's name.
  """
  components = selected(kind, values, location)
  known = [f.name for f in dataclasses.fields(composed(kind, components))]
  hint = _owners(kind, key) or errors.did_you_mean(str(key), known)
  selection = [
      f"{name}={values.get(name, field.default)!r}"
      for name, field in selectors(kind).items()
  ]
  condition = f" (with {' and '.join(selection)})" if selection else ""
  return UnknownOption(
      f"{location}.{_key(key)} is not an option.{hint} {location}{condition}"
      f" has: {', '.join(known)}."
  )


class UnknownOption(errors.InputError, KeyError, AttributeError):
  """A section has no option, or no section, of a name.

  It is a KeyError and an AttributeError too, because sections are mappings
  with attributes.
  """

  __str__ = Exception.__str__


def _owners(kind: type, key: Any) -> str:
  """Returns a sentence on the components that have an option, if any has."""
  owners = []
  for name, field in selectors(kind).items():
    names = [
        repr(component.name)
        for component in registry.components(field.metadata["selects"])
        if key in {f.name for f in dataclasses.fields(component.options)}
    ]
    if len(names) > _OWNERS:
      names = [*names[:_OWNERS], f"{len(names) - _OWNERS} others"]
    if names:
      owners.append(f"{name}={_or(names)}")
  return f" It is an option of {_or(owners)}." if owners else ""


def _or(words: Sequence[str]) -> str:
  """Joins words, such as "a, b or c"."""
  *first, last = words
  return f"{', '.join(first)} or {last}" if first else last


def shared_fields(value: Any, location: str) -> dict[str, Any]:
  """Flattens a section into the values that all processes must share.

  Args:
    value: a section, or the value of one of its fields.
    location: its dotted name, such as "config".

  Returns:
    Plain values by dotted name, without the options that are `per_process`.
  """
  if dataclasses.is_dataclass(value):
    parts = {
        f"{location}.{field.name}": getattr(value, field.name)
        for field in dataclasses.fields(value)
        if not field.metadata.get("per_process")
    }
  elif isinstance(value, Mapping):
    parts = {f"{location}.{key}": part for key, part in value.items()}
  elif isinstance(value, tuple) and any(map(dataclasses.is_dataclass, value)):
    parts = {f"{location}[{i}]": part for i, part in enumerate(value)}
  else:
    return {location: value}
  flat = {}
  for name, part in parts.items():
    flat |= shared_fields(part, name)
  return flat


def check_section(kind: type, values: Any, location: str) -> Any:
  """Builds a section from nested dictionaries.

  Args:
    kind: its dataclass.
    values: its options; the others have their defaults.
    location: its name.

  Returns:
    An instance of `kind` with the options of the selected components.

  Raises:
    InputError: an option is unknown or wrong, or the `check` of a component's
      options raises it.
  """
  if isinstance(values, kind):
    values = {
        f.name: getattr(values, f.name) for f in dataclasses.fields(values)
    }
  if not isinstance(values, Mapping):
    raise errors.InputError(
        f"{location} must be a section, not {show(values)}."
    )
  components = selected(kind, values, location)
  section_class = composed(kind, components)
  known = {field.name: field for field in dataclasses.fields(section_class)}
  hints = typing.get_type_hints(section_class)
  for key in values:
    if key not in known:
      raise unknown_option(kind, values, key, location)
  checked = {}
  for key, value in values.items():
    option_location = f"{location}.{key}"
    if dataclasses.is_dataclass(hints[key]):
      checked[key] = check_section(hints[key], value, option_location)
    elif "of" in known[key].metadata:
      checked[key] = _sections(
          known[key].metadata["of"], value, option_location
      )
    elif typing.get_origin(hints[key]) is tuple:
      checked[key] = _values(
          hints[key], known[key].metadata, value, option_location
      )
    else:
      checked[key] = _value(
          hints[key], known[key].metadata, value, option_location
      )
  section = section_class(**checked)
  for component in components:
    if check := getattr(component.options, "check", None):
      check(section, location)
  return section


def _sections(kind: type, values: Any, location: str) -> Mapping[str, Any]:
  """Builds a dictionary of sections of one kind."""
  if not isinstance(values, Mapping) or not all(
      isinstance(key, str) for key in values
  ):
    raise errors.InputError(f"{location} must be sections by name.")
  for key in values:
    if not key or len(key) > _LONGEST or not key.isprintable():
      raise errors.InputError(
          f"{location} has a section named {show(key)}; a name is 1 to"
          f" {_LONGEST:,} printable characters."
      )
  return {
      key: check_section(kind, section, f"{location}.{key}")
      for key, section in values.items()
  }


def _values(
    kind: Any, limits: Mapping[str, Any], values: Any, location: str
) -> tuple:
  """Builds a tuple of sections or of values."""
  if not isinstance(values, list | tuple):
    raise errors.InputError(f"{location} must be a tuple, not {show(values)}.")
  element_kind: Any = typing.get_args(kind)[0]
  locations = [f"{location}[{i}]" for i in range(len(values))]
  if dataclasses.is_dataclass(element_kind):
    return tuple(
        check_section(typing.get_args(kind)[0], value, element_location)
        for value, element_location in zip(values, locations, strict=True)
    )
  return tuple(
      _value(element_kind, limits, value, element_location)
      for value, element_location in zip(values, locations, strict=True)
  )


def _value(
    kind: type, limits: Mapping[str, Any], value: Any, location: str
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
        f"{location} must be of type {kind.__name__}, not {show(value)}."
    )
  if limits["choices"] and value not in limits["choices"]:
    raise errors.InputError(
        f"{location} is {show(value)}; it must be one of:"
        f" {', '.join(map(str, limits['choices']))}."
        f"{errors.did_you_mean(str(value), map(str, limits['choices']))}"
    )
  if kind is str:
    _check_text(limits["kind"], value, location)
  elif kind is not bool:
    _check_number(limits, value, location)
  return value


def _check_text(kind: str, value: str, location: str) -> None:
  """Raises InputError for a text that is not of its kind."""
  if len(value) > _LONGEST:
    raise errors.InputError(
        f"{location} is {show(value)}; it must have at most {_LONGEST:,}"
        " characters."
    )
  if "\0" in value:
    raise errors.InputError(
        f"{location} is {show(value)}; it must not contain a NUL character."
    )
  try:
    value.encode("utf-8", "surrogateescape")  # Paths are any bytes.
  except UnicodeEncodeError as error:
    raise errors.InputError(f"{location} is not Unicode: {error}.") from error
  if kind == "local":
    check_local(value, location)
  if kind == "regex":
    _check_regex(value, location)


def check_local(path: str, location: str) -> None:
  """Raises InputError if a path is a URL."""
  if re.match("[A-Za-z][A-Za-z0-9+.-]+:/", path):
    raise errors.InputError(
        f"{location} is {show(path)}, which is a URL; it must be a local path."
        " Mount the bucket, or copy its contents to a local directory, and"
        " give that directory."
    )


def _check_regex(pattern: str, location: str) -> None:
  """Raises InputError for what is not a regular expression."""
  try:
    re.compile(pattern)
  except (re.error, OverflowError, RecursionError) as error:
    raise errors.InputError(
        f"{location} is {show(pattern)}, which is not a regular expression:"
        f" {error}."
    ) from error


def _check_number(limits: Mapping[str, Any], value: Any, location: str) -> None:
  """Raises InputError for a number outside of its range."""
  low, high = limits["low"], limits["high"]
  above, below = limits["above"], limits["below"]
  single = value
  if isinstance(value, float):
    if not math.isfinite(value):
      raise errors.InputError(f"{location} is {value}; it must be finite.")
    single = _as_float32(value)
    if not math.isfinite(single):
      raise errors.InputError(
          f"{location} is {value}, which is not finite as a float32; it must be"
          " below 3.4e38."
      )
  if (
      (low is not None and value < low)
      or (high is not None and value > high)
      or (above is not None and not single > above)
      or (below is not None and not single < below)
  ):
    reason = f": {limits['why']}" if limits["why"] else ""
    raise errors.InputError(
        f"{location} is {show(value)}; it must be {range_of(limits)}{reason}."
    )
  if isinstance(value, int) and not -_INT64 <= value < _INT64:
    raise errors.InputError(
        f"{location} is {show(value)}; it must fit into 64 bits."
    )


def range_of(limits: Mapping[str, Any]) -> str:
  """Returns a range in words, such as "at least 0 and below 1"; or ""."""
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
  if len(text) <= _MAX_SHOWN:
    return text
  return f"{text[:_MAX_SHOWN]}… ({len(text):,} characters)"


def _key(key: Any) -> str:
  """Returns the name of an unknown option for a message."""
  text = str(key)
  plain = text.isprintable() and len(text) <= _MAX_SHOWN
  return text if plain else show(text)
