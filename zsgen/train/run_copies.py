"""Runs of a workdir in a bucket, and their local copies.

The files of a run grow. At each save, what was appended to them is uploaded as
a part, an object NAME.parts/BEGIN with the first byte that it holds, before the
checkpoint that counts on it. Files that are written at once are objects of
their own. Readers download both and join the parts. Checkpoints are not copied:
Orbax reads and writes them in the bucket.
"""

from collections.abc import Iterator, Mapping
import contextlib
import os
import pathlib
import re
import shutil
from typing import NamedTuple
import uuid

import numpy as np

from zsgen.core import artifacts, locks, storage

# Of a run's directory: what is not copied with it. Exports and segments are
# artifacts.
_APART = re.compile(
    r"(checkpoints|export[^/]*|lease|segments|wandb)/.*|(.*/)?\..*"
)
_SEGMENT = re.compile(rf"segments/\d+/{re.escape(artifacts.MANIFEST)}")
_PART = re.compile(r"(.+)\.parts/(\d{15})")
# Files that a run's directory has before it is trained.
_HEAD = (artifacts.MANIFEST, artifacts.PROVENANCE, "config.json")
_LEASE = "lease"
# The file that the process of this host locks that trains a run.
LOCK = ".lock"


class _Part(NamedTuple):
  """Bytes [begin, end) of a file, which are an object."""

  begin: int
  end: int


class _Copy:
  """What the bucket has of a run, as far as this process knows.

  Attributes:
    parts: of each file that grows, ascending and without gaps.
    stray: objects of parts after a gap, which nothing counts on.
    identities: length and time of modification (ns) of the other local files,
      as they were when they were uploaded or downloaded.
    lease: held by this process, if it trains the run.
  """

  def __init__(self):
    self.parts: dict[str, list[_Part]] = {}
    self.stray: list[str] = []
    self.identities: dict[str, tuple[int, int]] = {}
    self.lease: storage.Lease | None = None


_copies: dict[pathlib.Path, _Copy] = {}


@contextlib.contextmanager
def leased(run: pathlib.Path, seconds: float) -> Iterator[None]:
  """Holds the lease of a run in a bucket, and brings its copy up to date.

  Args:
    run: its directory; nothing is done for one of a local workdir.
    seconds: the lease's time.

  Raises:
    InputError: another process trains the run, or the bucket cannot be used.
  """
  mounted = storage.find(run)
  if mounted is None:
    yield
    return
  lease = storage.Lease(mounted.bucket, f"{mounted.name}/{_LEASE}", seconds)
  with lease:
    pull(run)
    _copies[run].lease = lease
    try:
      yield
    finally:
      _copies[run].lease = None


def check_lease(run: pathlib.Path) -> None:
  """Raises InputError if this process lost the lease of a run that it trains."""
  copy = _copies.get(run)
  if copy and copy.lease:
    copy.lease.check()


def find_holder(run: pathlib.Path) -> str:
  """Returns the process that trains a run in a bucket; "" if none does."""
  if mounted := storage.find(run):
    return storage.find_holder(mounted.bucket, f"{mounted.name}/{_LEASE}")
  return ""


def pull_head(run: pathlib.Path, *names: str) -> None:
  """Downloads the files that tell what a run is, and whether it is finished.

  Args:
    run: its directory; nothing is done for one of a local workdir.
    *names: other files to download.
  """
  mounted = storage.find(run)
  if mounted is None:
    return
  for name in (*_HEAD, *names):
    data = mounted.bucket.read(f"{mounted.name}/{name}")
    if data is None:
      (run / name).unlink(missing_ok=True)
    else:
      run.mkdir(parents=True, exist_ok=True)
      artifacts.write_bytes(run / name, data)


def push_head(run: pathlib.Path) -> None:
  """Uploads the files that tell what a run is, its manifest last.

  Args:
    run: its directory; nothing is done for one of a local workdir.
  """
  if mounted := storage.find(run):
    for name in reversed(_HEAD):
      if (run / name).exists():
        mounted.bucket.upload([(run / name, f"{mounted.name}/{name}")])


def refresh(run: pathlib.Path) -> None:
  """Makes or updates the copy of a run that is only read, once in this process.

  The files of a run that another process of this host trains are newer than
  the bucket's, and stay as they are.

  Args:
    run: its directory; nothing is done for one of a local workdir.

  Raises:
    InputError: the bucket cannot be used.
  """
  if storage.find(run) is None or run in _copies:
    return
  if not locks.is_locked(run / LOCK):
    pull(run)


def pull(run: pathlib.Path) -> None:
  """Makes the copy of a run what the bucket has; joins the parts of files.

  Args:
    run: its directory; nothing is done for one of a local workdir.

  Raises:
    InputError: the bucket cannot be used.
  """
  mounted = storage.find(run)
  if mounted is None:
    return
  bucket, prefix = mounted
  sizes = {
      name.removeprefix(f"{prefix}/"): entry.size
      for name, entry in bucket.list(prefix).items()
  }
  copy = _copies[run] = _Copy()
  objects = [name for name in sizes if not _APART.fullmatch(name)]
  singles = [name for name in objects if not _PART.fullmatch(name)]
  _find_parts(copy, {name: sizes[name] for name in objects})
  bucket.download((f"{prefix}/{name}", run / name) for name in singles)
  for name, parts in copy.parts.items():
    _join(mounted, run / name, name, parts)
  known = {*singles, *copy.parts}
  for file in _files(run):
    if file.relative_to(run).as_posix() not in known:
      file.unlink(missing_ok=True)
  copy.identities = {name: _identify(run / name) for name in singles}
  for name in filter(_SEGMENT.fullmatch, sizes):
    artifacts.exists((run / name).parent)


def push(run: pathlib.Path, sizes: Mapping[str, int]) -> None:
  """Uploads what is new in a run's directory, its growing files as parts.

  Parts beyond the given lengths are deleted: they are of steps after the
  checkpoint that the run has resumed from.

  Args:
    run: its directory; nothing is done for one of a local workdir.
    sizes: bytes of each file that grows, by name; {} leaves them alone.

  Raises:
    InputError: the bucket cannot be used, or the lease of the run is lost.
  """
  mounted = storage.find(run)
  if mounted is None:
    return
  check_lease(run)
  copy = _copies.setdefault(run, _Copy())
  bucket, prefix = mounted
  bucket.delete(f"{prefix}/{name}" for name in copy.stray)
  copy.stray = []
  for name, size in sizes.items():
    parts = copy.parts.setdefault(name, [])
    _trim(mounted, name, parts, size)
    _append(mounted, run / name, name, parts, size)
  changed = {}
  for file in _files(run):
    name = file.relative_to(run).as_posix()
    identity = _identify(file)
    if name not in copy.parts and copy.identities.get(name) != identity:
      changed[name] = identity
  bucket.upload((run / name, f"{prefix}/{name}") for name in changed)
  copy.identities |= changed


def read_end(run: pathlib.Path, name: str) -> bytes:
  """Returns the end of a file that grows: its last part in a bucket, or 1 MiB.

  Args:
    run: the run's directory.
    name: the file's path in it.

  Returns:
    b"" if there is no such file.
  """
  if mounted := storage.find(run):
    parts = sorted(mounted.bucket.list(f"{mounted.name}/{name}.parts"))
    return (mounted.bucket.read(parts[-1]) or b"") if parts else b""
  if not (run / name).exists():
    return b""
  with open(run / name, "rb") as file:
    file.seek(max(file.seek(0, os.SEEK_END) - 2**20, 0))
    return file.read()


def _find_parts(copy: _Copy, sizes: Mapping[str, int]) -> None:
  """Sets the parts of a copy from the objects of the bucket."""
  for name in sorted(sizes):
    if match := _PART.fullmatch(name):
      begin, parts = int(match[2]), copy.parts.setdefault(match[1], [])
      if begin == (parts[-1].end if parts else 0):
        parts.append(_Part(begin, begin + sizes[name]))
      else:
        copy.stray.append(name)


def _join(
    mounted: storage.Mounted, file: pathlib.Path, name: str, parts: list[_Part]
) -> None:
  """Writes a file from its parts."""
  folder = file.with_name(f".{file.name}.{uuid.uuid4().hex[:12]}")
  pieces = [folder / f"{part.begin:015d}" for part in parts]
  mounted.bucket.download(
      (_object(mounted, name, part.begin), piece)
      for part, piece in zip(parts, pieces, strict=True)
  )
  folder.mkdir(parents=True, exist_ok=True)
  joined = folder / "joined"
  with open(joined, "wb") as stream:
    for piece in pieces:
      stream.write(piece.read_bytes())
  if file.suffix == ".npy":
    _fill_up(joined)
  os.replace(joined, file)
  shutil.rmtree(folder)


def _fill_up(file: pathlib.Path) -> None:
  """Appends the rows of a table that no part has, which are empty.

  They are NaN or, of ids, -1, as in the tables of `records`.
  """
  with open(file, "rb") as stream:
    version = np.lib.format.read_magic(stream)
    read = {(1, 0): np.lib.format.read_array_header_1_0}.get(
        version, np.lib.format.read_array_header_2_0
    )
    shape, _, dtype = read(stream)
    begin = stream.tell()
  filled = (file.stat().st_size - begin) // dtype.itemsize
  empty = np.nan if dtype.kind == "f" else -1
  with open(file, "ab") as stream:
    rest = int(np.prod(shape)) - filled
    stream.write(np.full(rest, empty, dtype).tobytes())


def _trim(
    mounted: storage.Mounted, name: str, parts: list[_Part], size: int
) -> None:
  """Deletes the parts of a file that are beyond its length."""
  stale = [part for part in parts if part.begin >= size]
  mounted.bucket.delete(_object(mounted, name, part.begin) for part in stale)
  del parts[len(parts) - len(stale) :]


def _append(
    mounted: storage.Mounted,
    file: pathlib.Path,
    name: str,
    parts: list[_Part],
    size: int,
) -> None:
  """Uploads the bytes of a file that no part has, as the next part."""
  if parts and parts[-1].end > size:
    parts.pop()  # It is cut back: its object is replaced.
  begin = parts[-1].end if parts else 0
  if begin == size:
    return
  with open(file, "rb") as stream:
    stream.seek(begin)
    data = stream.read(size - begin)
  mounted.bucket.write(_object(mounted, name, begin), data)
  parts.append(_Part(begin, size))


def _object(mounted: storage.Mounted, name: str, begin: int) -> str:
  """Returns the name of the object that holds a file's bytes from `begin`."""
  return f"{mounted.name}/{name}.parts/{begin:015d}"


def _files(run: pathlib.Path) -> Iterator[pathlib.Path]:
  """Yields the local files of a run that are copied."""
  # Other processes of this host may be making the same copy: unlike `rglob`,
  # `walk` ignores folders that disappear.
  for folder, _, names in sorted(os.walk(run)):
    for file in (pathlib.Path(folder, name) for name in sorted(names)):
      name = file.relative_to(run).as_posix()
      if file.is_file() and not _APART.fullmatch(name):
        yield file


def _identify(file: pathlib.Path) -> tuple[int, int]:
  """Returns the length and the time of modification (ns) of a file."""
  status = file.stat()
  return status.st_size, status.st_mtime_ns
