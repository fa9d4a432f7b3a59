"""Checks the English of names and docstrings: `python -m tests.helpers.names`.

Reads its word lists and the limits of each layer from `[tool.zsgen.names]` in
pyproject.toml, prints the share of vague names and of docstrings that do not
start with a verb, and exits with 1 if a layer is above its limit. With
`--worst=20`, also prints the 20 files with the most of both; with
`--show=PATH`, every one in the files under PATH.
"""

import argparse
import ast
from collections.abc import Iterator
import dataclasses
import pathlib
import sys
import tomllib
from typing import NamedTuple

ROOT = pathlib.Path(__file__).parents[2]
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
# First words of predicates, such as `is_same`.
_PREDICATES = ("can", "does", "has", "is", "was")
_SCOPES = (*_FUNCTIONS, ast.ClassDef, ast.Lambda)


class Finding(NamedTuple):
  """A vague name, or a docstring that does not start with a verb."""

  line: int
  text: str


@dataclasses.dataclass
class Counts:
  """How many names and docstrings were checked, and those that fail."""

  names: int = 0
  docstrings: int = 0
  vague: list[Finding] = dataclasses.field(default_factory=list)
  verbless: list[Finding] = dataclasses.field(default_factory=list)

  def add(self, counts: "Counts") -> None:
    self.names += counts.names
    self.docstrings += counts.docstrings
    self.vague += counts.vague
    self.verbless += counts.verbless

  def shares(self) -> tuple[float, float]:
    """Returns the percentages of vague names and of verbless docstrings."""
    return (
        100 * len(self.vague) / max(1, self.names),
        100 * len(self.verbless) / max(1, self.docstrings),
    )


@dataclasses.dataclass(frozen=True)
class Rules:
  """The word lists and limits of `[tool.zsgen.names]`."""

  vague: frozenset[str]
  nouns: frozenset[str]
  imperatives: frozenset[str]
  limits: dict[str, tuple[float, float]]

  @classmethod
  def read(cls, path: pathlib.Path) -> "Rules":
    """Reads the rules from a pyproject.toml."""
    table = tomllib.loads(path.read_text())["tool"]["zsgen"]["names"]
    return cls(
        frozenset(table["vague"]),
        frozenset(table["nouns"]),
        frozenset(table["imperatives"]),
        {layer: tuple(limit) for layer, limit in table["limits"].items()},
    )

  def is_vague(self, name: str) -> bool:
    """Returns whether all words of a name are vague: `found`, `one_of`."""
    words = [word for word in name.lower().split("_") if word]
    if (
        not words
        or name.startswith("__")
        or (len(words) > 1 and (words[0] in _PREDICATES))
    ):
      return False
    return all(word in self.vague for word in words)

  def starts_with_verb(self, docstring: str) -> bool:
    """Returns whether a docstring starts in the third person or imperative."""
    word = docstring.split(maxsplit=1)[0].rstrip(".,:;")
    if word in self.imperatives:
      return True
    is_third_person = word.endswith("s") and not word.endswith("ss")
    return is_third_person and word.isalpha() and word not in self.nouns


def _bound(node: ast.AST) -> Iterator[tuple[str, int]]:
  """Yields the names that a node binds by itself, with their lines."""
  match node:
    case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
      yield node.name, node.lineno
    case ast.arg():
      yield node.arg, node.lineno
    case ast.Name(ctx=ast.Store()):
      yield node.id, node.lineno
    case ast.Attribute(ctx=ast.Store()):
      yield node.attr, node.lineno
    case ast.alias(asname=str()):
      yield node.asname, node.lineno
    case ast.ExceptHandler(name=str()) | ast.MatchAs(name=str()):
      yield node.name, node.lineno
    case ast.MatchStar(name=str()):
      yield node.name, node.lineno


def _names(scope: ast.AST) -> Iterator[tuple[str, int]]:
  """Yields each name bound in a scope once, then those of nested scopes."""
  names: dict[str, int] = {}
  nested = []
  pending = list(ast.iter_child_nodes(scope))
  while pending:
    node = pending.pop()
    for name, line in _bound(node):
      names[name] = min(line, names.get(name, line))
    if isinstance(node, _SCOPES):
      nested.append(node)
    else:
      pending += ast.iter_child_nodes(node)
  yield from names.items()
  for node in nested:
    yield from _names(node)


def _is_property(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
  return any("property" in ast.unparse(d) for d in node.decorator_list)


def _docstrings(tree: ast.AST) -> Iterator[tuple[str, int]]:
  """Yields the docstrings of public functions; properties may be nouns."""
  for node in ast.walk(tree):
    if not isinstance(node, _FUNCTIONS) or node.name.startswith("_"):
      continue
    docstring = ast.get_docstring(node)
    if docstring and not _is_property(node):
      yield docstring, node.lineno


def check_source(source: str, rules: Rules) -> Counts:
  """Counts the names and docstrings of one module."""
  tree = ast.parse(source)
  counts = Counts()
  for name, line in _names(tree):
    if name not in ("self", "cls") and name.strip("_"):
      counts.names += 1
      if rules.is_vague(name):
        counts.vague.append(Finding(line, name))
  for docstring, line in _docstrings(tree):
    counts.docstrings += 1
    if not rules.starts_with_verb(docstring):
      text = docstring.split("\n", maxsplit=1)[0]
      counts.verbless.append(Finding(line, text))
  return counts


def check_files(root: pathlib.Path, rules: Rules) -> dict[str, Counts]:
  """Counts every file of the layers in `rules.limits`, by relative path."""
  counts = {}
  for layer in rules.limits:
    path = root / layer
    paths = [path] if path.suffix == ".py" else sorted(path.rglob("*.py"))
    for file in paths:
      name = file.relative_to(root).as_posix()
      if name not in counts:
        counts[name] = check_source(file.read_text(), rules)
  return counts


def sum_layers(counts: dict[str, Counts], rules: Rules) -> dict[str, Counts]:
  """Sums the counts of files by layer; a file belongs to its deepest one."""
  layers = {layer: Counts() for layer in rules.limits}
  for path, file_counts in counts.items():
    parents = [
        layer
        for layer in layers
        if path == layer or path.startswith(f"{layer}/")
    ]
    layers[max(parents, key=len)].add(file_counts)
  return layers


def _print_layers(layers: dict[str, Counts], rules: Rules) -> bool:
  """Prints a line per layer. Returns whether all are within their limits."""
  is_within = True
  total = Counts()
  print(f"{'layer':<24}{'names':>7}{'vague':>8}{'docs':>7}{'verbless':>10}")
  for layer, counts in layers.items():
    total.add(counts)
    shares = counts.shares()
    passes = all(
        share <= limit
        for share, limit in zip(shares, rules.limits[layer], strict=True)
    )
    is_within &= passes
    note = (
        ""
        if passes
        else "  above the limit of {}%, {}%".format(*rules.limits[layer])
    )
    print(_format_row(layer, counts) + note)
  print(_format_row("all", total))
  return is_within


def _format_row(label: str, counts: Counts) -> str:
  vague, verbless = counts.shares()
  return (
      f"{label:<24}{counts.names:>7}{vague:>7.2f}%{counts.docstrings:>7}"
      f"{verbless:>9.2f}%"
  )


def _print_worst(files: dict[str, Counts], number: int) -> None:
  def failures(path: str) -> int:
    return len(files[path].vague) + len(files[path].verbless)

  for path in sorted(files, key=failures, reverse=True)[:number]:
    counts = files[path]
    print(f"{path}: {len(counts.vague)} names, {len(counts.verbless)} docs")


def _print_findings(files: dict[str, Counts], prefix: str) -> None:
  for path, counts in files.items():
    if path.startswith(prefix):
      for finding in sorted(counts.vague + counts.verbless):
        print(f"{path}:{finding.line}: {finding.text}")


def main(arguments: list[str]) -> int:
  """Runs the command. Returns its exit status."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--worst", type=int, default=0, metavar="NUMBER")
  parser.add_argument("--show", metavar="PATH")
  options = parser.parse_args(arguments)
  rules = Rules.read(ROOT / "pyproject.toml")
  files = check_files(ROOT, rules)
  if options.show:
    _print_findings(files, options.show)
  is_within = _print_layers(sum_layers(files, rules), rules)
  _print_worst(files, options.worst if is_within else max(10, options.worst))
  return 0 if is_within else 1


if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))
