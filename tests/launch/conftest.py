"""A sweep whose points are not trained."""

import types

import pytest

from tests.helpers import sweeps
import zsgen
from zsgen.core import artifacts, errors, storage
from zsgen.reports import comparison_report


class Candidates:
  """Stands for `pipeline.find_members`: points of one length are alike."""

  def __init__(self, config, workdir):
    del workdir
    self._first, self._names = config, [config.name]

  @property
  def is_full(self):
    return len(self._names) == self._first.population

  def add(self, config):
    if config.order.budget == 1:
      raise errors.InputError("config.order.budget is 1")
    is_alike = config.order.budget == self._first.order.budget
    self._names += [config.name] * is_alike
    return is_alike

  def choose(self):
    return len(self._names), "2 of 8 GiB"


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

  fake = types.SimpleNamespace(run_population=run, find_members=Candidates)
  monkeypatch.setattr(zsgen, "pipeline", fake, raising=False)
  return names


@pytest.fixture
def compared(monkeypatch):
  """Points and missing names of each comparison that was written."""
  calls = []
  monkeypatch.setattr(
      comparison_report,
      "write",
      lambda directory, points, missing: calls.append((points, missing)) or [],
  )
  return calls
