"""Local directories that stand for workdirs in buckets."""

import os
import pathlib
import re
import threading
from typing import Any, NamedTuple

from zsgen.core import errors, hub
from zsgen.core.storage import bucket as bucket_lib

# Buckets in which an object's appearance is a commit, and Orbax relies on it.
_SCHEMES = ("gs",)
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/")
_NAME = re.compile(r"gs://[a-z0-9][a-z0-9._-]+[a-z0-9](/[^/]+)*")
# Directories of a workdir that each host makes for itself.
_LOCAL = {"cache", "scratch"}
_lock = threading.Lock()
_mounts: dict[pathlib.Path, bucket_lib.Bucket] = {}


class Mounted(NamedTuple):
  """A path in a mounted directory.

  Attributes:
    bucket: of the workdir.
    name: the path in the workdir, such as "runs/tmt-0123456789".
  """

  bucket: bucket_lib.Bucket
  name: str

  @property
  def url(self) -> str:
    """Returns the URL of what the path stands for."""
    return f"{self.bucket.url}/{self.name}" if self.name else self.bucket.url


def is_url(path: str) -> bool:
  """Returns whether a path begins with a scheme such as gs://."""
  return _URL.match(path) is not None


def check_workdir(path: str, location: str) -> str:
  """Returns a workdir in a bucket without slashes at its end.

  Args:
    path: a URL.
    location: the option with this value, for the message.

  Raises:
    InputError: it is not of the form gs://BUCKET/PATH.
  """
  scheme = path.partition(":")[0]
  if scheme not in _SCHEMES:
    raise errors.InputError(
        f"{location} is {path!r}, but of buckets only those of Google Cloud"
        " Storage (gs://BUCKET/PATH) can hold a workdir: checkpoints and the"
        " lease, by which no two processes train one run, are tested on these"
        " alone. Use one of them, or a local directory or one that all hosts"
        " share, such as NFS."
    )
  url = path.rstrip("/")
  if not _NAME.fullmatch(url) or ".." in url.split("/"):
    raise errors.InputError(
        f"{location} is {path!r}, which is not of the form gs://BUCKET/PATH."
    )
  return url


def cache() -> pathlib.Path:
  """Returns the directory of copies of workdirs in buckets."""
  return hub.cache() / "buckets"


def mount(url: str, parent: pathlib.Path | None = None) -> pathlib.Path:
  """Returns the local directory of a workdir in a bucket.

  The same workdir has the same directory in all processes of a host.

  Args:
    url: the workdir, as `check_workdir` returns it.
    parent: where to put the directory; by default, in the user's cache.
  """
  parent = parent or cache()
  scheme, _, path = url.partition("://")
  local = parent / scheme / path / "workdir"
  local.mkdir(parents=True, exist_ok=True)
  local = local.resolve()
  with _lock:
    _mounts.setdefault(local, bucket_lib.Bucket(url))
  return local


def open_workdir(
    workdir: str | os.PathLike, reads_only: bool = False
) -> pathlib.Path:
  """Returns the local directory of a workdir, mounting one in a bucket.

  Args:
    workdir: a local directory, or gs://BUCKET/PATH.
    reads_only: whether nothing is trained in it, so that the copies of a bucket
      are not those that another process of this host may be writing.

  Raises:
    InputError: see `check_workdir`; or the bucket cannot be used.
  """
  text = os.fspath(workdir)
  if not is_url(text):
    return pathlib.Path(text)
  url = check_workdir(text, "--workdir")
  local = mount(url, cache() / "read" if reads_only else None)
  _mounts[local].check()
  return local


def children(path: pathlib.Path) -> list[pathlib.Path]:
  """Returns the paths in a directory, ascending; [] if there is none.

  Those in a bucket need not have a local copy.
  """
  if mounted := find(path):
    return [path / name for name in mounted.bucket.children(mounted.name)]
  return sorted(path.iterdir()) if path.is_dir() else []


def find(path: pathlib.Path) -> Mounted | None:
  """Returns where a path is mounted; None for one that is only local."""
  if not _mounts:
    return None
  path = path.absolute()
  for parent in (path, *path.parents):
    if bucket := _mounts.get(parent):
      parts = pathlib.PurePosixPath(os.path.relpath(path, parent)).parts
      is_local = bool(parts) and parts[0] in _LOCAL
      return None if is_local else Mounted(bucket, "/".join(parts))
  return None


def absolute(workdir: str | os.PathLike) -> str:
  """Returns the URL of a workdir in a bucket, or the absolute path of another."""
  text = os.fspath(workdir)
  return text if is_url(text) else os.path.abspath(text)


def direct(path: pathlib.Path) -> Any:
  """Returns the path for programs that read and write buckets themselves.

  Args:
    path: of a file or directory.

  Returns:
    An `etils.epath.Path` of what is mounted there; otherwise the path itself.
  """
  if mounted := find(path):
    from etils import epath
    from fsspec import config

    # Orbax must see what other hosts have written.
    config.conf.setdefault("gs", {})["use_listings_cache"] = False
    return epath.Path(mounted.url)
  return path


def public(line: str) -> str:
  """Returns a line for people with URLs instead of the paths of copies."""
  for local, bucket in _mounts.items():
    line = line.replace(str(local), bucket.url)
  return line
