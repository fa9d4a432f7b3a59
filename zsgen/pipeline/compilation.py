"""Where compiled programs are kept between two starts."""

import os
import pathlib

import jax


def use_cache(workdir: pathlib.Path) -> None:
  """Keeps compiled programs in a workdir: a second start is quick.

  JAX_COMPILATION_CACHE_DIR takes precedence. The setting is JAX's own and holds
  for the whole process.

  Args:
    workdir: the directory of all artifacts.
  """
  path = os.environ.get("JAX_COMPILATION_CACHE_DIR")
  path = path or str(workdir.absolute() / "cache")
  jax.config.update("jax_compilation_cache_dir", path)
  jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
  jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
