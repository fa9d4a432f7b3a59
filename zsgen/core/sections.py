"""The configs that config files change: ConfigDicts that know the schema.

A section rejects an option that it does not have where it is set. If a
selector is set, such as `config.order.arrangement`, the section gets the
options of the component that it names. Options that both components have keep
their values. Other values that were set for the component before are dropped,
and a notice says so.
"""

import abc
import ast
from collections.abc import Iterator, Mapping, Sequence
import dataclasses
import typing
from typing import Any

import ml_collections

from zsgen.core import errors, plugins, schema

# The option of the root whose modules register components.
_PLUGINS = "plugins"
# Sections that the root may have although the schema does not: sweeps read it.
_FREE = ("sweep",)


class _Node(ml_collections.ConfigDict, abc.ABC):
  """A ConfigDict with a name, whose errors are `schema.UnknownOption`.

  It has no public methods beside those of ConfigDict, because they would hide
  options of the same name.
  """

  def __init__(self, kind: type, location: str, notices: list[str]):
    """Creates a node without fields.

    Args:
      kind: the dataclass of this section, or of the sections in it.
      location: its name, such as "config.order".
      notices: takes what was dropped; all nodes of a config share it.
    """
    super().__init__()
    self._set(_kind=kind, _location=location, _notices=notices)

  def _set(self, **attributes: Any) -> None:
    """Sets attributes that are not options."""
    for name, value in attributes.items():
      object.__setattr__(self, name, value)

  def __setattr__(self, key: str, value: Any) -> None:
    self._ensure_mutability(key)
    self[key] = value

  def __getattr__(self, key: str) -> Any:
    if key.startswith("_"):  # Of a protocol, such as __deepcopy__.
      raise AttributeError(key)
    return self[key]

  def __getitem__(self, key: str) -> Any:
    if key not in self._fields and "." not in key:
      raise self._unknown(key)
    return super().__getitem__(key)

  def __reduce__(self) -> tuple[Any, ...]:
    state = (self._kind, self._location, [*self._notices], self.to_dict())
    return _rebuild, (type(self), *state, self.is_locked)

  def copy_and_resolve_references(self, visit_map: Any = None) -> "_Node":
    """Returns a copy; there are no references to resolve."""
    del visit_map
    build, state = self.__reduce__()
    return build(*state)

  @abc.abstractmethod
  def _unknown(self, key: str) -> schema.UnknownOption:
    """Returns the error for an option that there is not."""

  def _is_first(self, key: str) -> bool:
    del key
    return False


class Section(_Node):
  """The options of one section."""

  def __init__(
      self, kind: type, location: str, notices: list[str] | None = None
  ):
    """Creates a section whose options have their defaults."""
    super().__init__(kind, location, [] if notices is None else notices)
    self._compose({})

  def __setitem__(self, key: str, value: Any) -> None:
    if key in _FREE and self._is_root():
      self._fields.pop(key, None)  # Its type may be another one.
    elif key not in self._fields:
      raise self._unknown(key)
    before = self._fields.get(key)
    if isinstance(before, _Node):
      node = type(before)(before._kind, before._location, self._notices)
      node.update(_mapping(value, before._location))
      self._fields[key] = node
    elif key in schema.selectors(self._kind):
      self._select(key, value)
    else:
      self._set_value(key, value)
      if key == _PLUGINS and self._is_root():
        plugins.load(value)

  def update(self, *values: Any, **options: Any) -> None:
    """Sets options; in sections that exist, only those that are given."""
    for update_values in (*values, options):
      changes = _mapping(update_values, self._location)
      for key in sorted(changes, key=lambda key: not self._is_first(key)):
        if isinstance(self._fields.get(key), ml_collections.ConfigDict):
          self[key].update(_mapping(changes[key], f"{self._location}.{key}"))
        else:
          self[key] = changes[key]

  def get_type(self, key: str) -> type:
    """Returns the type of an option.

    Raises:
      UnknownOption: the section does not have it.
    """
    if key not in self._fields:
      raise self._unknown(key)
    return super().get_type(key)

  def _is_first(self, key: str) -> bool:
    """Returns whether an option decides which options there are."""
    return key in (_PLUGINS, *schema.selectors(self._kind))

  def _is_root(self) -> bool:
    return _PLUGINS in self._fields

  def _selection(self) -> dict[str, str]:
    """Returns the components that are selected, by selector."""
    return {
        name: self._fields.get(name, field.default)
        for name, field in schema.selectors(self._kind).items()
    }

  def _unknown(self, key: str) -> schema.UnknownOption:
    return schema.unknown_option(
        self._kind, self._selection(), key, self._location
    )

  def _defaults(self) -> dict[str, Any]:
    """Returns the fields that the selected components give, at their default."""
    components = schema.selected(self._kind, self._selection(), self._location)
    return dict(self._fresh(schema.composed(self._kind, components)))

  def _fresh(self, kind: type) -> Iterator[tuple[str, Any]]:
    """Yields the name and the default of each field of a dataclass."""
    hints = typing.get_type_hints(kind)
    for field in dataclasses.fields(kind):
      location = f"{self._location}.{field.name}"
      if dataclasses.is_dataclass(hints[field.name]):
        yield field.name, Section(hints[field.name], location, self._notices)
      elif "of" in field.metadata:
        node = Sections(field.metadata["of"], location, self._notices)
        assert field.default_factory is not dataclasses.MISSING
        for name in field.default_factory():
          node[name] = {}
        yield field.name, node
      else:
        yield field.name, field.default

  def _select(self, key: str, value: str) -> None:
    """Sets a selector, and has the options of the new component."""
    selection = {**self._selection(), key: value}
    schema.selected(self._kind, selection, self._location)  # Or raises.
    old = self._defaults()
    self._set_value(key, value)
    self._compose(old)

  def _set_value(self, key: str, value: Any) -> None:
    """Sets an option; raises InputError if its type is another one."""
    before = self._fields.get(key)
    try:
      super().__setitem__(key, value)
    except TypeError as error:
      raise errors.InputError(
          f"{self._location}.{key} must be of type {type(before).__name__}, not"
          f" {schema.show(value)}."
      ) from error

  def _compose(self, old: Mapping[str, Any]) -> None:
    """Gives the section the fields of the selected components.

    Args:
      old: the defaults of its fields so far.
    """
    new = self._defaults()
    changed = {
        name for name in old if _plain(self._fields[name]) != _plain(old[name])
    }
    preserved = changed.union(schema.selectors(self._kind), _FREE)
    preserved |= {n for n, v in self._fields.items() if isinstance(v, _Node)}
    before = {n: v for n, v in self._fields.items() if n in preserved}
    fields = {name: before.get(name, value) for name, value in new.items()}
    fields |= {name: before[name] for name in _FREE if name in before}
    self._set(_fields=fields)
    if self.is_locked:
      self._set(_locked=False)
      self.lock()  # New sections too.
    dropped = {n: before[n] for n in sorted(changed) if n not in new}
    if dropped:
      self._notices.append(_dropped(self._location, self._selection(), dropped))


class Sections(_Node):
  """Sections of one kind by name, such as `config.evals`."""

  def __setitem__(self, key: str, value: Any) -> None:
    if self.is_locked and key not in self._fields:
      raise self._unknown(key)
    node = Section(self._kind, f"{self._location}.{key}", self._notices)
    node.update(_mapping(value, f"{self._location}.{key}"))
    self._fields[key] = node

  def _unknown(self, key: str) -> schema.UnknownOption:
    """Returns the error for an entry that is not there."""
    return schema.UnknownOption(
        f"{self._location} has no {key!r}; it has:"
        f" {', '.join(self._fields) or 'nothing'}."
        f"{errors.did_you_mean(str(key), self._fields)} The command line"
        " changes only what the config file sets. To add one, write in the"
        f" file: {self._location}.{key} = dict(...)"
    )


def build(kind: type, values: Mapping[str, Any], location: str) -> Section:
  """Returns a section with some options set.

  Raises:
    InputError: it does not have one of them.
  """
  return _fill(Section(kind, location), values)


def from_plain(values: Mapping[str, Any], kind: type) -> Section:
  """Returns a whole config with the options of a plain ConfigDict set.

  So the command line can set any option, whatever the config file mentions.

  Args:
    values: the options; sections keep the defaults of what they leave out.
    kind: the dataclass of the config.

  Raises:
    InputError: there is no such option.
  """
  section = Section(kind, "config")
  for key in sorted(values, key=lambda key: key != _PLUGINS):
    section[key] = values[key]
  return section


def select(config: Any, overrides: Sequence[tuple[str, str]]) -> None:
  """Sets the selectors among the overrides of a command line.

  The other overrides can then be checked: all options that there are exist.

  Args:
    config: a config; other objects than sections are left as they are.
    overrides: dotted names of options, and their values as text.

  Raises:
    InputError: a plug-in cannot be loaded, or a component is not known.
  """
  for name, value in overrides:
    if name == _PLUGINS and isinstance(config, Section):
      config[name] = _names(value)
  for name, value in overrides:
    *path, key = name.split(".")
    node = config
    for word in path:
      node = node.get(word) if isinstance(node, _Node) else None
    if isinstance(node, Section) and key in schema.selectors(node._kind):
      node[key] = value


def _names(text: str) -> tuple[str, ...]:
  """Returns the names in a flag's value, such as "('one', 'two')" or "one"."""
  try:
    names = ast.literal_eval(text)
  except (SyntaxError, ValueError):
    names = text
  return (names,) if isinstance(names, str) else tuple(names)


def notices(config: Any) -> list[str]:
  """Returns a line for each component whose options were dropped."""
  return [*config._notices] if isinstance(config, _Node) else []


def _rebuild(
    node: type[_Node],
    kind: type,
    location: str,
    lines: list[str],
    values: Mapping[str, Any],
    locked: bool,
) -> _Node:
  """Creates a copy of a node; see `_Node.__reduce__`."""
  copy = _fill(node(kind, location, lines), values)
  return copy.lock() if locked else copy


def _fill(node: _Node, values: Mapping[str, Any]) -> Any:
  """Sets the options of a new node; returns it."""
  for key in sorted(values, key=lambda key: not node._is_first(key)):
    node[key] = values[key]
  return node


def _mapping(value: Any, location: str) -> Mapping[str, Any]:
  """Returns a section's values.

  Raises:
    InputError: it is no mapping.
  """
  if isinstance(value, ml_collections.ConfigDict):
    return value.to_dict()
  if not isinstance(value, Mapping):
    raise errors.InputError(
        f"{location} must be a section, not {schema.show(value)}."
    )
  return value


def _plain(value: Any) -> Any:
  return value.to_dict() if isinstance(value, _Node) else value


def _dropped(
    location: str, selection: Mapping[str, str], dropped: Mapping[str, Any]
) -> str:
  """Returns the notice that options were dropped."""
  selected = " and ".join(f"{name}={v!r}" for name, v in selection.items())
  values = ", ".join(
      f"{name}={schema.show(_plain(value))}" for name, value in dropped.items()
  )
  return (
      f"{location}: {values} {'is' if len(dropped) == 1 else 'are'} dropped,"
      f" because {location} with {selected} does not have"
      f" {'it' if len(dropped) == 1 else 'them'}."
  )
