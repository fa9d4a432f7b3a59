"""Compiled programs are checked before JAX reads them."""

import itertools
import os
import pathlib
import subprocess
import sys

import jax
import pytest

from tests.campaigns import damages
from zsgen.core import programs

KILL_RUN = pathlib.Path(__file__).parent / "helpers" / "kill_run.py"


def _write(directory: pathlib.Path, **contents: bytes) -> list[pathlib.Path]:
  directory.mkdir(exist_ok=True)
  entries = [directory / f"{name}-cache" for name in contents]
  for entry, content in zip(entries, contents.values(), strict=True):
    entry.write_bytes(content)
  return entries


def test_sealed_programs_are_kept(tmp_path):
  entries = _write(tmp_path, a=b"one", b=b"two")
  programs.seal(tmp_path)
  assert programs.delete_damaged(tmp_path) == 0
  assert all(entry.exists() for entry in entries)


def test_damaged_programs_are_deleted_and_counted(tmp_path):
  first, second, third = _write(tmp_path, a=b"one", b=b"two", c=b"three")
  programs.seal(tmp_path)
  damages.swap(first, second)
  assert programs.delete_damaged(tmp_path) == 2
  assert sorted(tmp_path.iterdir()) == [
      third,
      third.with_name("c-cache.sha256"),
  ]


def test_programs_of_a_process_that_was_killed_are_deleted(tmp_path):
  (entry,) = _write(tmp_path, a=b"one")
  assert programs.delete_damaged(tmp_path) == 0
  assert not entry.exists()


def test_a_missing_directory_is_empty(tmp_path):
  programs.seal(tmp_path / "cache")
  assert programs.delete_damaged(tmp_path / "cache") == 0


def _train(config, workdir: pathlib.Path) -> subprocess.CompletedProcess:
  """Runs the train stage in a process that keeps programs in the workdir."""
  path = workdir / "config.json"
  path.write_text(config.to_json())
  environment = {**os.environ}
  environment.pop("JAX_COMPILATION_CACHE_DIR", None)
  return subprocess.run(
      [sys.executable, KILL_RUN, path, workdir, "never"],
      env=environment,
      capture_output=True,
      text=True,
      check=False,
  )


def _results(workdir: pathlib.Path) -> tuple[bytes, bytes]:
  (run,) = (workdir / "runs").iterdir()
  losses = run / "evals/heldout/loss.npy"
  return (run / "metrics.jsonl").read_bytes(), losses.read_bytes()


def _damage(kind: str, entries: list[pathlib.Path]) -> None:
  for entry, sibling in itertools.pairwise(entries):
    dict(damages.damages(entry, sibling))[kind]()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "count"),
    [
        ("flip at 50%", 3),
        ("flip at 50%", None),
        ("swap", None),
        ("truncate", None),
        ("zero", None),
    ],
)
def test_a_run_compiles_damaged_programs_again(small, tmp_path, kind, count):
  """Damages programs in place: JAX finds them only under the same path."""
  first = _train(small, tmp_path)
  assert first.returncode == 0, first.stderr
  results = _results(tmp_path)
  (run,) = (tmp_path / "runs").iterdir()
  run.rename(tmp_path / "before")
  entries = sorted((tmp_path / "cache").glob("*-cache"))
  assert len(entries) > 10
  _damage(kind, entries[:count])
  rerun = _train(small, tmp_path)
  assert rerun.returncode == 0, rerun.stderr
  assert f"compiled programs in {tmp_path / 'cache'} were damaged" in (
      rerun.stderr
  )
  assert _results(tmp_path) == results


@pytest.fixture
def jax_options():
  """Restores the options of JAX's cache after a test."""
  names = [name for name in jax.config.values if "_cache_" in name]
  before = {name: jax.config.values[name] for name in names}
  yield
  for name, value in before.items():
    jax.config.update(name, value)


def test_programs_are_kept_in_the_workdir(jax_options, monkeypatch, tmp_path):
  monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
  assert programs.keep(tmp_path / "cache") == 0
  assert jax.config.jax_compilation_cache_dir == str(tmp_path / "cache")
  assert not list(tmp_path.iterdir())


def test_the_environment_takes_precedence(jax_options, monkeypatch, tmp_path):
  monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path / "shared"))
  directory = jax.config.jax_compilation_cache_dir
  assert programs.keep(tmp_path / "cache") == 0
  assert jax.config.jax_compilation_cache_dir == directory
