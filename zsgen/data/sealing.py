"""Seals a store: writes the checksums of its files and its manifest."""

from collections.abc import Mapping
import pathlib
import types
from typing import Any

import numpy as np

from zsgen.core import artifacts
from zsgen.data import blocks, store


def seal(
    path: pathlib.Path,
    fields: Mapping[str, Any],
    measured: Mapping[str, blocks.Measured] = types.MappingProxyType({}),
) -> None:
  """Writes the table of sums and the manifest of a store.

  Args:
    path: a directory that has all other files of a store.
    fields: the manifest's fields, but for kind, files and fingerprint.
    measured: the checksums of large files, by name; others are read.
  """
  names = [
      file.relative_to(path).as_posix()
      for file in path.rglob("*")
      if file.is_file() and file.name != artifacts.PROVENANCE
  ]
  files, sums = {}, []

  for name in sorted(names):
    result = measured.get(name) or blocks.measure(path / name)
    files[name] = _describe(path / name, result)
    sums += result.sums
  np.save(path / store.BLOCKS, np.array(sums, np.uint32))
  table = path / store.BLOCKS
  files[store.BLOCKS] = _describe(table, blocks.measure(table))
  artifacts.write_manifest(
      path,
      {
          **fields,
          "kind": "store",
          "files": files,
          "fingerprint": store.fingerprint(path, files),
      },
  )


def _describe(path: pathlib.Path, measured: blocks.Measured) -> dict[str, Any]:
  """Returns size and SHA-256 of a file."""
  return {"bytes": path.stat().st_size, "sha256": measured.digest}
