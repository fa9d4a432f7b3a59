"""SHA-256 of large files, recorded next to them, so that they are hashed once.

A record is used if length and times of modification and of the last change of
the file's metadata (ctime, which programs cannot set) are those when it was
hashed. Copies have other times and are hashed again.
"""

from collections.abc import Iterable, Mapping
from concurrent import futures
import os
import pathlib
import time
from typing import Any

from zsgen.core import errors
from zsgen.core.artifacts import hashing, reading, sealing

# The file with the records of a directory.
RECORDS = "zsgen_digests.json"
# Smaller files are always hashed; 64 MiB take less than 0.1 s.
_SMALLEST = 2**26
# A file that changed so recently (ns) may change again at the same time stamp.
_RECENT = 2 * 10**9


def file_digests(
    directory: pathlib.Path, names: Iterable[str]
) -> dict[str, str]:
  """Returns the SHA-256 (hex) of files, from their records if they are valid.

  Files without a valid record are hashed, in parallel. If the directory can be
  written to, those of at least 64 MiB are recorded.

  Args:
    directory: the files.
    names: of the files.

  Raises:
    InputError: the records are damaged.
  """
  records = _read(directory / RECORDS)
  before = {name: _identify(directory / name) for name in names}
  digests = {
      name: records[name]["sha256"]
      for name, identity in before.items()
      if records.get(name) == {**identity, **_sha256(records.get(name))}
  }
  now = time.time_ns()
  hashed = _hash(directory, [name for name in before if name not in digests])
  fresh = {
      name: {**before[name], "sha256": sha256}
      for name, sha256 in hashed.items()
      if before[name]["bytes"] >= _SMALLEST
      and max(before[name]["mtime_ns"], before[name]["ctime_ns"])
      < now - _RECENT
      and _identify(directory / name) == before[name]
  }
  if fresh:
    _write(directory / RECORDS, {**records, **fresh})
  return {name: (digests | hashed)[name] for name in before}


def _identify(path: pathlib.Path) -> dict[str, int]:
  """Returns what changes if a program changes a file."""
  status = path.stat()
  return {
      "bytes": status.st_size,
      "mtime_ns": status.st_mtime_ns,
      "ctime_ns": status.st_ctime_ns,
  }


def _sha256(record: Mapping[str, Any] | None) -> dict[str, str]:
  return {"sha256": record["sha256"]} if record else {}


def _hash(directory: pathlib.Path, names: list[str]) -> dict[str, str]:
  """Hashes files, the largest first, on all cores."""
  names = sorted(names, key=lambda name: -(directory / name).stat().st_size)
  with futures.ThreadPoolExecutor(os.cpu_count()) as pool:
    digests = pool.map(
        lambda name: hashing.file_digest(directory / name), names
    )
    return dict(zip(names, digests, strict=True))


def _read(path: pathlib.Path) -> dict[str, dict[str, Any]]:
  """Returns the records by file; {} if there are none."""
  if not path.is_file():
    return {}
  advice = "delete it, and the files next to it are hashed again"
  value = reading.parse_json(path, advice)
  try:
    if sealing.DIGEST not in value:
      raise ValueError("it has no digest of its own")
    return sealing.unseal(value)["files"]
  except (KeyError, TypeError, ValueError) as error:
    raise errors.InputError(
        f"{path}: is damaged or was changed ({error}); {advice}."
    ) from error


def _write(
    path: pathlib.Path, records: Mapping[str, Mapping[str, Any]]
) -> None:
  """Writes the digests of files, where the directory can be written."""
  try:
    sealing.write_sealed(path, {"files": records})
  except OSError:
    pass  # Read-only directories are hashed again by the next process.
