"""Components by kind and name: arrangements, sources, evaluators and others.

A component is one file. It has a frozen dataclass of its options, made with
`zsgen.core.schema.option`, beside the function or class that reads them:

  @dataclasses.dataclass(frozen=True)
  class Tmt:
    pick: str = option("nearest", choices=("nearest", "farthest"))

  @registry.arrangement("tmt", options=Tmt)
  def tmt(pool: Pool, options: Tmt, seed: int) -> Arranged: ...

Built-in components are found in the home packages of their kind. A module that
has the name of a component is imported alone when the component is first looked
up; otherwise all modules of the package are. So adding a component changes no
other file.
"""

from collections.abc import Callable
import dataclasses
import functools
import importlib
import importlib.abc
import importlib.util
import pkgutil
import threading
from typing import Any, TypeVar

from zsgen.core import errors

# A registered function or class.
Build = TypeVar("Build", bound=Callable[..., Any])

# The packages whose modules register the built-in components of a kind. They
# are strings because this layer does not import those above it.
_HOMES: dict[str, tuple[str, ...]] = {
    "arrangement": ("zsgen.orders.arrangements",),
    "embedder": ("zsgen.orders.embedders",),
    "source": ("zsgen.data.sources",),
    "prompt": ("zsgen.data.prompts",),
    "template": ("zsgen.data.prompts",),
    "tokenizer": ("zsgen.data.tokenizers",),
    "evaluator": ("zsgen.evals",),
    "schedule": ("zsgen.train.schedules",),
    "model_family": ("zsgen.models.hugging_face",),
}
KINDS = tuple(_HOMES)


@dataclasses.dataclass(frozen=True)
class NoOptions:
  """The options of a component that has none."""


@dataclasses.dataclass(frozen=True)
class Component:
  """A registered component.

  Attributes:
    kind: one of `KINDS`.
    name: what a config selects it by.
    build: the registered function or class.
    options: the frozen dataclass of its options.
    module: the name of the module that registered it.
  """

  kind: str
  name: str
  build: Callable[..., Any]
  options: type
  module: str


_COMPONENTS: dict[str, dict[str, Component]] = {kind: {} for kind in KINDS}
_IMPORTED: set[str] = set()
# Discovery imports modules, which register components in the same thread.
_LOCK = threading.RLock()


def register(
    kind: str, name: str, options: type = NoOptions
) -> Callable[[Build], Build]:
  """Returns a decorator that registers a function or class.

  Args:
    kind: one of `KINDS`.
    name: what a config selects the component by.
    options: a frozen dataclass whose fields are made by `schema.option`.

  Raises:
    InputError: (from the decorator) other code has the name already.
  """
  if kind not in _COMPONENTS:
    raise errors.InputError(
        f"{kind!r} is not a kind of component."
        f"{errors.did_you_mean(kind, KINDS)} The kinds are: {', '.join(KINDS)}."
    )
  _check_options(options, f"the options of the {_kind(kind)} {name!r}")

  def decorate(build: Build) -> Build:
    """Registers a function or class, and returns it unchanged."""
    module = build.__module__ or "__main__"  # None for code in a string.
    component = Component(kind, name, build, options, module)
    if not component.module.startswith("zsgen."):
      _discover(kind)  # A built-in component may have the same name.
    with _LOCK:
      existing = _COMPONENTS[kind].get(name)
      if existing and _origin(existing) != _origin(component):
        raise errors.InputError(
            f"the {_kind(kind)} {name!r} is registered twice, by"
            f" {existing.module}.{existing.build.__qualname__} and by"
            f" {component.module}.{component.build.__qualname__}. Choose"
            " another name for one of them."
        )
      _COMPONENTS[kind][name] = component
    return build

  return decorate


arrangement = functools.partial(register, "arrangement")
embedder = functools.partial(register, "embedder")
source = functools.partial(register, "source")
prompt = functools.partial(register, "prompt")
template = functools.partial(register, "template")
tokenizer = functools.partial(register, "tokenizer")
evaluator = functools.partial(register, "evaluator")
schedule = functools.partial(register, "schedule")
model_family = functools.partial(register, "model_family")


def component(kind: str, name: str, location: str) -> Component:
  """Returns a component by its name.

  Args:
    kind: one of `KINDS`.
    name: the component's name.
    location: the option that selects it, such as "config.order.arrangement".

  Raises:
    InputError: there is no such component; the message lists all names.
  """
  components = _COMPONENTS[kind]
  if name not in components:
    _import_named(kind, name)
  if name not in components:
    _discover(kind)
  if name not in components:
    known = names(kind)
    raise errors.InputError(
        f"{location}: {name!r} is not known.{errors.did_you_mean(name, known)}"
        f" The names of {_kind(kind)}s are: {', '.join(known)}."
    )
  return components[name]


def names(kind: str) -> tuple[str, ...]:
  """Returns the names of all components of a kind, in alphabetical order."""
  return tuple(sorted(_discover(kind)))


def components(kind: str) -> tuple[Component, ...]:
  """Returns all components of a kind, in alphabetical order."""
  return tuple(_discover(kind)[name] for name in names(kind))


def registered_by(module: str) -> list[Component]:
  """Returns the components that a module, or modules in it, registered."""
  return [
      component
      for components in _COMPONENTS.values()
      for component in components.values()
      if f"{component.module}.".startswith(f"{module}.")
  ]


def _discover(kind: str) -> dict[str, Component]:
  """Imports the home packages of a kind; returns its components by name."""
  with _LOCK:
    for home in _HOMES[kind]:
      if home not in _IMPORTED:
        _import_package(home)
        _IMPORTED.add(home)
  return _COMPONENTS[kind]


def _import_named(kind: str, name: str) -> None:
  """Imports the module of a component that is named as the component is.

  The other components of the kind are not imported.
  """
  if not name.isidentifier():
    return
  with _LOCK:
    for home in _HOMES[kind]:
      package = importlib.import_module(home)
      if name in (
          m.name for m in pkgutil.iter_modules(getattr(package, "__path__", ()))
      ):
        importlib.import_module(f"{home}.{name}")


def _import_package(name: str) -> None:
  """Imports a module or, if it is a package, the components in it.

  Those are the modules directly in it whose source names the registry. Others,
  some of which import jax, are left to the code that needs them.
  """
  package = importlib.import_module(name)
  for module in pkgutil.iter_modules(getattr(package, "__path__", ())):
    full_name = f"{name}.{module.name}"
    if module.name != "__main__" and _names_registry(full_name):
      importlib.import_module(full_name)


def _names_registry(module: str) -> bool:
  """Returns whether a module's source, if it has one, names the registry."""
  spec = importlib.util.find_spec(module)
  loader = spec.loader if spec else None
  if not isinstance(loader, importlib.abc.InspectLoader):
    return True
  return "registry" in (loader.get_source(module) or "registry")


def _check_options(options: type, subject: str) -> None:
  """Raises InputError unless options are a frozen dataclass of the schema."""
  parameters = getattr(options, "__dataclass_params__", None)
  if parameters is None or not parameters.frozen:
    raise errors.InputError(
        f"{subject}, {options!r}, must be a frozen dataclass: decorate the"
        " class with @dataclasses.dataclass(frozen=True)."
    )
  for field in dataclasses.fields(options):
    if not field.metadata:
      raise errors.InputError(
          f"{subject}: {options.__qualname__}.{field.name} has no range. Write"
          f" it as `{field.name}: ... = option(default)`, with `option` of"
          " zsgen.core.schema."
      )


def _origin(component: Component) -> tuple[str, str]:
  """Returns where the code of a component is."""
  return component.module, component.build.__qualname__


def _kind(kind: str) -> str:
  """Returns a kind in words, such as "model family"."""
  return kind.replace("_", " ")
