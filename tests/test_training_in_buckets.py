"""Forks, remade orders and populations whose workdir is in a bucket."""

import os
import pathlib
import random
import subprocess
import sys

import pytest
import rich.console

from tests.helpers import bucket_runs
import zsgen
from zsgen import pipeline
from zsgen.core import config as config_lib
from zsgen.core import errors, storage
from zsgen.verify import command as verify_command

CUT_OFF = pathlib.Path(__file__).with_name("helpers") / "cut_off.py"

pytestmark = pytest.mark.slow


def _results(run: pathlib.Path) -> dict[str, bytes]:
  """Reads what must be equal; config.json has the path of a fork's parent."""
  files = bucket_runs.results(run)
  del files["config.json"]
  return files


def _copy(url: str, run: pathlib.Path) -> pathlib.Path:
  """Returns this host's copy of a run in a bucket."""
  return zsgen.load_run(f"{url}/runs/{run.name}").path


def test_a_fork_has_the_bytes_of_a_local_one(
    small, workdirs, bucket_url, tmp_path, monkeypatch
):
  parent = workdirs.run(small, tmp_path / "local").run
  zsgen.run(small, bucket_url, ["train"])
  small.name, small.order.pick = "fork", "farthest"
  small.fork = f"{parent}@5"
  local = zsgen.run(small, tmp_path / "local", ["train"]).run
  assert local is not None
  bucket_runs.elsewhere(monkeypatch, tmp_path)
  small.fork = f"{bucket_url}/runs/{parent.name}@5"
  zsgen.run(small, bucket_url, ["train"])
  bucket_runs.elsewhere(monkeypatch, tmp_path / "third")
  assert _results(_copy(bucket_url, local)) == _results(local)
  assert verify_command.main([f"{bucket_url}/runs/{local.name}"]) == 0


def test_a_start_from_a_bucket_has_the_bytes_of_a_local_one(
    small, workdirs, bucket_url, tmp_path, monkeypatch
):
  """Starts, and embeds, by the checkpoints of a run in another workdir."""
  parent = workdirs.run(small, tmp_path / "local").run
  zsgen.run(small, bucket_url, ["train"])
  bucket_runs.elsewhere(monkeypatch, tmp_path)

  def train(run: str, workdir: pathlib.Path) -> pathlib.Path:
    """Trains a run that begins where another one is after 5 steps."""
    small.name = "next"
    small.model.init = f"run:{run}@5"
    small.order = {"embedder": "gradient", "gradient_dim": 16, "budget": 8}
    small.order.checkpoints = (f"{run}@5", f"{run}@10")
    small.order.text = "prompt+answer"
    result = zsgen.run(small, workdir, ["train"]).run
    assert result is not None
    return result

  url = f"{bucket_url}/runs/{parent.name}"
  local, run = train(parent, tmp_path / "a"), train(url, tmp_path / "b")
  assert run.name == local.name
  assert _results(run) == _results(local)
  # The copies have no checkpoint, which is read where it is.
  assert not list(storage.cache().rglob(f"{parent.name}/checkpoints"))
  bucket = storage.Bucket(bucket_url)
  state = f"runs/{parent.name}/checkpoints/5/state"
  bucket.delete(name for name in bucket.list(state) if "manifest" in name)
  with pytest.raises(errors.InputError, match="checkpoint is damaged") as e:
    train(url, tmp_path / "c")
  assert "\n" not in str(e.value)
  assert not list((tmp_path / "c").glob("runs/*"))


def test_an_order_is_remade_once_whoever_is_killed(
    small, bucket_url, tmp_path, monkeypatch, capsys
):
  small.data.train_instances = 1
  small.order = {
      **{"arrangement": "scored", "score": "loss", "sequence": "descending"},
      **{"embedder": "", "budget": 38, "remake_every": 4},
  }
  small.machine.save_every, small.machine.lease = 2, 4
  local = zsgen.run(small, tmp_path / "local", ["train"]).run
  assert local is not None
  generator = random.Random(0)
  codes = []
  while codes.count(-9) < 2 and len(codes) < 4:
    count, host = generator.randint(80, 200), generator.choice("ab")
    process = bucket_runs.start(small, bucket_url, tmp_path, count, host)
    _, err = process.communicate()
    codes.append(process.returncode)
    assert codes[-1] in (-9, 0), err
  process = bucket_runs.start(small, bucket_url, tmp_path, host="c")
  bucket_runs.finish(process)
  assert -9 in codes
  bucket_runs.elsewhere(monkeypatch, tmp_path)
  actual, expected = _results(_copy(bucket_url, local)), _results(local)
  assert "segments/8/ids.npy" in expected
  assert actual == expected
  assert verify_command.main([bucket_url]) == 0
  assert "segment of step 8" in capsys.readouterr().out


def test_a_population_resumes_on_another_host(
    small, bucket_url, tmp_path, monkeypatch
):
  configs = []
  for name, seed in (("one", 1), ("two", 2)):
    member = small.copy_and_resolve_references()
    member.update(name=name, seed=seed)
    configs.append(config_lib.check(member))
  console = rich.console.Console(quiet=True)
  runs = pipeline.run_population(configs, tmp_path / "local", console)
  pipeline.run_population(configs, bucket_url, console)
  bucket_runs.elsewhere(monkeypatch, tmp_path)
  bucket = storage.Bucket(bucket_url)
  bucket.delete(f"runs/{run.name}/result.json" for run in runs)
  pipeline.run_population(configs, bucket_url, console)
  bucket_runs.elsewhere(monkeypatch, tmp_path / "third")
  for run in runs:
    assert _results(_copy(bucket_url, run)) == _results(run)
  assert verify_command.main([bucket_url]) == 0


def test_orbax_without_the_bucket_is_one_message(small, bucket_url, tmp_path):
  path = tmp_path / "config.py"
  path.write_text(
      "from tests.helpers import configs\ndef get_config():\n"
      "  return configs.small()\n"
  )

  def run() -> str:
    """Trains while Orbax cannot reach the bucket; returns the message."""
    done = subprocess.run(
        [
            *(sys.executable, CUT_OFF, f"--config={path}", "--stage=train"),
            f"--workdir={bucket_url}",
        ],
        env=os.environ | {"PYTHONPATH": str(bucket_runs.ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert "delete" not in done.stderr.lower()  # Nothing is damaged.
    return done.stderr.splitlines()[-1]

  message = run()
  assert message.startswith(f"zsgen: {bucket_url}/runs/small-")
  assert "checkpoints: cannot be written: the bucket cannot be" in message
  assert "run the same command again: it resumes" in message
  result = zsgen.run(small, bucket_url, ["train"]).run
  assert result is not None
  storage.Bucket(bucket_url).delete([f"runs/{result.name}/result.json"])
  assert "checkpoints/10: cannot be read: the bucket cannot be" in run()
