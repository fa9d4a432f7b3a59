"""Reads the config.json of a run, of this version or of an older one.

Older versions wrote the options of all components into one section. Those that
the selected components do not have are dropped if they have their defaults.
"""

from collections.abc import Mapping
import dataclasses
import json
import typing
from typing import Any

from zsgen.core import config, errors, plugins, registry, schema


def read(
    values: Mapping[str, Any], location: str = "config.json"
) -> config.Config:
  """Returns the config that a run was started with.

  Args:
    values: the content of its config.json.
    location: the file, for messages.

  Raises:
    InputError: an option or a component is unknown or wrong.
  """
  try:
    plugins.load(values.get("plugins", ()))
    return config.check(_select_options(config.Config, values))
  except errors.InputError as error:
    raise errors.InputError(
        f"{location}: {error} If an older version of zsgen wrote the file,"
        " train the run again."
    ) from error


def _select_options(kind: type, values: Any) -> Any:
  """Returns a section without the options of components it does not select.

  Args:
    kind: the section's dataclass.
    values: its options; what is wrong with them is left to the schema.
  """
  if not isinstance(values, Mapping):
    return values
  components = schema.selected(kind, values, kind.__name__)
  section = schema.composed(kind, components)
  fields = {field.name: field for field in dataclasses.fields(section)}
  hints = typing.get_type_hints(section)
  selected = {}
  for key, value in values.items():
    if key in fields:
      selected[key] = _own_value(hints[key], fields[key], value)
    elif not _is_default(kind, key, value):
      selected[key] = value  # The schema rejects it.
  return selected


def _own_value(hint: Any, field: dataclasses.Field, value: Any) -> Any:
  """Returns the value of one field, whose sections are as `_own` gives them."""
  if isinstance(hint, type) and dataclasses.is_dataclass(hint):
    return _select_options(hint, value)
  if "of" in field.metadata and isinstance(value, Mapping):
    return {
        key: _select_options(field.metadata["of"], part)
        for key, part in value.items()
    }
  inner, *_ = typing.get_args(hint) or [None]
  if not isinstance(inner, type) or not isinstance(value, list | tuple):
    return value
  if dataclasses.is_dataclass(inner):
    return [_select_options(inner, part) for part in value]
  return value


def _is_default(kind: type, key: str, value: Any) -> bool:
  """Returns whether another component has an option, with this default."""
  for field in schema.selectors(kind).values():
    for component in registry.components(field.metadata["selects"]):
      known = {f.name: f for f in dataclasses.fields(component.options)}
      if key in known and _default(known[key]) == _as_json(value):
        return True
  return False


def _default(field: dataclasses.Field) -> Any:
  """Returns the default of a field, as JSON has it."""
  if field.default is not dataclasses.MISSING:
    return _as_json(field.default)
  assert field.default_factory is not dataclasses.MISSING  # Of sections.
  value: Any = field.default_factory()
  if dataclasses.is_dataclass(value) and not isinstance(value, type):
    value = dataclasses.asdict(value)
  return _as_json(value)


def _as_json(value: Any) -> Any:
  return json.loads(json.dumps(value))
