"""Computes and compares digests of a run's records.

Records are only appended to. So the state of a record at any time is described
by its length in bytes and the SHA-256 of those bytes. A checkpoint has these
for its step, and `result.json` has them for the complete files. Timings
(perf.jsonl), TensorBoard events and traces are not covered.
"""

from collections.abc import Iterator, Mapping, Sequence
import hashlib
import pathlib
from typing import Any, NamedTuple

from zsgen.core import artifacts, errors

RESULT, PERF = "result.json", "perf.jsonl"
# Of an evaluation: every start writes them, and compares them with what a
# checkpoint counts on.
REWRITTEN = ("steps.npy", "ids.npy")
_CHUNK = 2**20


class Prefix(NamedTuple):
  """The beginning of a file.

  Attributes:
    size: its length in bytes.
    sha256: the SHA-256 (hex) of these bytes; "" if it is unknown.
  """

  size: int
  sha256: str


# Prefixes by a file's path in the run's directory, such as "metrics.jsonl".
Digests = Mapping[str, Prefix]


def from_json(value: Any) -> dict[str, Prefix]:
  """Returns digests from their JSON value."""
  return {name: Prefix(*pair) for name, pair in value.items()}


def from_lengths(lengths: Mapping[str, int]) -> dict[str, Prefix]:
  """Returns digests from an older checkpoint, which has lengths only."""
  return {name: Prefix(size, "") for name, size in lengths.items()}


def identity(run: pathlib.Path) -> str:
  """Returns the identity of a run: a digest of what made it.

  Raises:
    InputError: the run's manifest is missing or damaged.
  """
  return artifacts.digest(artifacts.read_manifest(run, "run")["made_by"])


def without_clocks(digests: Digests) -> dict[str, Prefix]:
  """Returns the digests of records that are functions of the config."""
  return {name: prefix for name, prefix in digests.items() if name != PERF}


def without_rewritten(digests: Digests) -> dict[str, Prefix]:
  """Selects records that a start of the run does not write again by itself."""
  return {
      name: prefix
      for name, prefix in digests.items()
      if not _is_rewritten(pathlib.PurePath(name))
  }


def _is_rewritten(name: pathlib.PurePath) -> bool:
  """Returns whether every start writes a record of an evaluation again."""
  return name.parts[0] == "evals" and name.name in REWRITTEN


def hash_prefix(path: pathlib.Path, size: int) -> "hashlib._Hash":
  """Hashes the first `size` bytes of a file, or all if it is shorter."""
  hashed = hashlib.sha256()
  with open(path, "rb") as file:
    while size and (chunk := file.read(min(size, _CHUNK))):
      hashed.update(chunk)
      size -= len(chunk)
  return hashed


def problems(
    run: pathlib.Path, expected: Digests, exact_size: bool = False
) -> Iterator[str]:
  """Compares records with their digests.

  Args:
    run: the run's directory.
    expected: the digests. Bytes beyond their lengths are not compared.
    exact_size: whether the files must have exactly these lengths.

  Yields:
    For each damaged file, its path and what is wrong, without a full stop.
  """
  for name, prefix in without_clocks(expected).items():
    path = run / name
    try:
      size = path.stat().st_size
      if size < prefix.size or (exact_size and size != prefix.size):
        yield f"{path}: has {size} bytes, but {prefix.size} were written"
      elif prefix.sha256:
        actual = hash_prefix(path, prefix.size).hexdigest()
        if actual != prefix.sha256:
          yield f"{path}: was changed since it was written, or is damaged"
    except OSError as error:
      yield f"{path}: cannot be read ({error.strerror})"


def check_finished(run: pathlib.Path) -> dict[str, Prefix]:
  """Checks the records of a finished run against its result.json.

  Returns:
    Their digests; {} if the run is not finished, or if an older version, which
    wrote no digests, finished it.

  Raises:
    InputError: a file is damaged; the message names it and says what to do.
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
  for problem in problems(run, expected, exact_size=True):
    raise errors.InputError(
        f"{problem}. Delete {run / RESULT} and run the command that trains the"
        " run: it resumes before the damage, or says which files to delete."
    )
  return expected


def lost_clocks(run: pathlib.Path, expected: Digests) -> Sequence[str]:
  """Returns a line if perf.jsonl lost lines; a run does not need them."""
  size = expected[PERF].size if PERF in expected else 0
  path = run / PERF
  if size <= (path.stat().st_size if path.exists() else 0):
    return []
  return [f"{path} was damaged: times of steps before this start are lost"]
