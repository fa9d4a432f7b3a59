"""The directory of a run: its name, its manifest and its end."""

from collections.abc import Sequence
import functools
import os
import pathlib
from typing import Any

import jax

from zsgen import evals
from zsgen.core import artifacts, hosts, plugins
from zsgen.core import config as config_lib
from zsgen.data import store as store_lib
from zsgen.orders import order as order_lib
from zsgen.orders import segments
from zsgen.reports import run_report
from zsgen.train import (
    batches,
    forking,
    lineage,
    record_digests,
    run_copies,
    starts,
)


class RunDirectory:
  """The directory of a run; its name hashes all that decides the result.

  Args:
    config: the run's options.
    workdir: the directory of all artifacts.
    store: what the run reads.
    order: what it consumes.
    start: what it starts from.
    fork: what it is forked from; None if it begins with step 0.
    remake_steps: before which the rest of the order is arranged anew.
  """

  def __init__(
      self,
      config: config_lib.Config,
      workdir: pathlib.Path,
      store: store_lib.Store,
      order: order_lib.Order,
      start: starts.Start,
      fork: lineage.Fork | None = None,
      remake_steps: Sequence[int] = (),
  ):
    self._config = config
    self._workdir = workdir
    self._store = store
    self._order = order
    self._start = start
    self._fork = fork
    self._remake_steps = remake_steps

  @functools.cached_property
  def _recipe(self) -> dict[str, Any]:
    """All that decides the result; weights by their content."""
    science = config_lib.science(self._config)
    del science["model"]["init"]
    recipe = {
        **{key: science[key] for key in ("seed", "model", "train")},
        "evals": {
            name: evals.science(spec)
            for name, spec in self._config.evals.items()
        },
        "order": self._order.fingerprint,
        **self._start.recipe(),
    }
    schedule = self._config.train.schedule
    if self._fork:
      recipe["fork"] = self._fork.recipe()
    if self._remake_steps:
      # Another arrangement may begin with the same order.
      recipe[segments.REMAKE] = {
          "steps": list(self._remake_steps),
          "order": artifacts.digest(self._order.manifest["made_by"]),
      }
    if self._config.probe.examples:
      recipe[config_lib.PROBE] = science[config_lib.PROBE]
    recipe["train"] |= plugins.fingerprint("schedule", schedule)
    # Each process reads the weights, and what they bring along, by itself.
    hosts.agree("run", {"run": recipe})
    return recipe

  @functools.cached_property
  def path(self) -> pathlib.Path:
    """The directory."""
    name = artifacts.name(self._config.name, self._recipe)
    return self._workdir / "runs" / name

  @property
  def identity(self) -> str:
    """What marks the files of the run: a digest of what decides its result."""
    return artifacts.digest(self._recipe)

  def begin(
      self, mesh: jax.sharding.Mesh | None = None, population: str = ""
  ) -> None:
    """Makes the directory, or checks that it is this run's.

    Args:
      mesh: the devices that train it from now on, which its provenance gets;
        None if the run is finished.
      population: the population that it is a member of, which its provenance
        gets too; "" for a run alone.

    Raises:
      InputError: it is another run's, or its manifest is damaged.
    """
    if hosts.is_first():
      self.path.mkdir(parents=True, exist_ok=True)
      run_copies.pull_head(self.path)
      self._write_manifest()
      if mesh is not None:
        artifacts.add_provenance(self.path, dict(mesh.shape), population)
      run_copies.push_head(self.path)
    hosts.wait("the run's directory")
    hosts.await_file(self.path)

  def end(self, digests: record_digests.Digests) -> None:
    """Writes the result: the run is finished.

    Args:
      digests: of its records, by which they are checked from now on; {} for
        those of an older version.
    """
    if hosts.is_first():
      result = run_report.result(self.path)
      if digests:
        result["records"] = record_digests.without_clocks(digests)
      path = self.path / record_digests.RESULT
      run_copies.push(self.path, {})
      artifacts.write_sealed(path, result, self.identity)
      run_copies.push(self.path, {})

  def finished(self) -> record_digests.Digests | None:
    """Returns the digests of a finished run's records; None of an unfinished.

    All processes must call it; only process 0 reads digests.

    Raises:
      InputError: the run is finished, and its records are damaged.
    """
    path = self.path  # All processes agree on it.
    is_finished = False
    digests: record_digests.Digests = {}
    if hosts.is_first():
      run_copies.pull_head(path, record_digests.RESULT)
      is_finished = (path / record_digests.RESULT).exists()
    if is_finished and hosts.is_first():
      run_copies.pull(path)
      if not (path / artifacts.MANIFEST).exists():
        self._write_manifest()  # It was damaged and deleted, as advised.
      digests = record_digests.check_finished(path)
    return digests if hosts.broadcast("finished", is_finished) else None

  def _write_manifest(self) -> None:
    """Writes what the run is made of, or checks an existing manifest.

    The config is written at every start: its machine options may change.
    """
    manifest = self.path / artifacts.MANIFEST
    is_new = not manifest.exists()
    if not is_new:
      artifacts.check_made_by(self.path, self._recipe)
    config = config_lib.to_dict(self._config)
    artifacts.write_sealed(self.path / "config.json", config, self.identity)
    if is_new:
      artifacts.write_manifest(self.path, self._describe())

  def _describe(self) -> dict[str, Any]:
    """Returns the manifest."""
    size, ids = self._config.train.batch_size, self._order.ids
    manifest = {
        "kind": "run",
        "made_by": self._recipe,
        "store": os.path.relpath(self._store.path, self.path),
        "order": os.path.relpath(self._order.path, self.path),
        "batch_size": size,
        "steps": batches.steps_of(ids, size),
    }
    if self._fork:
      manifest["steps"] = len(lineage.follow(self._fork, ids, size))
      manifest[lineage.LINEAGE] = lineage.describe_parent(
          self.path, self._fork, forking.find_digest(self._fork)
      )
    return manifest
