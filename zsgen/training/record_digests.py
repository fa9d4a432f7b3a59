"""Digests of a run's records: what was written must be what is read.

Records grow at their end only. So one pair describes any of them at any
moment: a number of bytes, and the SHA-256 of so many from its beginning. A
checkpoint has the pairs of its step, and `result.json` those of the whole
files. Clocks (perf.jsonl), TensorBoard's events and traces are not covered.
"""

from collections.abc import Iterator, Mapping, Sequence
import hashlib
import pathlib
from typing import Any, NamedTuple

from zsgen import artifacts, errors

RESULT, PERF = "result.json", "perf.jsonl"
# Of an evaluation: every start writes them, and compares them with what a
# checkpoint counts on.
REWRITTEN = ("steps.npy", "ids.npy")
_CHUNK = 2**20


class Prefix(NamedTuple):
  """The beginning of a file.

  Attributes:
    size: its bytes.
    sha256: of them (hex); "" where it is not known.
  """

  size: int
  sha256: str


# Prefixes by a file's path in the run's directory, such as "metrics.jsonl".
Digests = Mapping[str, Prefix]


def from_json(value: Any) -> dict[str, Prefix]:
  """Digests as they come out of JSON."""
  return {name: Prefix(*pair) for name, pair in value.items()}


def from_lengths(lengths: Mapping[str, int]) -> dict[str, Prefix]:
  """Digests of a checkpoint of an older version, which has lengths only."""
  return {name: Prefix(size, "") for name, size in lengths.items()}


def identity(run: pathlib.Path) -> str:
  """What marks the files of a run: what made it, not where it is.

  Raises:
    InputError: its manifest is missing or damaged.
  """
  return artifacts.digest(artifacts.read_manifest(run, "run")["made_by"])


def without_clocks(digests: Digests) -> dict[str, Prefix]:
  """Those of records that are functions of the config only."""
  return {name: each for name, each in digests.items() if name != PERF}


def without_rewritten(digests: Digests) -> dict[str, Prefix]:
  """Those of records that a start of the run does not write again by itself."""
  return {
      name: each
      for name, each in digests.items()
      if pathlib.PurePath(name).name not in REWRITTEN
  }


def hash_prefix(path: pathlib.Path, size: int) -> "hashlib._Hash":
  """Hashes the first `size` bytes of a file; fewer, if it has no more."""
  hashed = hashlib.sha256()
  with open(path, "rb") as file:
    while size and (chunk := file.read(min(size, _CHUNK))):
      hashed.update(chunk)
      size -= len(chunk)
  return hashed


def problems(
    run: pathlib.Path, expected: Digests, whole: bool = False
) -> Iterator[str]:
  """Compares records with what was written.

  Args:
    run: the run's directory.
    expected: their digests. What is covered by none may be anything.
    whole: the files must end where their digests do.

  Yields:
    What is wrong, for each file that is damaged: it begins with the file.
  """
  for name, prefix in without_clocks(expected).items():
    path = run / name
    try:
      size = path.stat().st_size
      if size < prefix.size or (whole and size != prefix.size):
        yield f"{path}: has {size} bytes, but {prefix.size} were written"
      elif prefix.sha256:
        found = hash_prefix(path, prefix.size).hexdigest()
        if found != prefix.sha256:
          yield f"{path}: was changed since it was written, or is damaged"
    except OSError as error:
      yield f"{path}: cannot be read ({error.strerror})"


def check_finished(run: pathlib.Path) -> dict[str, Prefix]:
  """Checks the records of a run that has ended against its result.json.

  Returns:
    Their digests; {} if the run has not ended, or did with an older version,
    which wrote none.

  Raises:
    InputError: names the first file that is damaged, and what to do.
  """
  if not (run / RESULT).exists():
    return {}
  written = artifacts.read_sealed(
      run / RESULT,
      identity(run),
      "Delete it: the command that trains the run writes it again.",
  )
  known = {"steps", "evals", "targets", "records"}
  if written.keys() - known:
    raise errors.InputError(
        f"{run / RESULT}: has unknown fields: it was changed or is damaged."
        " Delete it: the command that trains the run writes it again."
    )
  expected = from_json(written.get("records", {}))
  for problem in problems(run, expected, whole=True):
    raise errors.InputError(
        f"{problem}. Delete {run / RESULT} and start the command that trains"
        " the run: it resumes before the damage, or says which files to delete."
    )
  return expected


def lost_clocks(run: pathlib.Path, expected: Digests) -> Sequence[str]:
  """A line if perf.jsonl lacks what was written to it; it is not needed."""
  size = expected[PERF].size if PERF in expected else 0
  path = run / PERF
  if size <= (path.stat().st_size if path.exists() else 0):
    return []
  return [f"{path} was damaged: times of steps before this start are lost"]
