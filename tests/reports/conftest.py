"""Runs and sweeps with losses that tests choose, and a browser."""

import pytest

from tests.helpers import browser, written_runs


@pytest.fixture
def write_run(small, tmp_path):
  """Returns a function that writes a run of the synthetic suite."""
  return written_runs.run_writer(tmp_path, small)


@pytest.fixture
def write_sweep(write_run, tmp_path):
  """Returns a function that writes a sweep of `configs/arrangement`."""
  return written_runs.sweep_writer(tmp_path, write_run)


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
  """Returns a browser whose downloads are in `driver.downloads`."""
  downloads = tmp_path_factory.mktemp("downloads")
  with browser.start(downloads) as driver:
    driver.downloads = downloads
    yield driver
