"""zsgen: what the order of instruction data does to zero-shot learning."""

import os
from typing import Any

# Else etils, once and for the whole process, takes TensorFlow's file systems
# where TensorFlow is installed.
os.environ.setdefault("EPATH_USE_TF", "0")


def run(config: Any, workdir: str = "workdir", stages: Any = None) -> Any:
  """Runs stages of an experiment; see `zsgen.pipeline.run`."""
  # Imported here, so that tools on stores and orders start without JAX.
  from zsgen import pipeline

  return pipeline.run(config, workdir, stages)
