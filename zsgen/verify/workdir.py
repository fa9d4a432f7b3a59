"""All artifacts under a path."""

from collections.abc import Iterator
import pathlib
import re
from typing import NamedTuple

from zsgen import artifacts, errors
from zsgen.orders import order as order_lib
from zsgen.orders import trace
from zsgen.verify import artifact, runs

_CHECKS: dict[str, artifact.Check] = {
    "embeddings": artifact.check_embeddings,
    "evaluation": artifact.check_files,
    "export": artifact.check_files,
    "order": artifact.check_order,
    "rows": artifact.check_files,
    "run": runs.check_run,
    "store": artifact.check_store,
}
# What may be in a workdir: artifacts, and compiled programs.
_KNOWN = {*artifacts.SECTIONS, "cache"}
# What a run's directory has before the run's manifest is written.
_BEFORE = {".lock", "config.json"}
_TRACE = re.compile(r"(.+)\.trace-(.+)\.parquet")


class Result(NamedTuple):
  """What was found of one artifact, or of one more file beside artifacts.

  Attributes:
    path: where it is.
    lines: what holds, or is to be known, a line each.
    problems: what does not hold, and what to do, a sentence each.
  """

  path: pathlib.Path
  lines: list[str]
  problems: list[str]


def verify(path: pathlib.Path) -> list[str]:
  """Checks an artifact, or all that a workdir holds.

  Args:
    path: a directory, see `check`.

  Returns:
    What holds, a line a check.

  Raises:
    InputError: has all that does not hold, a line each; or the path is none
      of zsgen's.
  """
  results = list(check(path))
  if problems := [each for result in results for each in result.problems]:
    raise artifact.Damaged(problems)
  return [line for result in results for line in result.lines]


def check(path: pathlib.Path) -> Iterator[Result]:
  """Checks an artifact, or all that a workdir holds, one by one.

  Args:
    path: an artifact, one of a workdir's directories of artifacts, or a
      workdir.

  Yields:
    A result for each artifact, stores first. A line or problem that several
    share (a damaged store is one of all its orders) comes once.

  Raises:
    InputError: the path is none of these.
  """
  artifact.forget()
  seen: set[str] = set()
  for result in _results(path):
    lines, problems = (_new(part, seen) for part in result[1:])
    if result.problems and not problems:
      problems = [
          f"{result.path}: was not verified: what it was made from is not, see"
          " above."
      ]
    yield Result(result.path, lines, problems)


def _new(lines: list[str], seen: set[str]) -> list[str]:
  """The lines that did not come before."""
  fresh = [line for line in dict.fromkeys(lines) if line not in seen]
  seen.update(fresh)
  return fresh


def _results(path: pathlib.Path) -> Iterator[Result]:
  """The results under a path."""
  if not path.is_dir():
    what = "is a file" if path.is_file() else "there is no such directory"
    raise errors.InputError(f"{path}: {what}. {_WANTED}")
  sections = [path / name for name in artifacts.SECTIONS]
  if (path / artifacts.MANIFEST).exists():
    yield _artifact(path)
  elif path.resolve().name in artifacts.SECTIONS:
    yield from _section(path)
  elif any(section.is_dir() for section in sections):
    for section in sections:
      if section.is_dir():
        yield from _section(section)
    others = {entry.name for entry in path.iterdir()} - _KNOWN
    if others:
      line = f"{path}: not checked: {', '.join(sorted(others))}"
      yield Result(path, [line], [])
  elif path.resolve().parent.name in artifacts.SECTIONS:
    yield _entry(path)
  else:
    raise errors.InputError(
        f"{path}: is neither an artifact nor a workdir: it has no"
        f" {artifacts.MANIFEST}, and none of"
        f" {', '.join(f'{name}/' for name in artifacts.SECTIONS)}. {_WANTED}"
    )


def _section(path: pathlib.Path) -> Iterator[Result]:
  """The results of what lies in one of a workdir's directories."""
  try:
    entries = sorted(path.iterdir())
  except OSError as error:
    raise errors.InputError(f"{path}: cannot be read ({error}).") from error
  for entry in entries:
    yield _entry(entry)


def _entry(path: pathlib.Path) -> Result:
  """What is known of something that lies where artifacts do."""
  if path.name.startswith("."):
    return Result(path, [f"{path}: {_left_over(path)}"], [])
  if traced := _TRACE.fullmatch(path.name):
    return _trace(path, path.with_name(traced[1]), traced[2])
  named = artifacts.is_hashed(path.name)
  if (path / artifacts.MANIFEST).exists() or (named and path.is_dir()):
    if (
        path.resolve().parent.name == "runs"
        and {each.name for each in path.iterdir()} <= _BEFORE
    ):
      return Result(path, [f"run {path}: unfinished: was just begun"], [])
    return _artifact(path)
  return Result(path, [f"{path}: is not zsgen's; it was not checked"], [])


def _artifact(path: pathlib.Path) -> Result:
  """The result of an artifact."""
  try:
    kind = artifacts.kind_of(artifacts.read_manifest(path))
    return Result(path, _CHECKS[kind](path), [])
  except errors.InputError as error:
    return Result(path, [], artifact.problems_of(error))
  except OSError as error:
    return Result(path, [], [f"{path}: cannot be read ({error})."])


def _trace(path: pathlib.Path, order: pathlib.Path, split: str) -> Result:
  """A trace, which must be whole and of the order that it is named after."""
  try:
    if order.is_dir():
      trace.find(order_lib.Order.load(order), split)
    else:
      trace.read(path)
    return Result(path, [f"trace {path}: verified"], [])
  except errors.InputError as error:
    return Result(path, [], [str(error)])


def _left_over(path: pathlib.Path) -> str:
  """What a hidden file or directory beside artifacts is."""
  if path.name.endswith(".partial"):
    return (
        "unfinished: what a command that was stopped has made; the same"
        " command goes on with it"
    )
  return "left over from a command that was stopped, if none is at work"


_WANTED = (
    "Name the directory of a store, embeddings, an order, an evaluation or a"
    " run, or a workdir."
)
