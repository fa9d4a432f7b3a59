"""Modules of users that register components: `config.plugins`.

A plug-in is a module next to the config file, or any module that Python can
import. It registers arrangements, embedders, sources, evaluators and other
components through `zsgen.core.registry`.
"""

from collections.abc import Sequence
import hashlib
import importlib
import importlib.util
import pathlib
import sys
import traceback
import types

from zsgen.core import errors, registry

# The SHA-256 of the source of each plug-in that was loaded, by module.
_DIGESTS: dict[str, str] = {}


def search(directory: pathlib.Path) -> None:
  """Lets plug-ins, and what they import, be found in a directory too.

  The directory comes last, so that its files hide no module of a library.
  """
  path = str(directory.absolute())
  if path not in sys.path:
    sys.path.append(path)


def load(names: Sequence[str], location: str = "config.plugins") -> None:
  """Imports plug-ins; those that were loaded before are not imported again.

  Args:
    names: modules, such as ("my_module",).
    location: the option that names them.

  Raises:
    InputError: there is no such module, it raises an exception, or it
      registers nothing.
  """
  if not isinstance(names, list | tuple) or not all(
      isinstance(name, str) for name in names
  ):
    raise errors.InputError(
        f"{location} is {names!r}; give a tuple of modules, such as"
        " ('my_module',)."
    )
  for name in names:
    if name not in _DIGESTS:
      module = _import(name, location)
      _check_registers(module, location)
      _DIGESTS[name] = _digest(module)


def digest(component: registry.Component) -> str | None:
  """Returns the SHA-256 of a plug-in's source; None for built-in components.

  It is part of the fingerprint of what the component makes.
  """
  name = component.module
  while name:
    if name in _DIGESTS:
      return _DIGESTS[name]
    name = name.rpartition(".")[0]
  return None


def fingerprint(kind: str, name: str) -> dict[str, str]:
  """Returns what the name of an artifact hashes of the plug-in that makes it.

  Args:
    kind: the kind of the component.
    name: its name.

  Returns:
    The digest of its source by `plugin`; {} for built-in components.
  """
  source = digest(registry.component(kind, name, f"the {kind}"))
  return {} if source is None else {"plugin": source}


def digests() -> dict[str, str]:
  """Returns the SHA-256 of each plug-in that was loaded, by module."""
  return dict(_DIGESTS)


def _import(name: str, location: str) -> types.ModuleType:
  """Imports a module.

  Raises:
    InputError: it is not there, or fails while it is imported.
  """
  try:
    return importlib.import_module(name)
  except ModuleNotFoundError as error:
    if error.name is not None and f"{name}.".startswith(f"{error.name}."):
      raise errors.InputError(
          f"{location}: there is no module {name!r}. Put {name}.py next to the"
          " config file, or into a directory of PYTHONPATH."
      ) from error
    raise _broken(name, location, error) from error
  except errors.InputError:
    raise
  except (Exception, SystemExit) as error:
    raise _broken(name, location, error) from error


def _broken(
    name: str, location: str, error: BaseException
) -> errors.InputError:
  """Returns the error for a plug-in that raises one while it is imported."""
  if isinstance(error, SyntaxError):
    source, message = f"{error.filename}, line {error.lineno}", error.msg
  else:
    *_, frame = traceback.extract_tb(error.__traceback__)
    source, message = f"{frame.filename}, line {frame.lineno}", str(error)
  return errors.InputError(
      f"{location}: the module {name!r} cannot be imported. {source}:"
      f" {type(error).__name__}: {message}"
  )


def _check_registers(module: types.ModuleType, location: str) -> None:
  """Raises InputError if a module registers no component."""
  if not registry.registered_by(module.__name__):
    raise errors.InputError(
        f"{location}: the module {module.__name__!r} ({module.__file__})"
        " registers no component. Decorate a function of it, such as with"
        " @zsgen.register_arrangement('my_name'), or leave it out."
    )


def _digest(module: types.ModuleType) -> str:
  """Returns the SHA-256 of a module's source, or of all files of a package."""
  paths = [pathlib.Path(module.__file__ or "")]
  if hasattr(module, "__path__"):
    paths = sorted(paths[0].parent.rglob("*.py"))
  sha = hashlib.sha256()
  for path in paths:
    content = path.read_bytes()
    sha.update(f"{path.relative_to(paths[0].parent)} {len(content)}\n".encode())
    sha.update(content)
  return sha.hexdigest()
