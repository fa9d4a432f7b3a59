"""Checks all artifacts under a path."""

from collections.abc import Iterator
import pathlib
import re
from typing import NamedTuple

from zsgen.core import artifacts, errors
from zsgen.orders import order as order_lib
from zsgen.orders import trace
from zsgen.verify import artifact, runs

_CHECKS: dict[str, artifact.Check] = {
    "embeddings": artifact.check_embeddings,
    "evaluation": artifact.check_files,
    "export": artifact.check_files,
    "order": artifact.check_order,
    "rows": artifact.check_files,
    "scores": artifact.check_files,
    "segment": artifact.check_files,
    "population": runs.check_population,
    "run": runs.check_run,
    "store": artifact.check_store,
}
# Entries of a workdir: artifacts, and compiled programs.
_ENTRIES = {*artifacts.SECTIONS, "cache"}
# Files of a run's directory before its manifest is written.
_BEFORE = {".lock", "config.json"}
_TRACE = re.compile(r"(.+)\.trace-(.+)\.parquet")


class Result(NamedTuple):
  """The result for one artifact, or for another file next to artifacts.

  Attributes:
    path: of the artifact or file.
    lines: checks that passed, and remarks, a line each.
    problems: checks that failed, and what to do, a sentence each.
  """

  path: pathlib.Path
  lines: list[str]
  problems: list[str]


def verify(path: pathlib.Path) -> list[str]:
  """Checks an artifact, or all artifacts of a workdir.

  Args:
    path: a directory, see `check`.

  Returns:
    A line for each check that passed.

  Raises:
    InputError: its message has all problems, a line each; or the path is
      neither an artifact nor a workdir.
  """
  results = list(check(path))
  problems = [problem for result in results for problem in result.problems]
  if problems:
    raise artifact.Damaged(problems)
  return [line for result in results for line in result.lines]


def check(path: pathlib.Path) -> Iterator[Result]:
  """Checks an artifact, or all artifacts of a workdir, one by one.

  Args:
    path: an artifact, one of a workdir's directories of artifacts, or a
      workdir.

  Yields:
    A result for each artifact, stores first. A line or problem that several
    artifacts share (such as a damaged store) is listed once.

  Raises:
    InputError: the path is none of these.
  """
  artifact.forget()
  reported: set[str] = set()
  for result in _results(path):
    lines, problems = (_new(part, reported) for part in result[1:])
    if result.problems and not problems:
      problems = [
          f"{result.path}: was not verified, because its inputs were not (see"
          " above)."
      ]
    yield Result(result.path, lines, problems)


def _new(lines: list[str], reported: set[str]) -> list[str]:
  """Returns the lines that are new, and adds them to `reported`."""
  fresh = [line for line in dict.fromkeys(lines) if line not in reported]
  reported.update(fresh)
  return fresh


def _results(path: pathlib.Path) -> Iterator[Result]:
  """Yields the results under a path."""
  if not path.is_dir():
    reason = "is a file" if path.is_file() else "there is no such directory"
    raise errors.InputError(f"{path}: {reason}. {_ADVICE}")
  sections = [path / name for name in artifacts.SECTIONS]
  if (path / artifacts.MANIFEST).exists():
    yield _artifact(path)
  elif path.resolve().name in artifacts.SECTIONS:
    yield from _section(path)
  elif any(section.is_dir() for section in sections):
    for section in sections:
      if section.is_dir():
        yield from _section(section)
    unknown = {entry.name for entry in path.iterdir()} - _ENTRIES
    if unknown:
      line = f"{path}: not checked: {', '.join(sorted(unknown))}"
      yield Result(path, [line], [])
  elif path.resolve().parent.name in artifacts.SECTIONS:
    yield _entry(path)
  else:
    raise errors.InputError(
        f"{path}: is neither an artifact nor a workdir: it has no"
        f" {artifacts.MANIFEST}, and none of"
        f" {', '.join(f'{name}/' for name in artifacts.SECTIONS)}. {_ADVICE}"
    )


def _section(path: pathlib.Path) -> Iterator[Result]:
  """Yields the results of one of a workdir's directories."""
  try:
    entries = sorted(path.iterdir())
  except OSError as error:
    raise errors.InputError(f"{path}: cannot be read ({error}).") from error
  for entry in entries:
    yield _entry(entry)


def _entry(path: pathlib.Path) -> Result:
  """Returns the result of an entry in a directory of artifacts."""
  if path.name.startswith("."):
    return Result(path, [f"{path}: {_left_over(path)}"], [])
  if traced := _TRACE.fullmatch(path.name):
    return _trace(path, path.with_name(traced[1]), traced[2])
  if (
      path.resolve().parent.name == "populations"
      and not (path / artifacts.MANIFEST).exists()
  ):
    line = f"population {path}: not checked: it has no {artifacts.MANIFEST}"
    return Result(path, [line], [])
  is_hashed = artifacts.is_hashed(path.name)
  if (path / artifacts.MANIFEST).exists() or (is_hashed and path.is_dir()):
    if (
        path.resolve().parent.name == "runs"
        and {file.name for file in path.iterdir()} <= _BEFORE
    ):
      return Result(
          path, [f"run {path}: unfinished: it has only just begun"], []
      )
    return _artifact(path)
  return Result(path, [f"{path}: not an artifact of zsgen; not checked"], [])


def _artifact(path: pathlib.Path) -> Result:
  """Returns the result of an artifact."""
  try:
    kind = artifacts.kind_of(artifacts.read_manifest(path))
    artifacts.read_provenance(path)
    return Result(path, _CHECKS[kind](path), [])
  except errors.InputError as error:
    return Result(path, [], artifact.problems_of(error))
  except OSError as error:
    return Result(path, [], [f"{path}: cannot be read ({error})."])


def _trace(path: pathlib.Path, order: pathlib.Path, split: str) -> Result:
  """Returns the result of a trace, which must belong to its order."""
  try:
    if order.is_dir():
      trace.find(order_lib.Order.load(order), split)
    else:
      trace.read(path)
    return Result(path, [f"trace {path}: verified"], [])
  except errors.InputError as error:
    return Result(path, [], [str(error)])


def _left_over(path: pathlib.Path) -> str:
  """Returns what a hidden file or directory next to artifacts is."""
  if path.name.endswith((".partial", ".shards")):
    return (
        "unfinished: the progress of a stopped command; the same command"
        " continues it"
    )
  return "left over from a stopped command, or in use by a running one"


_ADVICE = (
    "Name the directory of a store, embeddings, scores, an order, an evaluation"
    " or a run, or a workdir."
)
