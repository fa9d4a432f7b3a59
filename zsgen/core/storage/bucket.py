"""The objects under a path of a bucket; its errors are messages for users."""

from collections.abc import Callable, Iterable, Iterator
from concurrent import futures
import contextlib
import datetime
import errno
import functools
import os
import pathlib
from typing import Any, NamedTuple
import uuid

from zsgen.core import errors
from zsgen.core.storage import failures

# Transfers at the same time.
_THREADS = 8
# Errors of the local disk.
_OF_DISKS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Entry(NamedTuple):
  """An object, as a listing shows it.

  Attributes:
    size: its length in bytes.
    modified: when it was written, by the bucket's clock.
  """

  size: int
  modified: datetime.datetime


class Bucket:
  """The objects under a URL, by their names relative to it.

  Every method raises InputError if the bucket does not exist, cannot be
  reached, or does not permit the access.

  Args:
    url: such as "gs://bucket/path", without a slash at its end.
  """

  def __init__(self, url: str):
    self.url = url
    self._path = url.partition("://")[2]

  def __repr__(self) -> str:
    return self.url

  @functools.cached_property
  def _fs(self) -> Any:
    """Returns the file system of fsspec, which must not remember listings."""
    import fsspec

    scheme = self.url.partition("://")[0]
    return fsspec.filesystem(scheme, use_listings_cache=False)

  def check(self) -> None:
    """Tries all that a run does with a bucket, to raise an error before work.

    Orbax reads the bucket's metadata when it deletes a checkpoint.
    """
    name = f"check-{uuid.uuid4().hex}"
    self.write(name, b"")
    self.delete([name])
    bucket = self._path.partition("/")[0]
    with self._explained("read", ""):
      if "kind" not in self._fs.info(bucket):  # fsspec hides the error.
        raise PermissionError(f"storage.buckets.get on {bucket}")

  def list(self, prefix: str = "") -> dict[str, Entry]:
    """Returns the objects whose names begin with a directory, by name.

    Args:
      prefix: the directory, without a slash at its end; "" for all.
    """
    root = f"{self._path}/{prefix}" if prefix else self._path
    with self._explained("listed", prefix):
      listing = self._fs.find(root, detail=True)
    for name in listing:
      if ".." in name.split("/"):  # It would lead out of the copies.
        raise errors.InputError(
            f"{self.url}: has an object that zsgen did not write, {name!r}."
            " Delete it, or use another path of the bucket."
        )
    return {
        name.removeprefix(f"{self._path}/"): Entry(
            int(info["size"]), info["mtime"]
        )
        for name, info in listing.items()
        if not name.endswith("/")
    }

  def children(self, prefix: str) -> tuple[str, ...]:
    """Returns the last parts of the names in a directory, ascending.

    Args:
      prefix: the directory, without a slash at its end.
    """
    with self._explained("listed", prefix):
      try:
        names = self._fs.ls(self._full(prefix), detail=False)
      except FileNotFoundError:
        return ()
    words = {name.rstrip("/").rpartition("/")[2] for name in names}
    return tuple(sorted(words))

  def read(self, name: str) -> bytes | None:
    """Returns the content of an object; None if there is none."""
    with self._explained("read", name):
      try:
        return self._fs.cat_file(self._full(name))
      except FileNotFoundError:
        return None

  def write(self, name: str, data: bytes) -> None:
    """Writes an object, or replaces it."""
    with self._explained("written", name):
      self._fs.pipe_file(self._full(name), data)

  def create(self, name: str, data: bytes) -> bool:
    """Writes an object unless there is one; returns whether it did.

    Of several writers at once, exactly one succeeds.
    """
    with self._explained("written", name):
      try:
        self._fs.pipe_file(self._full(name), data, mode="create")
        return True
      except FileExistsError:
        return False

  def modified(self, name: str) -> datetime.datetime | None:
    """Returns when an object was written, by the bucket's clock, or None."""
    with self._explained("read", name):
      try:
        return self._fs.info(self._full(name))["mtime"]
      except FileNotFoundError:
        return None

  def delete(self, names: Iterable[str]) -> None:
    """Deletes objects; those that are not there are ignored."""
    self._call_all(self._delete, [(name,) for name in names])

  def upload(self, files: Iterable[tuple[pathlib.Path, str]]) -> None:
    """Writes objects with the content of files.

    Args:
      files: local files, and the names of their objects.
    """
    self._call_all(self._upload, files)

  def download(self, files: Iterable[tuple[str, pathlib.Path]]) -> None:
    """Writes files with the content of objects.

    Args:
      files: names of objects, and local files, whose directories are made.
    """
    self._call_all(self._download, files)

  def _delete(self, name: str) -> None:
    with self._explained("deleted", name):
      with contextlib.suppress(FileNotFoundError):
        self._fs.rm_file(self._full(name))

  def _upload(self, file: pathlib.Path, name: str) -> None:
    with self._explained("written", name):
      self._fs.put_file(str(file), self._full(name))

  def _download(self, name: str, file: pathlib.Path) -> None:
    """Downloads an object; the file is there only as a whole."""
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f".{file.name}.{os.getpid()}")
    with self._explained("read", name):
      self._fs.get_file(self._full(name), str(partial))
    os.replace(partial, file)

  def _call_all(
      self, call: Callable[..., None], arguments: Iterable[tuple[Any, ...]]
  ) -> None:
    """Calls a function in several threads; raises the first error."""
    with futures.ThreadPoolExecutor(_THREADS) as pool:
      calls = [pool.submit(call, *values) for values in arguments]
      try:
        for result in calls:
          result.result()
      finally:
        pool.shutdown(cancel_futures=True)

  def _full(self, name: str) -> str:
    return f"{self._path}/{name}"

  @contextlib.contextmanager
  def _explained(self, action: str, name: str) -> Iterator[None]:
    """Raises the errors of a client library as InputError.

    Args:
      action: what was to be done with the object, a participle.
      name: the object; "" for the whole path.
    """
    url = f"{self.url}/{name}" if name else self.url
    try:
      yield
    except errors.InputError:
      raise
    except ImportError as error:
      raise errors.InputError(
          f"{url}: needs a package that is not installed ({error}). Install it:"
          " pip install 'zsgen[gcs]'."
      ) from error
    except OSError as error:
      if error.filename is not None or error.errno in _OF_DISKS:
        raise  # Of a local file.
      raise failures.describe(url, action, error) from error
    except Exception as error:  # Each client library has its own.
      raise failures.describe(url, action, error) from error
