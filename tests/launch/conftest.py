"""A sweep whose points are not trained."""

import types

import pytest

from tests.helpers import sweeps
import zsgen
from zsgen.core import artifacts, storage


@pytest.fixture
def config(small):
  """Returns a config of a sweep of two orders under two seeds."""
  small.sweep = {"orders": sweeps.ORDERS, "seeds": (0, 3)}
  return small


@pytest.fixture
def started(monkeypatch):
  """Points that were trained, by a pipeline that only writes results."""
  names = []

  def run(configs, workdir):
    names.append("+".join(config.name for config in configs))
    root = storage.open_workdir(workdir)
    paths = [root / "runs" / config.name for config in configs]
    for path in paths:
      path.mkdir(parents=True)
      artifacts.publish_sealed(path / "result.json", {})
    return paths

  fake = types.SimpleNamespace(run_population=run)
  monkeypatch.setattr(zsgen, "pipeline", fake, raising=False)
  return names
