"""Files that belong to no artifact: each is an object of its own in a bucket.

In a local workdir, these functions read and write the file alone.
"""

from collections.abc import Iterable, Mapping
import pathlib
from typing import Any

from zsgen.core import storage
from zsgen.core.artifacts import sealing, writing


def is_file(path: pathlib.Path) -> bool:
  """Returns whether there is a file, of which a bucket's is not downloaded."""
  mounted = storage.find(path)
  if mounted is None:
    return path.is_file()
  return mounted.bucket.modified(mounted.name) is not None


def fetch(path: pathlib.Path) -> bool:
  """Returns whether there is a file, which then is at the path.

  What is at the path of a bucket's file before is replaced, but never deleted:
  another process of this host may be about to upload it.
  """
  mounted = storage.find(path)
  if mounted is None:
    return path.is_file()
  data = mounted.bucket.read(mounted.name)
  if data is None:
    return False
  path.parent.mkdir(parents=True, exist_ok=True)
  writing.write_bytes(path, data)
  return True


def publish_sealed(
    path: pathlib.Path, value: Mapping[str, Any], owner: str = ""
) -> None:
  """Writes a value with its digest, in the bucket too; see `write_sealed`."""
  data = writing.encode_json(sealing.seal(value, owner))
  if mounted := storage.find(path):
    mounted.bucket.write(mounted.name, data)
  writing.write_bytes(path, data)


def publish_files(paths: Iterable[pathlib.Path]) -> None:
  """Uploads files of one directory; does nothing for those of a local workdir."""
  for path in paths:
    if mounted := storage.find(path):
      mounted.bucket.upload([(path, mounted.name)])
