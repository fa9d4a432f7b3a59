"""A run that is killed and started again leaves the bytes of an unbroken one."""

import json
import re

import pytest

from tests.helpers.restarts import content, start


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
  """Runs configs without a break, once each."""
  cache = {}

  def get(config):
    key = config.to_json()
    if key not in cache:
      workdir = tmp_path_factory.mktemp("unbroken")
      finished = start(config, workdir)
      assert finished.returncode == 0, finished.stderr
      cache[key] = content(workdir), json.loads(finished.stdout)
    return cache[key]

  return get


# 10 steps, evaluations at 0, 4, 8, 10, checkpoints at 5 and 10.
@pytest.mark.parametrize(
    ("moment", "first"),
    [
        ("step:2", "0"),
        ("evaluation:8", "5"),
        ("save:5", "[05]"),
        ("save:10", "5|10"),
    ],
    ids=["before-the-first-save", "evaluation", "save", "last-save"],
)
@pytest.mark.slow
def test_resumes_after_a_kill(small, unbroken, tmp_path, moment, first):
  killed = start(small, tmp_path, moment)
  assert killed.returncode == -9, killed.stderr
  resumed = start(small, tmp_path)
  assert resumed.returncode == 0, resumed.stderr
  assert re.search(f"from step ({first}) of 10", resumed.stderr)
  expected, _ = unbroken(small)
  actual = content(tmp_path)
  assert sorted(actual) == sorted(expected)
  assert [name for name in actual if actual[name] != expected[name]] == []


def test_resumes_after_a_kill_between_saves(small, unbroken, tmp_path):
  assert start(small, tmp_path, "step:7").returncode == -9
  resumed = start(small, tmp_path)
  assert resumed.returncode == 0, resumed.stderr
  assert "from step 5 of 10" in resumed.stderr
  assert content(tmp_path) == unbroken(small)[0]


@pytest.mark.slow
def test_resumes_after_three_kills(small, unbroken, tmp_path):
  for moment in ("evaluation:0", "save:5", "step:9"):
    assert start(small, tmp_path, moment).returncode == -9
  assert start(small, tmp_path).returncode == 0
  assert content(tmp_path) == unbroken(small)[0]


def test_training_needs_no_tensorflow(small, unbroken):
  _, report = unbroken(small)
  assert report["heavy"] == []


def test_restarting_a_finished_run_changes_nothing(small, workdirs, tmp_path):
  workdirs.run(small, tmp_path)
  before = content(tmp_path)
  rerun = start(small, tmp_path)
  assert rerun.returncode == 0
  assert "already finished" in rerun.stderr
  assert content(tmp_path) == before
