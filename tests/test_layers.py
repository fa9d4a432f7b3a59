"""Imports between the layers of zsgen point down, never up or in a circle."""

import ast
from collections.abc import Iterator
import graphlib
import pathlib

import pytest

PACKAGE = pathlib.Path(__file__).resolve().parents[1] / "zsgen"
# From the top. Commands (`__main__`) and `zsgen.main` are above all of them.
LAYERS = (
    "pipeline",
    "verify",
    "rewrites",
    "reports",
    "planning",
    "evals",
    "train",
    "orders",
    "data",
    "models",
    "core",
)


def modules(package: pathlib.Path) -> dict[str, pathlib.Path]:
  """Returns the files of a package by dotted name."""
  files = {}
  for path in sorted(package.rglob("*.py")):
    parts = path.relative_to(package.parent).with_suffix("").parts
    if parts[-1] == "__init__":
      parts = parts[:-1]
    files[".".join(parts)] = path
  return files


def imported(path: pathlib.Path, known: set[str]) -> Iterator[tuple[str, bool]]:
  """Yields the modules of zsgen that a file imports.

  Args:
    path: the file.
    known: all modules of zsgen.

  Yields:
    A module's name, and whether it is imported when the file is.
  """
  tree = ast.parse(path.read_text(encoding="utf-8"))
  eager = {id(node) for node in tree.body}
  for node in ast.walk(tree):
    names = []
    if isinstance(node, ast.ImportFrom) and node.module:
      names = [f"{node.module}.{alias.name}" for alias in node.names]
    elif isinstance(node, ast.Import):
      names = [alias.name for alias in node.names]
    for name in names:
      if name in known:
        yield name, id(node) in eager
      elif (parent := name.rpartition(".")[0]) in known:
        yield parent, id(node) in eager


def upward(package: pathlib.Path) -> list[str]:
  """Returns the imports that point to a higher layer."""
  files = modules(package)
  violations = []
  for name, path in files.items():
    layer, *_ = name.split(".")[1:] or [""]
    if layer not in LAYERS or name.endswith(".__main__"):
      continue
    for dependency, _ in imported(path, set(files)):
      target, *_ = dependency.split(".")[1:] or [""]
      if target not in LAYERS or LAYERS.index(target) < LAYERS.index(layer):
        violations.append(f"{name} imports {dependency}")
  return violations


def circle(package: pathlib.Path) -> list[str]:
  """Returns modules that import each other in a circle; [] if none do."""
  files = modules(package)
  graph = {
      name: (
          {
              dependency
              for dependency, eager in imported(path, set(files))
              if eager
          }
          - {name}
      )
      for name, path in files.items()
  }
  try:
    graphlib.TopologicalSorter(graph).prepare()
  except graphlib.CycleError as error:
    return error.args[1]
  return []


def test_the_list_of_layers_is_complete():
  folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
  assert folders == set(LAYERS)


def test_no_import_points_up():
  assert not upward(PACKAGE)


def test_nothing_imports_the_plug_in():
  files = modules(PACKAGE)
  plug_in = {name for name in files if name.startswith("zsgen.rewrites")}
  assert plug_in
  for name in files.keys() - plug_in:
    assert not plug_in & {
        dependency for dependency, _ in imported(files[name], {*files})
    }


def test_no_modules_import_each_other_in_a_circle():
  assert not circle(PACKAGE)


@pytest.mark.parametrize(
    "line",
    ["from zsgen import train", "import zsgen.train.loop", "import zsgen"],
)
def test_an_upward_import_is_found(tmp_path, line):
  for name in ("core/errors", "core/__init__", "train/loop", "train/__init__"):
    path = tmp_path / "zsgen" / f"{name}.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("")
  (tmp_path / "zsgen" / "__init__.py").write_text("")
  (tmp_path / "zsgen/core/errors.py").write_text(f"def f():\n  {line}\n")
  assert len(upward(tmp_path / "zsgen")) == 1


def test_a_circle_is_found(tmp_path):
  folder = tmp_path / "zsgen"
  folder.mkdir()
  (folder / "a.py").write_text("from zsgen import b\n")
  (folder / "b.py").write_text("import zsgen.a\n")
  assert set(circle(folder)) == {"zsgen.a", "zsgen.b"}
