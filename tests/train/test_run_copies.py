"""Runs of workdirs in buckets: parts, and their local copies."""

import pathlib

import numpy as np
import pytest

from zsgen.core import errors, storage
from zsgen.train import records, run_copies

IDS = np.arange(3)


def open_records(
    run: pathlib.Path, digests: dict | None = None, first: int = 0
) -> records.Records:
  """Opens the records of a run of six steps with two evaluations."""
  run.mkdir(parents=True, exist_ok=True)
  return records.Records(
      path=run,
      batch_size=2,
      steps=6,
      evaluated={"heldout": ([0, 3, 6], IDS)},
      digests=digests or {},
      first=first,
      resumed=bool(digests),
  )


def train(record: records.Records, steps: range) -> dict:
  """Writes the records of steps, and uploads them."""
  for step in steps:
    if step % 3 == 0:
      record.evaluated("heldout", step, np.full(3, step, np.float32))
    record.metrics({"step": step, "loss": step / 7})
    record.perf({"step": step})
    record.consumed(step, np.array([step, step + 1]))
  return record.sync()


def files(run: pathlib.Path) -> dict[str, bytes]:
  """Reads the files of a run."""
  return {
      file.relative_to(run).as_posix(): file.read_bytes()
      for file in run.rglob("*")
      if file.is_file() and not file.name.startswith(".")
  }


@pytest.fixture
def hosts(bucket_url, tmp_path) -> list[pathlib.Path]:
  """Returns the directory of one run on two hosts."""
  return [
      storage.mount(bucket_url, tmp_path / name) / "runs" / "r-0123456789"
      for name in ("first", "second")
  ]


def test_readers_join_the_parts(hosts, bucket_url):
  first_host, second_host = hosts
  record = open_records(first_host)
  train(record, range(2))
  train(record, range(2, 4))
  run_copies.pull(second_host)
  assert files(second_host) == files(first_host)
  parts = storage.Bucket(bucket_url).list(
      "runs/r-0123456789/metrics.jsonl.parts"
  )
  assert len(parts) == 2
  losses = np.load(second_host / "evals/heldout/loss.npy")
  np.testing.assert_array_equal(losses[:, 0], [0, 3, np.nan])


def test_a_resume_deletes_parts_beyond_its_checkpoint(hosts):
  first_host, second_host = hosts
  record = open_records(first_host)
  digests = train(record, range(2))
  expected = files(first_host)
  train(record, range(2, 5))
  run_copies.pull(second_host)
  resumed = open_records(second_host, digests, first=2)
  run_copies.pull(first_host)
  assert files(first_host) == expected
  train(resumed, range(2, 6))
  run_copies.pull(first_host)
  assert files(first_host) == files(second_host)
  assert np.load(first_host / "consumed.npy")[:, 0].tolist() == list(range(6))


def test_a_start_from_scratch_keeps_nothing(hosts):
  first_host, second_host = hosts
  train(open_records(first_host), range(5))
  run_copies.pull(second_host)
  open_records(second_host)
  run_copies.pull(first_host)
  assert not (first_host / "metrics.jsonl").exists()  # Nothing is in it.
  assert (np.load(first_host / "consumed.npy") == -1).all()


def test_a_part_after_a_gap_is_ignored(hosts, bucket_url):
  first_host, second_host = hosts
  record = open_records(first_host)
  digests = train(record, range(1))
  expected = files(first_host)
  train(record, range(1, 2))
  train(record, range(2, 3))
  bucket = storage.Bucket(bucket_url)
  for name in ("metrics.jsonl", "perf.jsonl", "consumed.npy"):
    parts = sorted(bucket.list(f"runs/r-0123456789/{name}.parts"))
    bucket.delete(parts[-2:-1])  # As if killed in the middle of a resume.
  run_copies.pull(second_host)
  assert files(second_host) == expected
  open_records(second_host, digests, first=1)
  assert len(bucket.list("runs/r-0123456789/metrics.jsonl.parts")) == 1


def test_local_leftovers_do_not_survive(hosts):
  first_host, second_host = hosts
  train(open_records(first_host), range(1))
  second_host.mkdir(parents=True)
  for name in ("metrics.jsonl", "result.json"):
    (second_host / name).write_text("of a start that was killed")
  run_copies.pull(second_host)
  assert files(second_host) == files(first_host)


def test_two_hosts_do_not_train_one_run(hosts):
  first_host, second_host = hosts
  for run in hosts:
    run.mkdir(parents=True)
  with records.lock(first_host, 4):
    with pytest.raises(errors.InputError, match="another process works on"):
      with records.lock(second_host, 4):
        pass
  with records.lock(second_host, 4):
    pass


def test_nothing_is_written_without_the_lease(hosts, bucket_url):
  first_host, _ = hosts
  first_host.mkdir(parents=True)
  with records.lock(first_host, 60):
    record = open_records(first_host)
    train(record, range(1))
    before = storage.Bucket(bucket_url).list("runs")
    lease = run_copies._copies[first_host].lease
    assert lease is not None
    lease._lost_to = "another process"
    with pytest.raises(errors.InputError, match="lost its lease"):
      train(record, range(1, 2))
    assert storage.Bucket(bucket_url).list("runs") == before
    lease._lost_to = ""
