"""Sweeps whose workdir is in a bucket."""

import contextlib
import json
import time

import pytest
import rich.console

from launch import claims, progress, sharing, sweep
from tests.helpers import bucket_runs, sweeps
import zsgen
from zsgen.core import artifacts, errors, storage
from zsgen.reports import __main__ as reports
from zsgen.reports import comparison_report
from zsgen.train import run_copies
from zsgen.verify import command as verify_command


@pytest.fixture
def config(config):
  """Returns the config of a sweep whose leases are short."""
  config.machine.lease = 5
  return config


@pytest.fixture
def started(started, monkeypatch):
  """Points that were trained as if; the comparison is a page without them."""
  monkeypatch.setattr(comparison_report, "write", _write)
  return started


def _write(directory, points, missing):
  del points, missing
  (directory / "comparison.html").write_text("page")
  return []


def test_hosts_share_the_points(
    config, bucket_url, started, monkeypatch, tmp_path
):
  directory, _ = sweeps.run(config, bucket_url, report=True)
  with contextlib.ExitStack() as worker:
    worker.enter_context(claims.hold(directory, sweeps.NAMES[0], 60))
    bucket_runs.elsewhere(monkeypatch, tmp_path)
    # The worker of the first host gives its point up while this one waits.
    monkeypatch.setattr(sharing.time, "sleep", lambda _: worker.close())
    path, output = sweeps.run(config, bucket_url)
  assert started == [*sweeps.NAMES[1:], sweeps.NAMES[0]]
  assert output.count("waits for what others train: near-s0\n") == 1
  page = f"sweeps/{directory.name}/comparison.html"
  assert f"report   {bucket_url}/{page}" in output
  assert path != directory  # They are copies of two hosts.
  assert storage.Bucket(bucket_url).read(page) == b"page"
  # Nothing is trained twice, whichever host asks.
  bucket_runs.elsewhere(monkeypatch, tmp_path / "third")
  _, output = sweeps.run(config, bucket_url, point=2)
  assert "random-s0 (3 of 4), already finished" in output
  assert len(started) == 4


def test_a_point_of_another_host_is_named(config, bucket_url, started):
  directory, _ = sweeps.run(config, bucket_url, report=True)
  with claims.hold(directory, "near-s3", 4):
    with pytest.raises(
        errors.InputError, match=r"on this point: process .*4 s"
    ):
      sweeps.run(config, bucket_url, point=1)
  assert not started


def test_a_stale_claim_is_taken_over(config, bucket_url, started):
  directory, _ = sweeps.run(config, bucket_url, report=True)
  dead = storage.Lease(
      *(storage.Bucket(bucket_url), f"sweeps/{directory.name}/claims/near-s0"),
      seconds=0.2,
  )
  dead._take()  # As a process that is killed at once: no renewals.
  time.sleep(0.3)
  sweeps.run(config, bucket_url)
  assert started == sweeps.NAMES


def test_the_states_of_points(config, bucket_url, started, tmp_path):
  directory, _ = sweeps.run(config, bucket_url, report=True)
  bucket = storage.Bucket(bucket_url)
  run = sweeps.begin_run(directory.parents[1], "near-s3")
  run_copies.push_head(run)
  log = f"runs/{run.name}/metrics.jsonl.parts"
  bucket.write(f"{log}/{0:015d}", b'{"step": 1}\n')
  bucket.write(f"{log}/{12:015d}", b'{"step": 2}\n{"step": 3}\n')
  with claims.hold(directory, "near-s3", 60):
    reader = sweep._open(config, bucket_url, rich.console.Console(), True)
    assert reader.directory != directory
    states = progress.find_states(reader.directory, sweeps.NAMES)
  assert [state.state for state in states] == ["free", "running", *["free"] * 2]
  assert states[1].steps == "3 of 9"
  assert states[1].holder.startswith("process ")


@pytest.mark.slow
def test_a_worker_that_is_killed_gives_its_point_back(
    config, bucket_url, tmp_path, monkeypatch
):
  """Kills one of two hosts that share four points, while it trains."""
  config.order.budget, config.machine.save_every = 80, 2
  local = tmp_path / "local"
  sweep.run(config, local)
  output = sweeps.kill_one_of_two(config, bucket_url, tmp_path, tmp_path / "a")
  assert f"{bucket_url}/sweeps/" in output
  bucket_runs.elsewhere(monkeypatch, tmp_path)
  for run in (local / "runs").iterdir():
    copy = zsgen.load_run(f"{bucket_url}/runs/{run.name}").path
    assert bucket_runs.results(copy) == bucket_runs.results(run)
  (page,) = (local / "sweeps").glob("*/comparison.json")
  name = page.relative_to(local).as_posix()
  written = storage.Bucket(bucket_url).read(name)
  expected = artifacts.read_json(page)
  assert json.loads(written or b"") == expected
  bucket_runs.elsewhere(monkeypatch, tmp_path / "reader")
  sweep_url = f"{bucket_url}/{name.rpartition('/')[0]}"
  again = tmp_path / "again.html"
  assert reports.main(["compare", sweep_url, "--out", str(again)]) == 0
  actual = artifacts.read_json(again.with_suffix(".json"))
  assert actual["orders"] == expected["orders"]
  for url in (sweep_url, f"{bucket_url}/sweeps"):
    table = zsgen.compare([url])
    assert set(table["label"].to_pylist()) == {"near"}  # With the reference.


@pytest.mark.slow
def test_a_job_of_two_processes_claims_each_point_once(
    config, bucket_url, tmp_path
):
  """Lets two processes, on hosts of their own, share points with one process.

  The orders are remade, so that the two share segments, too.
  """
  config.data.train_instances = 1
  config.order = {
      **{"arrangement": "scored", "score": "loss", "embedder": ""},
      **{"budget": 38, "remake_every": 4},
  }
  sequences = {"up": "ascending", "down": "descending"}
  config.sweep = {
      "orders": {name: {"sequence": way} for name, way in sequences.items()},
      "seeds": (0,),
  }
  config.machine.lease = 60
  job = [
      bucket_runs.start_sweep(config, bucket_url, tmp_path, **process)
      for process in bucket_runs.processes_of_a_job()
  ]
  while not list((tmp_path / "host-1").rglob("runs/*")):
    assert job[1].poll() is None
    time.sleep(0.1)
  alone = bucket_runs.start_sweep(config, bucket_url, tmp_path, host="alone")
  outputs = [bucket_runs.finish(process) for process in (*job, alone)]
  trained = [
      line.partition(": ")[2].partition(" ")[0]
      for output in outputs
      for line in output.splitlines()
      if line.startswith("point ") and "finished" not in line
  ]
  assert sorted(trained) == ["down-s0", "up-s0"]
  assert "point 0: " in outputs[0] and "point " not in outputs[1]
  assert verify_command.main([bucket_url]) == 0
