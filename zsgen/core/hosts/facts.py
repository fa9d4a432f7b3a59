"""Collects the facts of this process: options, code and libraries."""

from collections.abc import Sequence
import os
import platform

from zsgen.core import artifacts, config, plugins, schema, software, storage
from zsgen.core.hosts import agreement

# Settings of jax, and so of its variables, that change programs or numbers.
_SETTINGS = (
    "jax_platforms",
    "jax_enable_x64",
    "jax_default_matmul_precision",
    "jax_default_prng_impl",
    "jax_threefry_partitionable",
)
# Flags of XLA that name output files of a process.
_OWN_FLAGS = ("--xla_dump", "--xla_gpu_dump")
# If there are more options than this, they are compared as a whole.
_MOST_OPTIONS = 10_000


def collect(
    configs: Sequence[config.Config],
    workdir: str | os.PathLike,
    stages: Sequence[str],
) -> dict[str, str]:
  """Collects what must be the same in all processes of a run.

  Args:
    configs: the config of the run, or of each member of a population.
    workdir: the directory for artifacts.
    stages: the stages to run.
  """
  options = {}
  for number, member in enumerate(configs):
    prefix = "config" if len(configs) == 1 else f"configs[{number}]"
    options |= schema.shared_fields(member, prefix)
  if len(options) > _MOST_OPTIONS:
    options = {"config": artifacts.digest(options)}
  options["--stage"] = ", ".join(stages)
  options["--workdir"] = storage.absolute(workdir)
  facts = {name: agreement.fact(value) for name, value in options.items()}
  return facts | _software() | software.sources() | _plugins()


def _software() -> dict[str, str]:
  """Returns the versions of Python and libraries, and their settings."""
  import jax

  versions = {
      name: software.version(name) or "(not installed)"
      for name in software.LIBRARIES
  }
  versions["Python"] = ".".join(platform.python_version_tuple()[:2])
  labelled = {
      f"the version of {name}": version for name, version in versions.items()
  }
  settings = {name: str(getattr(jax.config, name)) for name in _SETTINGS}
  flags = os.environ.get("XLA_FLAGS", "").split()
  shared = [flag for flag in flags if not flag.startswith(_OWN_FLAGS)]
  return labelled | settings | {"XLA_FLAGS": agreement.fact(" ".join(shared))}


def _plugins() -> dict[str, str]:
  """Returns a digest of each module of `config.plugins`."""
  return {
      f"the plug-in {name}": digest[:12]
      for name, digest in plugins.digests().items()
  }
