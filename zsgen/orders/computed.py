"""Artifacts about a store that the devices of a mesh computed."""

from collections.abc import Iterator, Mapping
import contextlib
import os
import pathlib
from typing import Any

from zsgen.core import artifacts
from zsgen.data import store as store_lib


@contextlib.contextmanager
def writing(
    path: pathlib.Path,
    made_by: Mapping[str, Any],
    store: store_lib.Store,
    mesh: Mapping[str, int],
    **fields: Any,
) -> Iterator[pathlib.Path]:
  """Yields a directory to write to; it becomes an artifact if nothing raises.

  Args:
    path: the artifact's directory.
    made_by: all that decides its content, JSON values.
    store: the store that it is about.
    mesh: sizes of the axes of the devices that computed it.
    **fields: its kind, and further fields of its manifest, JSON values.
  """
  with artifacts.writing(path) as partial:
    yield partial
    manifest = dict(
        made_by=made_by, store=os.path.relpath(store.path, path), **fields
    )
    artifacts.write_manifest(partial, manifest, mesh)
