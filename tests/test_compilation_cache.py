"""Compiled programs are kept in the workdir, unless JAX has another place."""

import jax
import pytest

from zsgen.pipeline import compilation

_OPTIONS = (
    "jax_compilation_cache_dir",
    "jax_persistent_cache_min_compile_time_secs",
    "jax_persistent_cache_min_entry_size_bytes",
)


@pytest.fixture(autouse=True)
def restored():
  """Restores the options of JAX after a test."""
  before = {name: getattr(jax.config, name) for name in _OPTIONS}
  yield
  for name, value in before.items():
    jax.config.update(name, value)


def test_programs_are_kept_in_the_workdir(monkeypatch, tmp_path):
  monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
  compilation.use_cache(tmp_path)
  assert jax.config.jax_compilation_cache_dir == str(tmp_path / "cache")
  assert not list(tmp_path.iterdir())


def test_the_environment_takes_precedence(monkeypatch, tmp_path):
  shared = str(tmp_path / "shared")
  monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", shared)
  compilation.use_cache(tmp_path)
  assert jax.config.jax_compilation_cache_dir == shared
  assert jax.config.jax_persistent_cache_min_compile_time_secs == 0
