"""Files and names in docs/design.md exist."""

import ast
import pathlib
import re

from zsgen.core import config as config_lib

# Code of the page that is no name: formulas, and placeholders.
_NOT_NAMES = {"order[step * B : (step + 1) * B]"}
_DATA = r"\.(npy|bin|json|jsonl|parquet)$"


def _code(page: str) -> list[str]:
  """Returns the inline code of a page without repetitions."""
  return sorted(set(re.findall(r"`([^`\n]+)`", page)) - _NOT_NAMES)


def _definitions(package: pathlib.Path) -> set[str]:
  """Returns the names that modules define, as `name` and `module.name`."""
  names = set()
  for path in package.rglob("*.py"):
    init = path.name == "__init__.py"
    module = path.parent.name if init else path.stem
    names.add(module)
    for node in ast.parse(path.read_text("utf-8")).body:
      defined = []
      if isinstance(node, ast.FunctionDef | ast.ClassDef):
        defined = [node.name]
      elif isinstance(node, ast.ImportFrom) and init:
        defined = [alias.asname or alias.name for alias in node.names]
      names.update(defined, (f"{module}.{name}" for name in defined))
  return names


def _arguments(package: pathlib.Path) -> set[str]:
  """Returns the names of all parameters of functions."""
  return {
      argument.arg
      for path in package.rglob("*.py")
      for node in ast.walk(ast.parse(path.read_text("utf-8")))
      if isinstance(node, ast.arguments)
      for argument in (*node.args, *node.kwonlyargs)
  }


def _is_file(root: pathlib.Path, name: str) -> bool:
  """Returns whether a file or folder of the checkout or of zsgen exists."""
  if "/" not in name:
    return any((root / "zsgen").rglob(name))
  for base in (root, root / "zsgen"):
    path = base / name
    if path.is_dir() if name.endswith("/") else path.is_file():
      return True
  return False


def _is_option(assignment: str) -> bool:
  """Returns whether `section.option=value` is a valid option."""
  path, _, value = assignment.partition("=")
  section, _, option = path.rpartition(".")
  config_lib.check({section: {option: ast.literal_eval(value)}})
  return True


def test_files_and_names_of_the_page_exist(root):
  package = root / "zsgen"
  page = (root / "docs" / "design.md").read_text("utf-8")
  code = _code(page)
  source = "".join(p.read_text("utf-8") for p in package.rglob("*.py"))
  definitions, arguments = _definitions(package), _arguments(package)
  unknown = []
  for text in code:
    name = re.split(r"[(=]", text)[0]
    if text.startswith("--"):
      known = f'"{name.removeprefix("--")}"' in source
    elif re.search(_DATA, text) or text == "tokenizer/":
      known = f"{pathlib.PurePath(text).name}" in source
    elif text.endswith(("/", ".py")):
      known = _is_file(root, text)
    elif "." in name and "=" in text:
      known = _is_option(text)
    elif name.startswith("config."):
      known = name.removeprefix("config.") in config_lib.defaults()
    elif "=" in text:
      known = name in arguments
    else:
      known = name in definitions
    if not known:
      unknown.append(text)
  assert len(code) > 30
  assert not unknown, f"docs/design.md names what does not exist: {unknown}"
