"""zsgen: what the order of instruction data does to zero-shot learning."""

from typing import Any


def run(config: Any, workdir: str = "workdir", stages: Any = None) -> Any:
  """Runs stages of an experiment; see `zsgen.pipeline.run`."""
  # Imported here, so that tools on stores and orders start without JAX.
  from zsgen import pipeline

  return pipeline.run(config, workdir, stages)
