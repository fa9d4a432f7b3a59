"""Embeds the rows of a store, on several meshes, and with interruptions."""

from collections.abc import Callable
import pathlib
import subprocess
import sys

import ml_collections
import numpy as np
import pytest

from tests.helpers import xla
import zsgen
from zsgen.orders.embedders import progress, row_batches

_MAKE_ORDER = """
import json, sys, zsgen
zsgen.run(json.loads(sys.argv[1]), sys.argv[2], ["order"])
assert "tensorflow" not in sys.modules
"""


def embed_on_two_meshes(
    config: ml_collections.ConfigDict, path: pathlib.Path
) -> tuple[np.ndarray, np.ndarray]:
  """Returns the vectors of an order's embedder, on one device and on four.

  Args:
    config: names the embedder; its mesh is changed.
    path: a directory for two workdirs.
  """
  zsgen.run(config, path / "one", ["order"])
  config.machine.mesh.update(data=2, fsdp=2)
  subprocess.run(
      [sys.executable, "-c", _MAKE_ORDER, config.to_json(), path / "mesh"],
      env=xla.environment(xla.devices(4)),
      check=True,
  )
  one, mesh = (
      np.load(next((path / name).glob("embeddings/[!.]*/vectors.npy")))
      for name in ("one", "mesh")
  )
  return one, mesh


def interrupt(
    compute: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
  """Stops a computation of vectors before the batch with the 30th row.

  Args:
    compute: embeds at least so many rows, and saves those of each batch.
    monkeypatch: what it changes, except for how often parts are saved, is
      changed back.
  """
  monkeypatch.setattr(progress, "_SECONDS", 0.0)
  rows = []
  fill = row_batches.Plan._fill

  def count(plan: row_batches.Plan, *args: object) -> None:
    rows.append(args)
    if len(rows) == 30:
      raise KeyboardInterrupt
    fill(plan, *args)

  with monkeypatch.context() as patched:
    patched.setattr(row_batches.Plan, "_fill", count)
    with pytest.raises(KeyboardInterrupt):
      compute()
