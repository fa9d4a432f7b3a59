"""Experiments whose workdir is in a bucket."""

import os
import random
import re
import subprocess
import sys

import pytest

from tests.helpers import bucket_runs
import zsgen
from zsgen.core import config as config_lib
from zsgen.core import errors, storage
from zsgen.models.gguf import __main__ as gguf
from zsgen.orders import __main__ as orders
from zsgen.reports import __main__ as reports
from zsgen.reports import store_view
from zsgen.rewrites import __main__ as rewrites
from zsgen.train import bucket_paths, starts
from zsgen.verify import command as verify_command


@pytest.mark.slow
def test_a_run_in_a_bucket_has_the_bytes_of_a_local_one(
    small, workdirs, bucket_url, tmp_path, monkeypatch
):
  (expected,) = (workdirs.get(small, "train") / "runs").iterdir()
  run = zsgen.run(small, bucket_url, ["train"]).run
  assert run is not None
  assert bucket_runs.results(run) == bucket_runs.results(expected)
  bucket_runs.elsewhere(monkeypatch, tmp_path)
  loaded = zsgen.load_run(f"{bucket_url}/runs/{run.name}")
  assert loaded.metrics == zsgen.load_run(expected).metrics
  assert loaded.order.num_rows == small.order.budget
  assert not list(storage.cache().glob("read/**/stores"))  # Not read yet.


@pytest.mark.slow
def test_all_stages_on_several_hosts(
    small, bucket_url, tmp_path, monkeypatch, capsys
):
  small.machine.tensorboard = True
  stages = ["prepare", "order", "train", "report", "export", "evaluate"]
  local = zsgen.run(small, tmp_path / "local", stages)
  assert local.run is not None and local.store is not None
  for number, stage in enumerate(stages):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / f"host-{number}"))
    zsgen.run(small, bucket_url, [stage])
  bucket_runs.elsewhere(monkeypatch, tmp_path)
  assert verify_command.main([bucket_url]) == 0
  printed = capsys.readouterr().out
  assert f"run {bucket_url}/runs/{local.run.name}: 10 steps" in printed
  for kind in ("store", "order", "evaluation"):
    assert f"{kind} {bucket_url}/" in printed
  objects = storage.Bucket(bucket_url).list(f"runs/{local.run.name}")
  names = " ".join(objects)
  for name in (
      "report.html",
      "tensorboard/events",
      "export-float32/manifest.json",
  ):
    assert name in names
  page = tmp_path / "page.html"
  assert reports.main(["compare", bucket_url, "--out", str(page)]) == 0
  assert "small" in page.read_text()
  table = zsgen.compare([f"{bucket_url}/runs/{local.run.name}"])
  assert table.schema.metadata[b"reference"] == b"small"
  (order,) = (tmp_path / "local" / "orders").iterdir()
  order_url = f"{bucket_url}/orders/{order.name}"
  assert orders.main(["show", order_url]) == 0
  assert orders.main(["diff", order_url, str(order)]) == 0
  assert orders.main(["export", order_url, str(tmp_path / "order")]) == 0
  assert orders.main(["verify", order_url]) == 0
  store_url = f"{bucket_url}/stores/{local.store.name}"
  assert store_view.main([store_url, "--head=1"]) == 0
  run_url = f"{bucket_url}/runs/{local.run.name}"
  out = ["--out", str(tmp_path / "steps")]
  assert reports.main(["trajectory", run_url, *out]) == 0
  assert list((tmp_path / "steps").glob("*/steps.parquet"))
  store = zsgen.load_store(store_url)
  assert store.fingerprint == zsgen.load_store(local.store).fingerprint


@pytest.mark.slow
def test_killed_ten_times_the_bytes_are_the_same(
    small, workdirs, bucket_url, tmp_path, monkeypatch
):
  small.machine.save_every = small.machine.lease = 2
  (run,) = (workdirs.get(small, "train") / "runs").iterdir()
  expected = bucket_runs.results(run)
  generator = random.Random(0)
  deaths = 0
  for _ in range(40):
    host = generator.choice("abc")
    process = bucket_runs.start(
        small, bucket_url, tmp_path, generator.randint(1, 160), host
    )
    _, err = process.communicate()
    deaths += process.returncode == -9
    assert process.returncode in (-9, 0), err
    if deaths == 10:
      break
  process = bucket_runs.start(small, bucket_url, tmp_path, host="d")
  bucket_runs.finish(process)
  assert deaths == 10
  bucket_runs.elsewhere(monkeypatch, tmp_path)
  (name,) = {
      entry.split("/")[1] for entry in storage.Bucket(bucket_url).list("runs")
  }
  loaded = zsgen.load_run(f"{bucket_url}/runs/{name}")
  assert bucket_runs.results(loaded.path) == expected
  assert verify_command.main([bucket_url]) == 0


@pytest.mark.slow
def test_of_two_starts_the_second_is_refused(small, bucket_url, tmp_path):
  small.machine.lease = 4
  zsgen.run(small, bucket_url, ["order"])
  processes = [
      bucket_runs.start(small, bucket_url, tmp_path, host=host)
      for host in ("a", "b")
  ]
  codes, messages = [], []
  for process in processes:
    _, err = process.communicate()
    codes.append(process.returncode)
    messages.append(err)
  assert sorted(codes) == [0, 1], messages
  refused = messages[codes.index(1)]
  assert "another process works on this run" in refused


@pytest.mark.slow
def test_processes_share_nothing_but_the_bucket(
    small, workdirs, bucket_url, tmp_path, monkeypatch
):
  (local,) = (workdirs.get(small, "train") / "runs").iterdir()
  processes = [
      bucket_runs.start(small, bucket_url, tmp_path, **process)
      for process in bucket_runs.processes_of_a_job()
  ]
  for process in processes:
    bucket_runs.finish(process)
  bucket_runs.elsewhere(monkeypatch, tmp_path)
  assert verify_command.main([bucket_url]) == 0
  run = zsgen.load_run(f"{bucket_url}/runs/{local.name}")
  assert run.consumed == zsgen.load_run(local).consumed


@pytest.mark.slow
def test_an_unreachable_bucket_is_one_message(small, tmp_path):
  path = tmp_path / "config.py"
  path.write_text(
      "from zsgen.core import config\ndef get_config():\n"
      "  return config.defaults()\n"
  )
  done = subprocess.run(
      [
          *(sys.executable, "-m", "zsgen.main", f"--config={path}"),
          "--workdir=gs://zsgen-test/path",
      ],
      env=os.environ | {"STORAGE_EMULATOR_HOST": "http://127.0.0.1:1"},
      capture_output=True,
      text=True,
      check=False,
  )
  assert done.returncode == 2
  assert done.stderr.startswith("zsgen: gs://zsgen-test/path/")
  assert "cannot be reached" in done.stderr
  assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "ABORTED: Error reading gs://b/x: All 2 retry attempts failed: CURL"
            " error Could not connect to server [tensorstore_spec='…']",
            r"gs://b/run: cannot be read: the bucket cannot be reached \(.*server\)",
        ),
        ("PERMISSION_DENIED: x", "cannot be read: no permission"),
        ("UNAVAILABLE: HTTP 503", r"cannot be read \(UNAVAILABLE: HTTP 503\)"),
        # A number in a name is no status.
        ("UNAVAILABLE: run-4031", r"cannot be read \(UNAVAILABLE: run-4031\)"),
        ("DATA_LOSS: CRC-32C checksum verification failed", ""),
    ],
)
def test_errors_of_orbax_that_are_no_damage(text, message):
  error = ValueError("cannot restore")
  error.__cause__ = ValueError(text)
  failure = storage.explain("gs://b/run", "read", error)
  assert (failure is not None) == bool(message)
  assert re.search(message, str(failure))
  assert storage.explain("/local/run", "read", error) is None


def test_no_permission_is_one_message(bucket_url, monkeypatch):
  class Forbidden:

    def pipe_file(self, *_):
      raise OSError("Forbidden: https://storage.googleapis.com/… 403")

  monkeypatch.setattr(storage.Bucket, "_fs", Forbidden())
  with pytest.raises(errors.InputError, match=r"no permission.*objectUser"):
    storage.open_workdir(bucket_url)


def test_parents_that_a_fork_cannot_have_are_refused(
    small, bucket_url, workdirs, tmp_path
):
  (run,) = (workdirs.get(small, "train") / "runs").iterdir()
  for fork, workdir, message in (
      (f"{run}@5", bucket_url, f"local to this host.*{bucket_url}/runs/NAME"),
      ("gs://other/w/runs/r@5", bucket_url, "set --workdir=gs://other/w,"),
      (f"{bucket_url}/runs/r@5", tmp_path, f"set --workdir={bucket_url},"),
      ("s3://other/w/runs/r@5", tmp_path, "config.fork is 's3://.*only those"),
      (f"{bucket_url}/runs/r@5", bucket_url, "there is no directory"),
  ):
    small.fork = fork
    with pytest.raises(errors.InputError, match=message):
      zsgen.run(small, workdir, ["train"])


def test_other_buckets_are_refused():
  with pytest.raises(
      errors.InputError, match=r"--workdir is 's3://b/w', .*Use one of them"
  ):
    storage.open_workdir("s3://b/w")


URL = "gs://zsgen-test/w"


@pytest.mark.parametrize(
    ("main", "arguments", "message"),
    [
        (reports.main, ["front", URL], "must be a local path"),
        (reports.main, ["arrangement", URL], "--out=DIRECTORY"),
        (reports.main, ["compare", URL, "--out", "gs://b/c.html"], "--out is"),
        (rewrites.main, [URL], "--out=DIRECTORY"),
        (orders.main, ["trace", URL], f"ORDER is '{URL}'"),
        (orders.main, ["import", "order", "--store", URL], "--store is"),
        (orders.main, ["export", URL, URL], f"OUT is '{URL}'"),
        (gguf.main, [URL, "out"], f"FILE is '{URL}'"),
    ],
)
def test_commands_for_local_paths_refuse_urls(main, arguments, message, capsys):
  assert main(arguments) == 2
  error = capsys.readouterr().err
  assert message in error
  assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("url", "workdir", "name"),
    [
        ("gs://abc/w/runs/r-0123456789", "gs://abc/w", "runs/r-0123456789"),
        ("gs://abc/w/sweeps/s-0123456789", "gs://abc/w", "sweeps/s-0123456789"),
        ("gs://abc/w/runs", "gs://abc/w", "runs"),
        ("gs://abc/runs/w/runs/r", "gs://abc/runs/w", "runs/r"),
        ("gs://abc/sweeps/w", "gs://abc/sweeps/w", ""),
        ("gs://abc", "gs://abc", ""),
    ],
)
def test_urls_in_a_workdir(url, workdir, name, tmp_path, monkeypatch):
  bucket_runs.elsewhere(monkeypatch, tmp_path)
  mounted = storage.find(bucket_paths.locate(url, "the path"))
  assert mounted is not None
  assert (mounted.bucket.url, mounted.name, mounted.url) == (workdir, name, url)


def test_all_sweeps_of_a_workdir(bucket_url):
  bucket = storage.Bucket(bucket_url)
  for name in ("sweeps/s-0123456789/sweep.json", "sweeps/w/runs/r/other"):
    bucket.write(name, b"{}")
  copy = bucket_paths.open_copy(f"{bucket_url}/sweeps/")
  files = [path for path in copy.rglob("*") if path.is_file()]
  assert files == [copy / "s-0123456789" / "sweep.json"]
  with pytest.raises(errors.InputError, match="there is no run"):
    bucket_paths.open_copy(f"{bucket_url}/sweeps/w/sweeps")


def test_missing_and_damaged_starts_are_one_message(bucket_url):
  bucket = storage.Bucket(bucket_url)
  bucket.write("runs/r/manifest.json", b'{"kind')
  for run, message in (
      ("runs/none-0123456789@5", "model.init names gs://.*, where no run is"),
      ("runs/r@last", "must be the number of a step"),
      ("runs/r", "cannot be read as JSON"),
  ):
    model = config_lib.Model(init=f"run:{bucket_url}/{run}")
    with pytest.raises(errors.InputError, match=message):
      starts.make(model, 0)


def test_nothing_to_read_is_one_message(bucket_url):
  with pytest.raises(errors.InputError, match="there is no run"):
    zsgen.load_run(f"{bucket_url}/runs/none-0123456789")
