"""Names of artifacts and of their directories, and what to do about damage."""

from collections.abc import Mapping
import pathlib
import re
from typing import Any

from zsgen.core.artifacts import hashing

MANIFEST = "manifest.json"
# A workdir's directories of artifacts, and the kind that each contains.
SECTIONS = {
    "stores": "store",
    "embeddings": "embeddings",
    "scores": "scores",
    "orders": "order",
    "evaluations": "evaluation",
    "runs": "run",
    "populations": "population",
    "scratch": "rows",
}
# The hash at the end of a name that `name` made.
_HASHED = re.compile(r"-([0-9a-f]{10})$")


def name(stem: str, recipe: Mapping[str, Any]) -> str:
  """Returns the name of an artifact: the stem and a hash of what makes it."""
  return f"{stem}-{hashing.digest(recipe)[:10]}"


def is_hashed(directory: str) -> bool:
  """Returns whether a directory's name ends in a hash, as `name` makes it."""
  return _HASHED.search(directory) is not None


def expected_name(directory: str, recipe: Mapping[str, Any]) -> str:
  """Returns the name that a directory should have.

  Args:
    directory: its name. One that does not end in a hash was chosen by a user,
      and is right.
    recipe: what makes the artifact, according to its manifest.
  """
  hashed = _HASHED.search(directory)
  return name(directory[: hashed.start()], recipe) if hashed else directory


def advise(path: pathlib.Path, kind: str = "") -> str:
  """Returns what to do about a damaged artifact, as half a sentence.

  Args:
    path: its directory.
    kind: what it should be; by default, what its parent directory contains.
  """
  actual = path.resolve()
  section_kind = SECTIONS.get(actual.parent.name, "")
  kind = kind or section_kind
  is_export = actual.name.startswith("export")
  if is_export and actual.parent.parent.name == "runs":
    return f"delete {path}, and --stage=export makes it again"
  if [folder.name for folder in actual.parents[:3:2]] == ["segments", "runs"]:
    return f"delete {path}, and the command that trains the run makes it again"
  if not section_kind and not is_hashed(actual.name):
    return "check the path"  # zsgen may not have made this directory.
  if kind in ("run", "population"):  # It may hold days of training.
    return (
        f"delete {path / MANIFEST} if it exists: the command that made the"
        f" {kind} writes it again and keeps everything else"
    )
  return f"delete {path} to have it made again"
